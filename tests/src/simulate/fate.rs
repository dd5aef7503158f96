//! What happens to one call of the store.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use relay::store::Error;

/// How the store is doing at present; shares are of calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weather {
    pub(super) failing: f64,
    pub(super) slow: f64,
    /// The longest delay of a slow call.
    pub(super) delay_max: Duration,
    /// Crashes just before or after a commit.
    pub(super) crashing: f64,
}

impl Weather {
    /// No faults at all.
    pub(super) const FINE: Self = Self {
        failing: 0.0,
        slow: 0.0,
        delay_max: Duration::ZERO,
        crashing: 0.0,
    };

    /// Draws what the store is like for a while.
    pub(super) fn draw(random: &mut StdRng) -> Self {
        let slow = Self {
            slow: 0.3,
            delay_max: Duration::from_millis(random.random_range(1..5000)),
            ..Self::FINE
        };
        match random.random_range(0..10) {
            0..4 => Self::FINE,
            4 => slow,
            5 => Self { failing: 0.2, ..slow },
            6 => Self {
                failing: 1.0,
                ..Self::FINE
            },
            7 => Self {
                crashing: 0.05,
                ..slow
            },
            8 => Self {
                crashing: 0.002,
                ..Self::FINE
            },
            _ => Self {
                failing: 0.05,
                crashing: 0.01,
                ..slow
            },
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) end: End,
}

#[derive(Debug)]
pub(super) enum End {
    Well,
    /// Nothing is written, and the caller is told so.
    Fails(Error),
    CrashesBefore,
    CrashesAfter,
}

impl Fate {
    pub(super) fn draw(weather: &Weather, writes: bool, random: &mut StdRng) -> Self {
        let delay = |random: &mut StdRng| match weather.delay_max.as_millis() {
            0 => Duration::ZERO,
            _ if !random.random_bool(weather.slow) => Duration::ZERO,
            max => Duration::from_millis(random.random_range(0..=u64::try_from(max).unwrap_or(u64::MAX))),
        };
        let (before, after) = (delay(random), delay(random));
        let end = match random.random::<f64>() {
            drawn if drawn < weather.failing => End::Fails(match random.random_bool(0.5) {
                true => Error::Unavailable("simulated".to_owned()),
                false => Error::Full("simulated".to_owned()),
            }),
            _ if !writes => End::Well,
            _ if random.random_bool(weather.crashing) => match random.random_bool(0.5) {
                true => End::CrashesBefore,
                false => End::CrashesAfter,
            },
            _ => End::Well,
        };
        Self { before, after, end }
    }
}
