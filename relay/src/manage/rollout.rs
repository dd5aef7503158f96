//! Roll-outs: a version is tried before it becomes current, and taken back by itself if it fails.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Manager;
use super::follow::Next;
use super::plugins::{PluginRefused, Versioned, one_of};
use crate::model::audit::By;
use crate::model::id::TenantId;
use crate::model::plugin::{Pin, Version};
use crate::model::rollout::{Mode, Promoted, Recent, RolledBack, Rollout};
use crate::model::time::Timestamp;
use crate::notices::{Notice, Notices, TakenBack};
use crate::plugins::rollout::Counted;

/// How long the end of a window may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A roll-out that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedRollout {
    pub version: Pin,
    pub mode: Mode,
    pub percent: u8,
    pub fault_rate_max: f64,
    pub min_calls: u32,
    pub window: Duration,
}

/// A roll-out as it stands.
#[derive(Debug, Clone)]
pub struct UnderWay {
    pub rollout: Rollout,
    /// The version that the candidate is to replace, or has replaced.
    pub before: Version,
    /// `None`: nobody uses the plugin so that there is anything to count.
    pub counted: Option<Counted>,
}

impl Manager {
    /// Begins to try a version.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn begin_rollout(
        &self,
        tenant: TenantId,
        name: &str,
        wanted: &WantedRollout,
        by: By,
    ) -> Result<UnderWay, PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let version = one_of(&own, &wanted.version)?;
        if own.rollouts.under_way.is_some() {
            return Err(PluginRefused::RollingOut);
        }
        if own.current() == Some(version) {
            return Err(PluginRefused::SameVersion);
        }
        self.try_version(&config, (tenant, name), own.clone(), version)
            .await?;
        let rollout = Rollout {
            version,
            mode: wanted.mode,
            percent: wanted.percent,
            fault_rate_max: wanted.fault_rate_max,
            min_calls: wanted.min_calls,
            window_s: wanted.window.as_secs(),
            begun_at: self.workshop.clock.now(),
            begun_by: by.key,
            promoted: None,
        };
        own.rollouts.under_way = Some(rollout);
        let after = told(&rollout);
        let deed = self.deed(tenant, by, "plugin.rollout_begun", name, (Value::Null, after));
        self.put_plugin(&config, Next::turned(tenant, name, own), deed)
            .await?;
        self.rollout(tenant, name)
    }

    /// What is under way.
    ///
    /// # Errors
    /// There is no such plugin, or nothing under way.
    pub fn rollout(&self, tenant: TenantId, name: &str) -> Result<UnderWay, PluginRefused> {
        let own = self.owned(tenant, name)?;
        let rollout = own.rollouts.under_way.ok_or(PluginRefused::NoRollout)?;
        let watch = self.workshop.watches.get(tenant, name);
        let before = rollout.promoted.map(|promoted| promoted.before);
        Ok(UnderWay {
            rollout,
            before: before.or_else(|| own.current()).unwrap_or(rollout.version),
            counted: watch
                .filter(|watch| watch.is_of(&rollout))
                .map(|watch| watch.counted()),
        })
    }

    /// Makes the candidate current, and watches it for a while.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn promote_rollout(
        &self,
        tenant: TenantId,
        name: &str,
        by: By,
    ) -> Result<Versioned, PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let rollout = own.rollouts.under_way.ok_or(PluginRefused::NoRollout)?;
        let before = own.current().ok_or(PluginRefused::UnknownVersion)?;
        let version = rollout.version;
        if rollout.promoted.is_some() {
            return self.versioned(tenant, name, version, false);
        }
        let now = self.workshop.clock.now();
        let promoted = Promoted {
            before,
            at: now,
            until: now + rollout.window(),
        };
        own.promote(version);
        own.rollouts.under_way = (!rollout.window().is_zero()).then_some(Rollout {
            promoted: Some(promoted),
            ..rollout
        });
        let deed = self.deed_of_turn(
            tenant,
            by,
            "plugin.rollout_promoted",
            name,
            (Some(before), version),
        );
        self.put_plugin(&config, Next::turned(tenant, name, own), deed)
            .await?;
        self.versioned(tenant, name, version, false)
    }

    /// Ends what is under way; what is current stays so.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn abort_rollout(&self, tenant: TenantId, name: &str, by: By) -> Result<(), PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let rollout = own.rollouts.under_way.take().ok_or(PluginRefused::NoRollout)?;
        let deed = self.deed(
            tenant,
            by,
            "plugin.rollout_ended",
            name,
            (told(&rollout), Value::Null),
        );
        self.put_plugin(&config, Next::turned(tenant, name, own), deed)
            .await
    }

    /// Takes back what fails too often, and ends windows that are over, until `stop`.
    pub async fn follow_rollouts(self: Arc<Self>, notices: Notices, stop: CancellationToken) {
        loop {
            let wait = self.look_at_rollouts(&notices).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.workshop.watches.common.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Looks at every roll-out once; answers with how long the next look can wait.
    async fn look_at_rollouts(&self, notices: &Notices) -> Duration {
        let now = self.workshop.clock.now();
        let mut wait = LOOK_EVERY;
        for (tenant, name, rollout) in self.workshop.installed().rollouts() {
            let watch = self.workshop.watches.get(tenant, &name);
            let watch = watch.filter(|watch| watch.is_of(&rollout));
            let done = match (watch.and_then(|watch| watch.condemned()), rollout.promoted) {
                (Some(recent), _) => self.take_back(tenant, &name, rollout, recent, notices).await,
                (None, Some(promoted)) if promoted.until <= now => {
                    self.end_window(tenant, &name, rollout).await
                }
                (None, Some(promoted)) => {
                    wait = wait.min(promoted.until.since(now));
                    Ok(())
                }
                (None, None) => Ok(()),
            };
            if let Err(why) = done {
                tracing::error!(plugin = name, tenant = %tenant, ?why, "a roll-out cannot be ended");
            }
        }
        wait.max(Duration::from_millis(10))
    }

    /// Has the version before the candidate be used again, everywhere.
    async fn take_back(
        &self,
        tenant: TenantId,
        name: &str,
        rollout: Rollout,
        recent: Recent,
        notices: &Notices,
    ) -> Result<(), PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        if !own.rollouts.under_way.is_some_and(|now| now.is(&rollout)) {
            return Ok(());
        }
        let promoted = own.rollouts.under_way.and_then(|now| now.promoted);
        if let Some(promoted) = promoted {
            own.history.pop();
            own.promote(promoted.before);
        }
        let to = own.current().ok_or(PluginRefused::UnknownVersion)?;
        let at = self.workshop.clock.now();
        let rolled_back = RolledBack {
            version: rollout.version,
            to,
            at,
            calls: recent.calls,
            faults: recent.faults,
        };
        own.rollouts.under_way = None;
        own.rollouts.rolled_back = Some(rolled_back);
        let before = json!({"version": rollout.version, "mode": rollout.mode.word()});
        let after = json!({
            "version": to, "automatic": true, "calls": recent.calls, "faults": recent.faults,
        });
        let deed = self.deed(tenant, By::OPERATOR, "plugin.rolled_back", name, (before, after));
        let put = self.put_plugin(&config, Next::turned(tenant, name, own), deed);
        put.await?;
        tracing::warn!(plugin = name, tenant = %tenant, version = %rollout.version, to = %to,
            calls = recent.calls, faults = recent.faults, "a version that failed too often was taken back");
        notices.hand_in(Notice::RolledBack(TakenBack {
            tenant,
            plugin: name.to_owned(),
            was_current: promoted.is_some(),
            rolled_back,
            fault_rate: recent.rate(),
            fault_rate_max: rollout.fault_rate_max,
        }));
        Ok(())
    }

    async fn end_window(&self, tenant: TenantId, name: &str, rollout: Rollout) -> Result<(), PluginRefused> {
        {
            let own = self.owned(tenant, name)?;
            if !own.rollouts.under_way.is_some_and(|now| now.is(&rollout)) {
                return Ok(());
            }
        }
        self.abort_rollout(tenant, name, By::OPERATOR).await
    }
}

/// A roll-out, for the audit log.
fn told(rollout: &Rollout) -> Value {
    json!({
        "version": rollout.version, "mode": rollout.mode.word(), "percent": rollout.percent,
        "fault_rate_max": rollout.fault_rate_max, "min_calls": rollout.min_calls,
        "promoted": rollout.promoted.map(|promoted: Promoted| -> Timestamp { promoted.at }),
    })
}
