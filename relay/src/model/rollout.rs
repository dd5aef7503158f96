//! A new version of a plugin that is tried on deliveries before, and watched after, it is current.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{DeliveryId, KeyId};
use super::plugin::Version;
use super::time::Timestamp;

/// Share of calls that may end in a fault, if nothing else is said.
pub const FAULT_RATE_MAX: f64 = 0.05;
/// Calls that are looked at together, if nothing else is said.
pub const MIN_CALLS: u32 = 50;
/// Most calls that may be looked at together: each takes a byte.
pub const MIN_CALLS_MAX: u32 = 10_000;
/// How long a version is watched once it was promoted, if nothing else is said.
pub const WINDOW: Duration = Duration::from_secs(600);
/// Longest that it may be watched.
pub const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// How a candidate takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RolloutMode)]
pub enum Mode {
    /// It runs beside the version in use; what it makes is compared, and not used.
    Shadow,
    /// It is used for a share of the deliveries.
    Canary,
}

impl Mode {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
        }
    }
}

/// A roll-out under way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The candidate.
    pub version: Version,
    pub mode: Mode,
    /// Share of the deliveries that it runs for, 1 to 100.
    pub percent: u8,
    /// Share of its calls that may end in a fault.
    pub fault_rate_max: f64,
    /// Calls that are looked at together; with fewer nothing is decided.
    pub min_calls: u32,
    /// Seconds for which it is watched once it was promoted.
    pub window_s: u64,
    pub begun_at: Timestamp,
    /// `None`: whoever runs the relay.
    pub begun_by: Option<KeyId>,
    /// Since when the candidate is current.
    pub promoted: Option<Promoted>,
}

/// A candidate that became current, and is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// What was current before, and is again if it fails.
    pub before: Version,
    pub at: Timestamp,
    pub until: Timestamp,
}

/// A version that the relay took back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PluginRolledBack)]
pub struct RolledBack {
    /// The version that failed.
    pub version: Version,
    /// The one in use since.
    pub to: Version,
    pub at: Timestamp,
    /// Calls that were looked at.
    pub calls: u32,
    /// Those of them that ended in a fault.
    pub faults: u32,
}

/// What is kept of the roll-outs of a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollouts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<Rollout>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

impl Rollouts {
    /// Whether a version has to stay because of what is under way.
    pub fn concerns(&self, version: Version) -> bool {
        self.under_way.is_some_and(|rollout| {
            let before = rollout.promoted.map(|promoted| promoted.before);
            rollout.version == version || before == Some(version)
        })
    }
}

/// How the last calls of a version ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    pub calls: u32,
    pub faults: u32,
}

impl Recent {
    /// The share that ended in a fault.
    pub fn rate(self) -> f64 {
        match self.calls {
            0 => 0.0,
            calls => f64::from(self.faults) / f64::from(calls),
        }
    }
}

impl Rollout {
    /// Whether a delivery is among those that the candidate runs for: the same answer at each of its
    /// attempts, and others for another candidate.
    pub fn chooses(&self, delivery: DeliveryId) -> bool {
        let mut salt = [0; 8];
        salt.copy_from_slice(&self.version.as_bytes()[..8]);
        let hash = mix(delivery.raw().cast_unsigned() ^ u64::from_le_bytes(salt));
        hash % 100 < u64::from(self.percent)
    }

    /// Whether the candidate fails too often: more than it may, and more than the version before it
    /// does, which may be hit by the same storm.
    pub fn condemns(&self, candidate: Recent, before: Recent) -> bool {
        candidate.calls >= self.min_calls
            && candidate.rate() > self.fault_rate_max
            && candidate.rate() > before.rate()
    }

    /// How long the candidate is watched once it was promoted.
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window_s)
    }

    /// Whether it is the same roll-out, wherever it has come to.
    pub fn is(&self, other: &Self) -> bool {
        (self.version, self.begun_at) == (other.version, other.begun_at)
    }
}

/// Ids are times and counters: this spreads them (the finaliser of `SplitMix64`).
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(percent: u8) -> Rollout {
        Rollout {
            version: Version::of(b"candidate"),
            mode: Mode::Canary,
            percent,
            fault_rate_max: 0.05,
            min_calls: 20,
            window_s: 600,
            begun_at: Timestamp::from_millis(0),
            begun_by: None,
            promoted: None,
        }
    }

    #[test]
    fn a_candidate_goes_when_it_fails_more_than_it_may_and_more_than_the_one_before() {
        let recent = |calls, faults| Recent { calls, faults };
        for (candidate, before, condemned, why) in [
            (recent(0, 0), recent(0, 0), false, "nothing is known"),
            (recent(19, 19), recent(0, 0), false, "too few calls"),
            (recent(20, 0), recent(0, 0), false, "no fault"),
            (recent(20, 1), recent(20, 0), false, "just as many as it may"),
            (recent(20, 2), recent(20, 0), true, "more than it may"),
            (
                recent(20, 2),
                recent(0, 0),
                true,
                "nothing is known of the one before",
            ),
            (
                recent(20, 20),
                recent(20, 20),
                false,
                "the one before fails as much",
            ),
            (recent(20, 19), recent(20, 20), false, "the one before fails more"),
            (recent(20, 20), recent(20, 19), true, "the one before fails less"),
            (recent(1000, 51), recent(3, 0), true, "many calls"),
            (recent(1000, 50), recent(3, 0), false, "many calls, within bounds"),
        ] {
            assert_eq!(rollout(10).condemns(candidate, before), condemned, "{why}");
        }
        let strict = Rollout {
            fault_rate_max: 0.0,
            ..rollout(10)
        };
        assert!(strict.condemns(recent(20, 1), recent(20, 0)), "none is allowed");
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says_and_grows_with_its_percent() {
        let ids = || (0..20_000_i64).map(|n| DeliveryId::from_raw(1_790_000_000_000_000 + n * 3));
        for percent in [1, 10, 50, 99] {
            let chosen = ids().filter(|id| rollout(percent).chooses(*id)).count();
            let wanted = 200.0 * f64::from(percent);
            let found = f64::from(u32::try_from(chosen).expect("few"));
            assert!((found - wanted).abs() < 300.0, "{percent} %: {found}");
        }
        assert!(ids().all(|id| rollout(100).chooses(id)));
        assert!(
            ids()
                .filter(|id| rollout(10).chooses(*id))
                .all(|id| rollout(20).chooses(id))
        );
    }
}
