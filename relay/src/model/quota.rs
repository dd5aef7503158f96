//! How much a tenant may have and send.

use super::endpoint::RateLimit;

/// The limits of a tenant or a plan; `None`: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    pub endpoints: Option<u64>,
    pub sources: Option<u64>,
    /// Keys in force.
    pub keys: Option<u64>,
    /// Plugin uses in all chains together.
    pub plugins: Option<u64>,
    pub events_per_second: Option<RateLimit>,
    /// Events accepted in a day of UTC.
    pub events_per_day: Option<u64>,
    /// Bytes of the payloads stored.
    pub stored_bytes: Option<u64>,
    /// Requests to the judge's backend in a day of UTC.
    pub judge_questions_per_day: Option<u64>,
    /// Tokens that the judge's backend takes in a day of UTC.
    pub judge_tokens_per_day: Option<u64>,
}

impl Quota {
    /// What of a tenant is limited, as it is called in a plan; `media_bytes` is for all the same.
    pub const LIMITS: [&str; 10] = [
        "endpoints",
        "sources",
        "keys",
        "plugins",
        "events_per_second",
        "events_per_day",
        "stored_bytes",
        "judge_questions_per_day",
        "judge_tokens_per_day",
        "media_bytes",
    ];

    /// These limits, and those of a plan where there is none.
    #[must_use]
    pub fn or(self, plan: Self) -> Self {
        Self {
            endpoints: self.endpoints.or(plan.endpoints),
            sources: self.sources.or(plan.sources),
            keys: self.keys.or(plan.keys),
            plugins: self.plugins.or(plan.plugins),
            events_per_second: self.events_per_second.or(plan.events_per_second),
            events_per_day: self.events_per_day.or(plan.events_per_day),
            stored_bytes: self.stored_bytes.or(plan.stored_bytes),
            judge_questions_per_day: self.judge_questions_per_day.or(plan.judge_questions_per_day),
            judge_tokens_per_day: self.judge_tokens_per_day.or(plan.judge_tokens_per_day),
        }
    }

    /// Whether what is accepted has to be counted durably.
    pub const fn counts_events(&self) -> bool {
        self.events_per_day.is_some() || self.stored_bytes.is_some()
    }

    /// Whether it bounds what is accepted at all.
    pub const fn bounds_events(&self) -> bool {
        self.counts_events() || self.events_per_second.is_some()
    }
}

/// A limit that is used up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this tenant has {used} of {max} {limit}")]
pub struct Reached {
    /// As the limit is called in a plan.
    pub limit: &'static str,
    pub used: u64,
    pub max: u64,
}

impl Reached {
    /// Whether there is room for one more.
    ///
    /// # Errors
    /// There is none.
    pub fn check(limit: &'static str, used: u64, max: Option<u64>) -> Result<(), Self> {
        match max {
            Some(max) if used >= max => Err(Self { limit, used, max }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_own_limits_count_before_its_plans() {
        let own = Quota {
            endpoints: Some(50),
            ..Quota::default()
        };
        let plan = Quota {
            endpoints: Some(10),
            keys: Some(3),
            ..Quota::default()
        };
        let both = own.or(plan);
        assert_eq!(
            (both.endpoints, both.keys, both.sources),
            (Some(50), Some(3), None)
        );
    }

    #[test]
    fn a_limit_is_reached_when_there_is_no_room_for_one_more() {
        assert!(Reached::check("keys", 2, Some(3)).is_ok() && Reached::check("keys", 9, None).is_ok());
        let reached = Reached::check("keys", 3, Some(3)).unwrap_err();
        assert_eq!(reached.to_string(), "this tenant has 3 of 3 keys");
    }
}
