//! A tenant: whose sources, endpoints, keys and events they are.

use super::id::TenantId;
use super::policy::Policy;
use super::publisher::Publishers;
use super::quota::Quota;

/// One tenant, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    /// The plan that was named for it.
    pub plan: Option<String>,
    /// Its own limits; in force, those of its plan too.
    pub quota: Quota,
    pub policy: Policy,
    /// Whose plugins it takes; a part of its policy as it is written.
    pub publishers: Publishers,
}

impl Tenant {
    /// How the default tenant is called until somebody calls it otherwise.
    pub const DEFAULT_NAME: &str = "default";
}
