//! What is noted of every change, and whether the notes hang together.

use crate::model::audit::{By, Deed, Entry};
use crate::model::id::TenantId;
use crate::model::resource::{Definition, Resource};
use crate::store::{self, Link, Store, chain_hash};

/// Entries read at once.
const PAGE: usize = 500;

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Created,
    Changed,
    Deleted,
    Restored,
}

impl Change {
    const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
        }
    }
}

/// The note of a change: how the resource is now, and how it was.
pub(super) fn of_change(by: By, change: Change, now: &Resource, before: Option<&Definition>) -> Deed {
    let is_gone = change == Change::Deleted;
    let action = format!("{}.{}", now.kind.section(), change.word());
    let deed = Deed::new(now.tenant, now.updated_at, by, &action);
    Deed {
        before: before.map(Definition::shown),
        after: (!is_gone).then(|| now.definition.shown()),
        ..deed.to(now.kind.id(now.id), Some(&now.name))
    }
}

/// What following a chain has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Entries that follow on each other.
    pub entries: u64,
    /// The last of these.
    pub last: Link,
    /// The first entry that does not follow, and why.
    pub broken: Option<(u64, &'static str)>,
}

/// Follows the chain of a tenant from its beginning.
///
/// # Errors
/// If the store does not answer.
pub async fn follow(store: &dyn Store, tenant: TenantId) -> Result<Followed, store::Error> {
    let mut followed = Followed {
        entries: 0,
        last: Link::default(),
        broken: None,
    };
    let mut after = 0;
    loop {
        let chain = store.chain(tenant, after, PAGE).await?;
        // What has had its time meanwhile is not missing.
        if chain.anchor.number >= followed.last.number {
            followed.last = chain.anchor;
        }
        for entry in &chain.entries {
            if let Some(why) = fault(followed.last, entry.link, &entry.text) {
                followed.broken = Some((entry.link.number, why));
                return Ok(followed);
            }
            followed.last = entry.link;
            followed.entries += 1;
        }
        if !chain.has_more {
            return Ok(followed);
        }
        after = followed.last.number;
    }
}

fn fault(before: Link, link: Link, text: &str) -> Option<&'static str> {
    if link.number != before.number + 1 {
        return Some("entries before it are missing");
    }
    if link.hash != chain_hash(&before.hash, text) {
        return Some("it, or one before it, is not what was written");
    }
    let entry: Result<Entry, _> = serde_json::from_str(text);
    match entry {
        Ok(entry) if entry.number == link.number => None,
        _ => Some("it does not read, or says another number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_follow_is_told() {
        let before = Link {
            number: 3,
            hash: [1; 32],
        };
        let next = |number, text: &str| Link {
            number,
            hash: chain_hash(&before.hash, text),
        };
        assert_eq!(
            fault(before, next(5, "{}"), "{}"),
            Some("entries before it are missing")
        );
        assert!(fault(before, next(4, "{}"), "{ }").is_some_and(|why| why.contains("not what was written")));
        assert!(fault(before, next(4, "{}"), "{}").is_some_and(|why| why.contains("does not read")));
    }
}
