//! Keys: who may do what. A key is shown once and stored as a SHA-256 digest.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

use super::{Api, Failure};
use crate::crypto;
use crate::http::problem::Problem;
use crate::model::id::{KeyId, TenantId};
use crate::model::key::PREFIX;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::model::verify::Digest;
use crate::store::{self, Key, Registry, Role};

/// Random bytes in a key: 192 bits.
const RANDOM_BYTES: usize = 24;

/// A fresh key, to be shown once.
///
/// # Errors
/// If the system has no randomness to give.
pub fn fresh_key() -> Result<Secret, getrandom::Error> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    Ok(Secret::new(format!("{PREFIX}{}", hex::encode(random))))
}

/// The digest under which a key is stored.
pub fn digest(key: &str) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(&crypto::hash(Digest::Sha256, &[key.as_bytes()]));
    digest
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub key: KeyId,
    pub tenant: TenantId,
    pub role: Role,
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Post events.
    Send,
    /// Look at the log.
    Read,
    /// Retry deliveries, change endpoints.
    Manage,
    /// Make and revoke keys.
    Admin,
}

impl Caller {
    /// Whether the caller may.
    pub const fn may(&self, right: Right) -> bool {
        match (self.role, right) {
            (Role::Admin, _) => true,
            (Role::Manage, Right::Admin) => false,
            (Role::Manage, _) => true,
            (Role::Send, right) => matches!(right, Right::Send),
            (Role::Read, right) => matches!(right, Right::Read),
        }
    }
}

/// The keys in force, held in memory so that a request costs one digest and one look-up.
#[derive(Debug, Default)]
pub struct Keys(ArcSwap<HashMap<[u8; 32], Caller>>);

impl Keys {
    /// Reads the keys from the store; a revoked one stops working here. `fixed` is the
    /// configuration's admin key.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn reload(&self, store: &dyn Registry, fixed: Option<&Secret>) -> Result<(), store::Error> {
        let stored = store.keys().await?;
        let active = stored.into_iter().filter(|key| key.revoked_at.is_none());
        let mut callers: HashMap<_, _> = active
            .map(|key| {
                (
                    key.hash,
                    Caller {
                        key: key.id,
                        tenant: key.tenant,
                        role: key.role,
                    },
                )
            })
            .collect();
        if let Some(key) = fixed {
            let caller = Caller {
                key: KeyId::from_raw(0),
                tenant: TenantId::DEFAULT,
                role: Role::Admin,
            };
            callers.insert(digest(key.reveal()), caller);
        }
        self.0.store(Arc::new(callers));
        Ok(())
    }

    /// Reads the store again after a key was added or revoked, keeping the fixed one.
    pub(super) async fn refresh(&self, store: &dyn Registry) -> Result<(), store::Error> {
        let fixed = self
            .0
            .load()
            .iter()
            .find(|(_, caller)| caller.key == KeyId::from_raw(0))
            .map(|(hash, caller)| (*hash, *caller));
        self.reload(store, None).await?;
        if let Some((hash, caller)) = fixed {
            let mut callers = HashMap::clone(&self.0.load());
            callers.insert(hash, caller);
            self.0.store(Arc::new(callers));
        }
        Ok(())
    }

    /// Whether no key is in force.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Who a request comes from, if they may do that.
    ///
    /// # Errors
    /// 401 without a key in force, 403 if its role does not allow it.
    pub fn caller(&self, headers: &HeaderMap, right: Right) -> Result<Caller, Problem> {
        let caller = bearer(headers)
            .and_then(|key| self.0.load().get(&digest(key)).copied())
            .ok_or_else(|| {
                Problem::new(
                    401,
                    "unauthenticated",
                    "Not authenticated",
                    "send a key in force as `Authorization: Bearer rk_…`",
                )
            })?;
        if caller.may(right) {
            return Ok(caller);
        }
        let detail = format!("this key's role does not allow to {}", word(right));
        Err(Problem::new(403, "forbidden", "Forbidden", detail))
    }
}

const fn word(right: Right) -> &'static str {
    match right {
        Right::Send => "post events",
        Right::Read => "read the log",
        Right::Manage => "change anything",
        Right::Admin => "manage keys",
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// A key to store, from its text.
pub fn key_record(id: KeyId, name: &str, role: Role, key: &Secret, now: Timestamp) -> Key {
    Key {
        id,
        tenant: TenantId::DEFAULT,
        name: name.to_owned(),
        role,
        hash: digest(key.reveal()),
        created_at: now,
        revoked_at: None,
    }
}

macro_rules! caller_with {
    ($(#[$doc:meta])* $name:ident, $right:expr) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) Caller);

        impl FromRequestParts<Api> for $name {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
                Ok(Self(api.keys.caller(&parts.headers, $right)?))
            }
        }
    };
}

caller_with!(
    /// A caller who may post events.
    Sender, Right::Send
);
caller_with!(
    /// A caller who may read the log.
    Reader, Right::Read
);
caller_with!(
    /// A caller who may change things.
    Manager, Right::Manage
);
caller_with!(
    /// A caller who may manage keys.
    Admin, Right::Admin
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::is_key;

    #[test]
    fn a_role_may_what_its_name_says() {
        let caller = |role| Caller {
            key: KeyId::from_raw(1),
            tenant: TenantId::DEFAULT,
            role,
        };
        assert!(caller(Role::Send).may(Right::Send) && !caller(Role::Send).may(Right::Read));
        assert!(caller(Role::Read).may(Right::Read) && !caller(Role::Read).may(Right::Manage));
        assert!(caller(Role::Manage).may(Right::Send) && !caller(Role::Manage).may(Right::Admin));
        assert!(caller(Role::Admin).may(Right::Admin));
    }

    #[test]
    fn fresh_keys_look_like_keys_and_differ() {
        let (one, two) = (fresh_key().expect("randomness"), fresh_key().expect("randomness"));
        assert!(is_key(one.reveal()));
        assert_ne!(one, two);
        assert!(!is_key("rk_short") && !is_key("sk_0123456789012345678901234567"));
    }
}
