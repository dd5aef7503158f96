//! Replies.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::time::Timestamp;
use crate::store::{Claimed, Error, Fingerprint, REPLIES_MAX, Replies, Reply, RequestName};

/// A name in use.
#[derive(Debug)]
pub(super) struct Claim {
    fingerprint: Fingerprint,
    at: Timestamp,
    reply: Option<Reply>,
}

#[async_trait]
impl Replies for MemoryStore {
    async fn claim_name(
        &self,
        name: RequestName,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<Claimed, Error> {
        let mut tables = self.tables();
        if let Some(claim) = tables.replies.get(&name) {
            return Ok(match &claim.reply {
                _ if claim.fingerprint != fingerprint => Claimed::Reused,
                None => Claimed::Unanswered,
                Some(reply) => Claimed::Answered(reply.clone()),
            });
        }
        let of_tenant = tables.replies.keys().filter(|other| other.tenant == name.tenant);
        if of_tenant.count() >= REPLIES_MAX {
            return Ok(Claimed::TooMany);
        }
        let claim = Claim {
            fingerprint,
            at: now,
            reply: None,
        };
        tables.replies.insert(name, claim);
        Ok(Claimed::Yours)
    }

    async fn keep_reply(&self, name: RequestName, reply: Reply) -> Result<(), Error> {
        if let Some(claim) = self.tables().replies.get_mut(&name) {
            claim.reply = Some(reply);
        }
        Ok(())
    }

    async fn free_name(&self, name: RequestName) -> Result<(), Error> {
        self.tables().replies.remove(&name);
        Ok(())
    }

    async fn forget_replies(&self, claimed_before: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut tables = self.tables();
        let old: Vec<_> = tables
            .replies
            .iter()
            .filter(|(_, claim)| claim.at < claimed_before)
            .map(|(name, _)| *name)
            .take(limit)
            .collect();
        for name in &old {
            tables.replies.remove(name);
        }
        Ok(old.len())
    }
}
