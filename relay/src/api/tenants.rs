//! `/v1/tenants`: whose things there are, for the admin alone.

use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::auth::{Admin, Caller};
use super::errors::Failure;
use super::resource::{self, Request, Served};
use crate::model::id::TenantId;
use crate::model::resource::Kind;

/// Every route of tenants.
pub(super) fn routes() -> OpenApiRouter<Api> {
    resource::routes::<Tenants>(&Request::ALL)
}

struct Tenants;

impl Served for Tenants {
    const KIND: Kind = Kind::Tenant;
    /// All that it has goes with it.
    const CANCELS: bool = true;
    type Reader = Operator;
    type Manager = Operator;
}

/// An admin: all tenants are the operator's, whichever one the admin names.
struct Operator(Caller);

impl FromRequestParts<Api> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let Admin(caller) = Admin::from_request_parts(parts, api).await?;
        Ok(Self(Caller {
            tenant: TenantId::DEFAULT,
            ..caller
        }))
    }
}

impl From<Operator> for Caller {
    fn from(Operator(caller): Operator) -> Self {
        caller
    }
}
