//! Keys: who may do what. A key is shown once and stored as a SHA-256 digest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::{Mutex, MutexGuard};

use super::{Api, Failure};
use crate::clock::Clock;
use crate::crypto;
use crate::directory::Directories;
use crate::http::problem::Problem;
use crate::model::audit::By;
use crate::model::id::{KeyId, TenantId};
use crate::model::key::PREFIX;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::model::verify::Digest;
use crate::store::{self, Key, KeyRing, Role};

/// Random bytes in a key: 192 bits.
const RANDOM_BYTES: usize = 24;
/// Names the tenant that a request is about, by its name or id.
const TENANT: HeaderName = HeaderName::from_static("relay-tenant");

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
    /// The other end of the connection, where it is known.
    pub address: Option<IpAddr>,
}

/// The other end of a request's connection; an extension of the request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Post events.
    Send,
    /// Look at the log.
    Read,
    /// Retry deliveries, change endpoints, make and revoke keys.
    Manage,
    /// Make and delete tenants.
    Admin,
}

impl Caller {
    /// Who is noted to have done what this caller does.
    pub const fn by(&self) -> By {
        By {
            key: Some(self.key),
            address: self.address,
        }
    }

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

/// A key as it is looked up.
#[derive(Debug, Clone, Copy)]
struct Held {
    caller: Caller,
    expires_at: Option<Timestamp>,
}

impl Held {
    const fn of(key: &Key) -> Self {
        Self {
            caller: Caller {
                key: key.id,
                tenant: key.tenant,
                role: key.role,
                address: None,
            },
            expires_at: key.expires_at,
        }
    }
}

/// The keys in force, held in memory so that a request costs one digest and one look-up.
pub struct Keys {
    held: ArcSwap<HashMap<[u8; 32], Held>>,
    directories: Arc<Directories>,
    clock: Arc<dyn Clock>,
    /// Locked while a key is made or revoked, in the store and here.
    change: Mutex<()>,
}

impl Keys {
    /// No keys yet.
    pub fn new(directories: Arc<Directories>, clock: Arc<dyn Clock>) -> Self {
        Self {
            held: ArcSwap::default(),
            directories,
            clock,
            change: Mutex::default(),
        }
    }

    /// Puts the keys of the store in force, and `fixed`, the configuration's admin key.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn load(&self, store: &dyn KeyRing, fixed: Option<&Secret>) -> Result<(), store::Error> {
        let stored = store.keys().await?;
        let mut held: HashMap<_, _> = stored.iter().map(|key| (key.hash, Held::of(key))).collect();
        if let Some(key) = fixed {
            let caller = Caller {
                key: KeyId::from_raw(0),
                tenant: TenantId::DEFAULT,
                role: Role::Admin,
                address: None,
            };
            let expires_at = None;
            held.insert(digest(key.reveal()), Held { caller, expires_at });
        }
        self.held.store(Arc::new(held));
        Ok(())
    }

