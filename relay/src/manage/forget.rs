//! A rule that is off, deleted, or reads otherwise begins anew: its timers are cancelled and its
//! last values forgotten.

use super::Manager;
use crate::model::id::RuleId;
use crate::store::{self, RuleVersion};

/// Keys and timers forgotten in one commit.
const BITE: usize = 1000;

impl Manager {
    /// Forgets what is kept of a rule, but for one version of it. Called with the lock held, so
    /// that it is over before the rule can be put in force again.
    pub(super) async fn forget_rule(&self, rule: RuleId, but: Option<i64>) {
        let is_kept = |of: &RuleVersion| Some(of.version) == but;
        self.forget_but(Some(rule), is_kept).await;
    }

    /// Forgets what is kept of rules that are not in force.
    pub(super) async fn forget_rules(&self) {
        let directory = self.directories.current();
        self.forget_but(None, |of| directory.rules.get(*of).is_some())
            .await;
    }

    /// What could not be forgotten does nothing: a rule that is not in force emits nothing. So the
    /// change stands, and the next start tries again.
    async fn forget_but(&self, rule: Option<RuleId>, is_kept: impl Fn(&RuleVersion) -> bool) {
        if let Err(error) = self.try_forget(rule, is_kept).await {
            tracing::warn!(%error, "what rules kept that are not in force stays until the next start");
        }
    }

    async fn try_forget(
        &self,
        rule: Option<RuleId>,
        is_kept: impl Fn(&RuleVersion) -> bool,
    ) -> Result<(), store::Error> {
        let store = &self.workshop.store;
        let kept = store.kept_versions(rule).await?;
        for of in kept.into_iter().filter(|of| !is_kept(of)) {
            while store.forget_version(of, BITE).await? == BITE {}
        }
        Ok(())
    }
}
