//! Reads a tenant, as the management API takes it.

use super::quota::{self, Plan};
use super::reader::Section;
use super::{NAME_REMEDY, is_name, label};
use crate::model::id::TenantId;
use crate::model::tenant::Tenant;

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
    Some(Tenant {
        id: TenantId::from_raw(0),
        name: name?,
        plan,
        quota: quota.unwrap_or_default(),
    })
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