    /// Lets nobody else make or revoke a key.
    pub(super) async fn change(&self) -> MutexGuard<'_, ()> {
        self.change.lock().await
    }

    /// Lets a key that is stored be used.
    pub(super) fn put_in_force(&self, key: &Key) {
        self.held.rcu(|held| {
            let mut held = HashMap::clone(held);
            held.insert(key.hash, Held::of(key));
            held
        });
    }

    /// Lets a key not be used any more.
    pub(super) fn put_out_of_force(&self, id: KeyId) {
        self.held.rcu(|held| {
            let mut held = HashMap::clone(held);
            held.retain(|_, held| held.caller.key != id);
            held
        });
    }

    /// Whether that key may still be used; the configuration's, if there is one, always.
    pub(super) fn is_in_force(&self, id: KeyId) -> bool {
        let held = self.held.load();
        held.values()
            .any(|held| held.caller.key == id && self.is_usable(held))
    }

    /// Whether its time is not over and its tenant is there.
    fn is_usable(&self, held: &Held) -> bool {
        let tenant = held.caller.tenant;
        held.expires_at.is_none_or(|end| self.clock.now() < end)
            && (tenant == TenantId::DEFAULT || self.directories.current().tenant(tenant).is_some())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.held.load().is_empty()
    }

    /// Who a request comes from, and for which tenant, whatever they may do.
    ///
    /// # Errors
    /// 401 without a key in force, 403 if the tenant is not its own, 404 for a tenant that is not
    /// there.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = bearer(headers).and_then(|key| self.find(key)).ok_or_else(|| {
            Problem::new(
                401,
                "unauthenticated",
                "Not authenticated",
                "send a key in force as `Authorization: Bearer rk_…`",
            )
        })?;
        let mut named = headers.get_all(TENANT).iter();
        match (named.next(), named.next()) {
            (None, _) => Ok(caller),
            (Some(name), None) => self.of_tenant(caller, name),
            (Some(_), Some(_)) => Err(Problem::new(
                400,
                "bad_parameter",
                "Bad parameter",
                "the header Relay-Tenant is there more than once",
            )),
        }
    }

    /// Who a request comes from, and for which tenant, if they may do that.
    ///
    /// # Errors
    /// As [`Keys::identify`], and 403 if the key's role does not allow it.
    pub fn caller(&self, headers: &HeaderMap, right: Right) -> Result<Caller, Problem> {
        let caller = self.identify(headers)?;
        if caller.may(right) {
            return Ok(caller);
        }
        let detail = format!("this key's role does not allow to {}", word(right));
        Err(Problem::new(403, "forbidden", "Forbidden", detail))
    }

    /// Whose key it is, if it is in force and so is its tenant. One that was revoked, one whose
    /// time is over and one that never was are all the same here.
    fn find(&self, key: &str) -> Option<Caller> {
        let held = *self.held.load().get(&digest(key))?;
        self.is_usable(&held).then_some(held.caller)
    }

    /// The caller acting for the tenant that it names: any for an admin, else only its own.
    fn of_tenant(&self, caller: Caller, name: &HeaderValue) -> Result<Caller, Problem> {
        let directory = self.directories.current();
        let name = name.to_str().unwrap_or_default();
        let tenant = directory.tenant_called(name).map(|tenant| tenant.id);
        match tenant {
            Some(tenant) if caller.role == Role::Admin => Ok(Caller { tenant, ..caller }),
            Some(tenant) if tenant == caller.tenant => Ok(caller),
            // Whether there is such a tenant is not for others to know.
            _ if caller.role != Role::Admin => Err(Problem::new(
                403,
                "forbidden",
                "Forbidden",
                "this key is another tenant's: leave out the header Relay-Tenant",
            )),
            _ => Err(Problem::new(
                404,
                "unknown_tenant",
                "Unknown tenant",
                format!("there is no tenant {name:?}, which the header Relay-Tenant names"),
            )),
        }
    }
}

const fn word(right: Right) -> &'static str {
    match right {
        Right::Send => "post events",
        Right::Read => "read the log",
        Right::Manage => "change anything",
        Right::Admin => "manage tenants",
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// A key of the default tenant to store, from its text.
pub fn key_record(id: KeyId, name: &str, role: Role, key: &Secret, now: Timestamp) -> Key {
    Key {
        id,
        tenant: TenantId::DEFAULT,
        name: name.to_owned(),
        role,
        hash: digest(key.reveal()),
        created_at: now,
        expires_at: None,
        revoked_at: None,
    }
}

macro_rules! caller_with {
    ($(#[$doc:meta])* $name:ident, $right:expr) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) Caller);

        impl From<$name> for Caller {
            fn from($name(caller): $name) -> Self {
                caller
            }
        }

        impl FromRequestParts<Api> for $name {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
                let caller = api.keys.caller(&parts.headers, $right)?;
                let address = parts.extensions.get::<Peer>().map(|peer| peer.0);
                Ok(Self(Caller { address, ..caller }))
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
    /// A caller who may manage tenants.
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
            address: None,
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
