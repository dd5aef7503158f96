//! Finds the pace of a receiver that asks for fewer requests: additive increase, multiplicative
//! decrease, as in TCP's congestion avoidance (RFC 5681), on attempts per second.
//!
//! The more of its answers are 429 or 503, the more the rate it was met at shrinks: to a half if all
//! are, as in DCTCP (RFC 8257). Each other answer raises it again, slowly at first and ever faster
//! while nobody complains, until it is what it was before the first complaint; then there is no
//! bound any more. A complaint among many answers is about one message, and nothing to slow down for.

use std::time::Duration;

use crate::model::time::Timestamp;

/// The lowest rate, in attempts per second: a receiver is never given up here.
const RATE_MIN: f64 = 0.1;
/// Complaints within so long are one: they answer attempts that were under way together.
const ONE_COMPLAINT: Duration = Duration::from_secs(1);
/// A smaller share of complaints among the answers is not about the pace.
const SHARE_MIN: f64 = 0.05;
/// The part of the rate complained about that is added to it in a second.
const STEP: f64 = 0.1;
/// After so long without a complaint the step doubles.
const CALM: Duration = Duration::from_secs(5);
/// How much of a second's attempts may go at once.
const BURST: f64 = 0.1;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Throttle {
    /// Attempts per second.
    rate: f64,
    /// The rate before the first complaint.
    before: f64,
    /// What is added to the rate in a second of successes.
    step: f64,
    /// Attempts that may go now.
    tokens: f64,
    counted_at: Timestamp,
    complained_at: Timestamp,
    /// Since when nobody complained, or the step was doubled last.
    calm_since: Timestamp,
}

impl Throttle {
    /// What holds after a complaint about the pace that `meter` tells.
    pub(super) fn after_complaint(throttle: Option<Self>, meter: &Meter, now: Timestamp) -> Self {
        let met = meter.rate().max(RATE_MIN);
        let kept = 1.0 - meter.share() / 2.0;
        let Some(known) = throttle else {
            // The first one afterwards need not wait: its answer may say that all is well.
            return Self::at(met, kept, met, 1.0, now);
        };
        if now.since(known.complained_at) < ONE_COMPLAINT && now >= known.complained_at {
            return known;
        }
        Self::at(
            known.rate.min(met),
            kept,
            known.before.max(met),
            known.tokens.min(1.0),
            now,
        )
    }

    fn at(met: f64, kept: f64, before: f64, tokens: f64, now: Timestamp) -> Self {
        Self {
            rate: (met * kept).max(RATE_MIN),
            before,
            step: met * STEP,
            tokens,
            counted_at: now,
            complained_at: now,
            calm_since: now,
        }
    }

    /// What holds after an answer that was no complaint; `None` once no bound is needed.
    pub(super) fn after_answer(mut self, now: Timestamp) -> Option<Self> {
        if now.since(self.calm_since) >= CALM {
            self.calm_since = now;
            self.step *= 2.0;
        }
        self.count(now);
        // At this rate, so many answers a second each add their part of the step.
        self.rate = (self.rate + self.step / self.rate).min(2.0 * self.rate);
        (self.rate < self.before).then_some(self)
    }

    /// How long the next attempt has to wait; zero if it may go.
    pub(super) fn wait(&mut self, now: Timestamp) -> Duration {
        self.count(now);
        Duration::try_from_secs_f64((1.0 - self.tokens).max(0.0) / self.rate).unwrap_or(Duration::MAX)
    }

    /// Counts an attempt that goes.
    pub(super) fn spend(&mut self) {
        self.tokens -= 1.0;
    }

    /// Lets one attempt go at once.
    pub(super) fn lend(&mut self) {
        self.tokens = self.tokens.max(1.0);
    }

    /// Attempts per second.
    pub(super) const fn rate(&self) -> f64 {
        self.rate
    }

    fn count(&mut self, now: Timestamp) {
        // A clock that was set back says nothing, and the next look is right again.
        let earned = now.since(self.counted_at).as_secs_f64() * self.rate;
        self.counted_at = now;
        self.tokens = (self.tokens + earned).min((self.rate * BURST).max(1.0));
    }
}

/// Counts what begins and what is answered in a second, and remembers the second before.
#[derive(Debug, Default)]
pub(super) struct Meter {
    second: i64,
    this: Counts,
    last: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    begun: u32,
    answered: u32,
    complaints: u32,
}

