//! What the judge was asked, for `GET /metrics`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::bounded::{Bounded, Named};
use super::owner::OfTenant;
use crate::model::id::TenantId;

/// Upper bounds of the buckets for requests to the backend, in seconds.
const SECONDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// See the module.
pub struct Judged {
    questions: Bounded<OfQuestion, Counter>,
    tokens: Bounded<OfTokens, Counter>,
    seconds: Family<OfRequest, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQuestion {
    outcome: &'static str,
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTokens {
    #[prometheus(flatten)]
    tenant: OfTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    outcome: &'static str,
}

/// What tenants there is no room for count as: the default one.
impl Named for OfQuestion {
    fn under(mut self, _: &str) -> Self {
        self.tenant = OfTenant(TenantId::DEFAULT);
        self
    }
}

impl Named for OfTokens {
    fn under(mut self, _: &str) -> Self {
        self.tenant = OfTenant(TenantId::DEFAULT);
        self
    }
}

impl Default for Judged {
    fn default() -> Self {
        Self {
            questions: Bounded::default(),
            tokens: Bounded::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
        }
    }
}

impl Judged {
    pub(super) fn register(&self, relay: &mut Registry) {
        relay.register(
            "judge_questions",
            "Questions of plugins to the judge, by what came of them",
            self.questions.family.clone(),
        );
        relay.register(
            "judge_tokens",
            "Tokens that the judge's backend took",
            self.tokens.family.clone(),
        );
        relay.register_with_unit(
            "judge_request",
            "Time of one request to the judge's backend",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    /// A question of a tenant's plugin was answered, or was not.
    pub fn asked(&self, tenant: TenantId, outcome: &'static str) {
        let labels = OfQuestion {
            outcome,
            tenant: OfTenant(tenant),
        };
        self.questions.with(labels, |counter| {
            counter.inc();
        });
    }

    /// The backend took so many tokens for a tenant.
    pub fn took(&self, tenant: TenantId, tokens: u64) {
        let labels = OfTokens {
            tenant: OfTenant(tenant),
        };
        self.tokens.with(labels, |counter| {
            counter.inc_by(tokens);
        });
    }

    /// A request to the backend is over.
    pub fn requested(&self, outcome: &'static str, span: Duration) {
        self.seconds
            .get_or_create(&OfRequest { outcome })
            .observe(span.as_secs_f64());
    }
}
