//! Whose the things are that are counted by name: two tenants may call theirs the same.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

use crate::model::endpoint::Endpoint;
use crate::model::id::TenantId;
use crate::model::rule::Rule;

/// What a tenant calls something.
#[derive(Debug, Clone, Copy)]
pub struct Owned<'n> {
    pub tenant: TenantId,
    pub name: &'n str,
}

impl<'n> From<&'n Endpoint> for Owned<'n> {
    fn from(endpoint: &'n Endpoint) -> Self {
        Self {
            tenant: endpoint.tenant,
            name: &endpoint.name,
        }
    }
}

impl<'n> From<&'n Rule> for Owned<'n> {
    fn from(rule: &'n Rule) -> Self {
        Self {
            tenant: rule.tenant,
            name: &rule.name,
        }
    }
}

/// The label `tenant`, with an id, since names may change. What is of the default tenant has none, so
/// that nothing changes for whoever has no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct OfTenant(pub(super) TenantId);

impl EncodeLabelSet for OfTenant {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        if self.0 == TenantId::DEFAULT {
            return Ok(());
        }
        ("tenant", self.0.to_string()).encode(encoder.encode_label())
    }
}
