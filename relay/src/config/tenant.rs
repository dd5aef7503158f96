//! Reads a tenant, as the management API takes it.

use std::time::Duration;

use super::publishers;
use super::quota::{self, Plan};
use super::reader::Section;
use super::{NAME_REMEDY, endpoint, is_name, label};
use crate::model::id::TenantId;
use crate::model::policy::Policy;
use crate::model::tenant::Tenant;

/// How long a tenant may keep its events: no longer than the store may.
const RETENTION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Reads one; its id is 0. `plans` are those that it may name; `None`: any, since plans come and go
/// with the configuration file.
pub(super) fn read(section: &Section<'_>, plans: Option<&[Plan]>) -> Option<Tenant> {
    let name = name(section);
    label::check(section);
    let plan = match plans {
        Some(plans) => quota::plan(section, "plan", plans),
        None => section.string("plan").map(str::to_owned),
    };
    let quota = section.section("quota").map(|section| {
        let quota = quota::limits(&section);
        section.finish();
        quota
    });
    let policy = section.section("policy").map(|section| {
        let policy = (policy(&section), publishers::read(&section));
        section.finish();
        policy
    });
    let (policy, publishers) = policy.unwrap_or_default();
    Some(Tenant {
        id: TenantId::from_raw(0),
        name: name?,
        plan,
        quota: quota.unwrap_or_default(),
        policy,
        publishers,
    })
}

fn policy(section: &Section<'_>) -> Policy {
    Policy {
        https_only: section.boolean("https_only").unwrap_or_default(),
        timeout: endpoint::timeout(section),
        retention: section.duration("retention", Duration::from_secs(1)..=RETENTION_MAX),
    }
}

/// One that cannot be taken for an id: either is accepted where a tenant is named.
fn name(section: &Section<'_>) -> Option<String> {
    let name = section.required("name", "\"acme\"")?;
    if !is_name(name) {
        section.fault("name", format!("is {name:?}"), NAME_REMEDY);
        return None;
    }
    if name.parse::<TenantId>().is_ok() {
        section.fault("name", format!("is {name:?}, which is an id"), "use another name");
        return None;
    }
    Some(name.to_owned())
}