impl Meter {
    /// Counts an attempt that begins.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.turn(now);
        self.this.begun = self.this.begun.saturating_add(1);
    }

    /// Counts an answer.
    pub(super) fn answer(&mut self, now: Timestamp) {
        self.turn(now);
        self.this.answered = self.this.answered.saturating_add(1);
    }

    /// Counts an answer that complains of the pace; whether it is to be heeded.
    pub(super) fn complain(&mut self, now: Timestamp) -> bool {
        self.answer(now);
        self.this.complaints = self.this.complaints.saturating_add(1);
        self.share() >= SHARE_MIN
    }

    /// Attempts begun in this second so far or in the whole one before, whichever were more.
    fn rate(&self) -> f64 {
        f64::from(self.this.begun.max(self.last.begun))
    }

    /// The share of complaints among the answers of both seconds.
    fn share(&self) -> f64 {
        let complaints = f64::from(self.this.complaints) + f64::from(self.last.complaints);
        let answered = f64::from(self.this.answered) + f64::from(self.last.answered);
        complaints / answered.max(1.0)
    }

    fn turn(&mut self, now: Timestamp) {
        let second = now.as_secs();
        if second != self.second {
            let is_next = second == self.second + 1;
            self.last = if is_next { self.this } else { Counts::default() };
            (self.second, self.this) = (second, Counts::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn after(ms: u64) -> Timestamp {
        START + Duration::from_millis(ms)
    }

    /// A meter that has seen that many attempts begin within a second, all of them complained of.
    fn met(rate: u32) -> Meter {
        let counts = Counts {
            begun: rate,
            answered: rate,
            complaints: rate,
        };
        Meter {
            this: counts,
            ..Meter::default()
        }
    }

    /// Attempts that go within a second, asked for every millisecond, from `begin` on.
    fn go(throttle: &mut Throttle, begin: u64) -> usize {
        (begin..begin + 1000)
            .filter(|ms| {
                let goes = throttle.wait(after(*ms)).is_zero();
                if goes {
                    throttle.spend();
                }
                goes
            })
            .count()
    }

    #[test]
    fn a_complaint_halves_the_rate_that_was_met() {
        let mut throttle = Throttle::after_complaint(None, &met(100), START);
        assert!((49..=51).contains(&go(&mut throttle, 0)), "{throttle:?}");
        assert!((49..=51).contains(&go(&mut throttle, 1000)), "{throttle:?}");
    }

    #[test]
    fn complaints_about_attempts_that_were_under_way_together_are_one() {
        let first = Throttle::after_complaint(None, &met(100), START);
        let same = Throttle::after_complaint(Some(first.clone()), &met(100), after(900));
        assert_eq!(same, first);
        let next = Throttle::after_complaint(Some(first), &met(100), after(1000));
        assert!((next.rate() - 25.0).abs() < 1e-9);
    }

    #[test]
    fn the_rate_has_a_floor() {
        let mut throttle = None;
        for second in 0..100 {
            throttle = Some(Throttle::after_complaint(throttle, &met(1), after(second * 1000)));
        }
        assert_eq!(throttle.map(|throttle| throttle.rate()), Some(RATE_MIN));
    }

    #[test]
    fn answers_raise_the_rate_until_it_is_what_it_was() {
        for rate in [1, 100, 5_000] {
            let mut throttle = Some(Throttle::after_complaint(None, &met(rate), START));
            let mut last = f64::from(rate) / 2.0;
            let mut now = START;
            let mut answers = 0_u32;
            while let Some(known) = throttle.take() {
                assert!(known.rate() >= last && known.rate() < f64::from(rate));
                last = known.rate();
                now = now + Duration::from_secs_f64(1.0 / last);
                throttle = known.after_answer(now);
                answers += 1;
            }
            assert!(
                now.since(START) < Duration::from_secs(10),
                "{rate} {answers} {:?}",
                now.since(START)
            );
        }
    }

    #[test]
    fn from_the_floor_it_is_back_within_two_minutes() {
        let mut throttle = Some(Throttle::after_complaint(None, &met(1_000), START));
        let mut now = START;
        for _ in 0..30 {
            now = now + Duration::from_secs(1);
            throttle = Some(Throttle::after_complaint(throttle, &met(1), now));
        }
        let begin = now;
        while let Some(known) = throttle.take() {
            now = now + Duration::from_millis((1000.0 / known.rate()).ceil() as u64);
            throttle = known.after_answer(now);
        }
        assert!(
            now.since(begin) < Duration::from_secs(120),
            "{:?}",
            now.since(begin)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut throttle = Throttle::after_complaint(None, &met(10), after(3_600_000));
        go(&mut throttle, 0);
        assert!(go(&mut throttle, 1000) >= 4);
    }

    #[test]
    fn the_fewer_complain_the_less_it_slows_down() {
        let quarter = Meter {
            this: Counts {
                begun: 100,
                answered: 100,
                complaints: 25,
            },
            ..Meter::default()
        };
        let throttle = Throttle::after_complaint(None, &quarter, START);
        assert!((throttle.rate() - 87.5).abs() < 1e-9, "{throttle:?}");
    }

    #[test]
    fn one_complaint_among_many_answers_is_not_about_the_pace() {
        let mut meter = Meter::default();
        assert!(meter.complain(START), "there are no others");
        for _ in 0..30 {
            meter.answer(START);
        }
        assert!(meter.complain(START), "two of 32");
        for _ in 0..30 {
            meter.answer(after(1000));
        }
        assert!(!meter.complain(after(1999)), "three of 63");
    }

    #[test]
    fn the_meter_tells_the_busier_of_two_seconds() {
        let mut meter = Meter::default();
        for ms in 0..300 {
            meter.begin(after(ms));
        }
        assert_eq!(meter.rate(), 300.0);
        meter.begin(after(1000));
        assert_eq!(meter.rate(), 300.0);
        meter.begin(after(2000));
        assert_eq!(meter.rate(), 1.0);
        meter.begin(after(9000));
        assert_eq!((meter.this.begun, meter.last.begun), (1, 0));
    }
}
