//! Why an endpoint got an event, or did not, and what it waits for.

use serde::Serialize;

use crate::model::delivery::{Delivery, State};
use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::time::Timestamp;
use crate::queue::{Condition, LaneLoad};
use crate::route::filter::Mismatch;
use crate::route::table::Decision;

/// What is known of an event and one endpoint.
pub struct Case<'a> {
    pub event: &'a Event,
    /// The name of the source that the event came in by, if it is still there.
    pub source: Option<&'a str>,
    pub endpoint: &'a Endpoint,
    /// Whether the event was routed to the endpoint when it came in.
    pub matched: bool,
    /// What would be decided now.
    pub now: Decision,
}

/// What was asked of an event, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ExplainQuestion)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Was the endpoint there when the event came in?
    Existed,
    /// Does it want events of that source?
    Source,
    /// Does it want events of that type?
    EventType,
    /// Does the event meet its filter?
    Filter,
    /// Is the event in the sample that it wants?
    Sample,
}

/// How that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ExplainAnswer)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    /// Something before it had decided already.
    NotAsked,
}

/// One question, as the endpoint is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ExplainStep)]
pub struct Step {
    pub check: Question,
    pub answer: Answer,
    pub text: String,
    /// The clause of the filter that the event does not meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<Clause>,
}

/// A clause of a filter that an event does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = FilterClause)]
pub struct Clause {
    /// A JSON Pointer to it in the filter, and so to the field in the event.
    pub field: String,
    /// What kinds of test its alternatives are, such as `numeric`; `equal` for plain values.
    pub operators: Vec<&'static str>,
    /// The alternatives, as they are written in the filter.
    pub wanted: String,
    /// What stands in the event.
    pub found: String,
}

impl From<Mismatch> for Clause {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            field: mismatch.pointer,
            operators: mismatch.operators,
            wanted: mismatch.wanted,
            found: mismatch.found,
        }
    }
}

/// Every question about a case, in order.
pub fn steps(case: &Case<'_>) -> Vec<Step> {
    let existed = existed(case);
    let (source, kind, filter, sample) = match &case.now {
        Decision::Source => (Answer::No, Answer::NotAsked, Answer::NotAsked, Answer::NotAsked),
        Decision::Type => (Answer::Yes, Answer::No, Answer::NotAsked, Answer::NotAsked),
        Decision::Filter(_) => (Answer::Yes, Answer::Yes, Answer::No, Answer::NotAsked),
        Decision::Sample => (Answer::Yes, Answer::Yes, Answer::Yes, Answer::No),
        Decision::Wanted => (Answer::Yes, Answer::Yes, Answer::Yes, Answer::Yes),
    };
    let clause = match &case.now {
        Decision::Filter(mismatch) => Some(Clause::from(mismatch.clone())),
        _ => None,
    };
    let mut steps = vec![
        Step {
            check: Question::Existed,
            answer: if existed { Answer::Yes } else { Answer::No },
            text: match existed {
                true => format!("the endpoint was made at {}", case.endpoint.id.made_at()),
                false => format!(
                    "the endpoint was made at {}, after the event came in",
                    case.endpoint.id.made_at()
                ),
            },
            clause: None,
        },
        step(Question::Source, source, about_source(case)),
        step(Question::EventType, kind, about_type(case)),
        Step {
            clause,
            ..step(Question::Filter, filter, about_filter(case))
        },
    ];
    let share = case.endpoint.sample;
    steps.extend(share.map(|share| step(Question::Sample, sample, about_sample(share))));
    steps
}

fn step(check: Question, answer: Answer, text: String) -> Step {
    Step {
        check,
        answer,
        text,
        clause: None,
    }
}

/// Whether the endpoint was there when the event came in.
pub fn existed(case: &Case<'_>) -> bool {
    case.matched || case.endpoint.id.made_at() <= case.event.received_at
}

fn about_source(case: &Case<'_>) -> String {
    let found = match (case.source, case.event.source) {
        (Some(name), _) => format!("the source {name:?}"),
        (None, Some(_)) => "a source that is no longer there".to_owned(),
        (None, None) => "the API".to_owned(),
    };
    match case.endpoint.sources.as_slice() {
        [] => format!("the event came in by {found}; the endpoint wants events from anywhere"),
        wanted => format!(
            "the event came in by {found}; the endpoint wants {}",
            wanted.join(", ")
        ),
    }
}

fn about_type(case: &Case<'_>) -> String {
    let found = &case.event.envelope.kind;
    let wanted: Vec<&str> = case
        .endpoint
        .event_types
        .iter()
        .map(|pattern| pattern.as_str())
        .collect();
    match wanted.as_slice() {
        [] => format!("the event is of type {found}; the endpoint wants every type"),
        wanted => format!(
            "the event is of type {found}; the endpoint wants {}",
            wanted.join(", ")
        ),
    }
}

fn about_filter(case: &Case<'_>) -> String {
    match &case.now {
        Decision::Filter(mismatch) => format!("at {}: {}", mismatch.pointer, mismatch.message()),
        _ if case.endpoint.filter.is_none() => "the endpoint has no filter".to_owned(),
        Decision::Wanted | Decision::Sample => "the event meets the filter".to_owned(),
        _ => "the filter was not asked".to_owned(),
    }
}

fn about_sample(share: f64) -> String {
    format!("the endpoint wants a share of {share} of such events, drawn by their ids")
}

/// What became of the event at the endpoint, in a sentence.
pub fn summary(case: &Case<'_>, delivery: Option<&Delivery>, waits: Option<&Waits>) -> String {
    let matches_now = case.now == Decision::Wanted;
    let Some(delivery) = delivery.filter(|_| case.matched) else {
        return match (existed(case), matches_now) {
            (false, _) => "not sent: the endpoint did not exist when the event came in".to_owned(),
            (true, true) => {
                "not sent: the endpoint did not want it when it came in; as it is now, it would".to_owned()
            }
            (true, false) => format!("not sent: {}", case.now.summary()),
        };
    };
    let reason = || delivery.reason.clone().unwrap_or_default();
    let became = match delivery.state {
        State::Succeeded => "delivered".to_owned(),
        State::Failed => format!("given up: {}", reason()),
        State::Dropped => format!("not sent: {}", reason()),
        State::Cancelled => format!("cancelled: {}", reason()),
        State::Pending => match waits {
            Some(waits) => format!("on its way: {}", waits.text),
            None => "on its way".to_owned(),
        },
    };
    match matches_now {
        true => became,
        false => format!("{became}; as the endpoint is now, it would not want it"),
    }
}

/// What a delivery waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DeliveryWaits)]
pub struct Waits {
    /// `unusable`, `disabled`, `retry`, `breaker`, `held`, `rate`, `turn`.
    pub reason: &'static str,
    pub text: String,
    /// Until when, if that is known.
    pub until: Option<Timestamp>,
}

/// What is known of an endpoint's lane.
pub struct Lane<'a> {
    pub is_enabled: bool,
    pub why_disabled: Option<&'a str>,
    pub unusable: Option<&'a str>,
    pub condition: Condition,
    pub load: Option<LaneLoad>,
    /// The steady clock, by which deliveries are due.
    pub now: Timestamp,
}

/// What a delivery waits for now: of several reasons, the one that has to go first.
pub fn waits(delivery: &Delivery, lane: &Lane<'_>) -> Option<Waits> {
    if delivery.state != State::Pending {
        return None;
    }
    let later = delivery.due.filter(|due| *due > lane.now);
    let waits = |reason, text: String, until| Some(Waits { reason, text, until });
    if let Some(why) = lane.unusable {
        return waits("unusable", format!("the endpoint cannot be used: {why}"), None);
    }
    if !lane.is_enabled {
        let why = lane
            .why_disabled
            .unwrap_or("its definition has `enabled = false`");
        return waits("disabled", format!("the endpoint is disabled: {why}"), None);
    }
    if let Some(due) = later {
        let text = format!("{} attempts failed; the next is due later", delivery.attempts);
        return waits("retry", text, Some(due));
    }
    if lane.condition.is_cut_off {
        let text = "the receiver does not answer: one delivery at a time probes it".to_owned();
        return waits("breaker", text, None);
    }
    if let Some(until) = lane.condition.held_until {
        return waits(
            "held",
            "the receiver asked to be left alone".to_owned(),
            Some(until),
        );
    }
    let load = lane.load?;
    if load.rate_limit_waits > 0 && load.ready > 0 || lane.condition.rate.is_some() {
        return waits(
            "rate",
            "the endpoint's rate limit has no room yet".to_owned(),
            None,
        );
    }
    let text = format!(
        "its turn: {} attempts are under way, {} deliveries are ready",
        load.in_flight, load.ready
    );
    waits("turn", text, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::facts::tests::{NOW, ago, days, facts};
    use crate::model::event::Envelope;
    use crate::model::id::{DeliveryId, EventId, TenantId, first_raw_at};

    fn event(at: Timestamp) -> Event {
        Event {
            id: EventId::from_raw(first_raw_at(at)),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: at,
            envelope: Envelope {
                kind: "a.b".to_owned(),
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: bytes::Bytes::new(),
        }
    }

    fn delivery(state: State, due: Option<Timestamp>) -> Delivery {
        Delivery {
            id: DeliveryId::from_raw(1),
            tenant: TenantId::DEFAULT,
            event: EventId::from_raw(1),
            endpoint: crate::model::id::EndpointId::from_raw(1),
            event_type: "a.b".to_owned(),
            state,
            due,
            attempts: 2,
            reason: Some("dropped by filter-cel: no".to_owned()),
            test: false,
            updated_at: NOW,
        }
    }

    #[test]
    fn an_endpoint_made_later_did_not_exist_then() {
        let facts = facts(1, "https://a.example");
        for (came, existed_then) in [(ago(days(1)), false), (NOW + days(1), true)] {
            let event = event(came);
            let case = Case {
                event: &event,
                source: None,
                endpoint: &facts.endpoint,
                matched: false,
                now: Decision::Wanted,
            };
            assert_eq!(existed(&case), existed_then);
            assert_eq!(steps(&case)[0].answer == Answer::Yes, existed_then);
            let told = summary(&case, None, None);
            assert_eq!(told.contains("did not exist"), !existed_then, "{told}");
        }
    }

    #[test]
    fn what_comes_after_a_no_is_not_asked() {
        let facts = facts(1, "https://a.example");
        let event = event(NOW + days(1));
        for (now, answers) in [
            (Decision::Source, [Answer::No, Answer::NotAsked, Answer::NotAsked]),
            (Decision::Type, [Answer::Yes, Answer::No, Answer::NotAsked]),
            (Decision::Wanted, [Answer::Yes; 3]),
        ] {
            let case = Case {
                event: &event,
                source: None,
                endpoint: &facts.endpoint,
                matched: false,
                now,
            };
            let found: Vec<_> = steps(&case).iter().skip(1).map(|step| step.answer).collect();
            assert_eq!(found, answers);
        }
    }

    #[test]
    fn of_several_reasons_to_wait_the_first_is_told() {
        let load = |ready, rate_limit_waits| LaneLoad {
            endpoint: crate::model::id::EndpointId::from_raw(1),
            ready,
            in_flight: 1,
            is_enabled: true,
            is_cut_off: false,
            overdue: None,
            rate_limit_waits,
        };
        let lane = |is_enabled, is_cut_off, held, load| Lane {
            is_enabled,
            why_disabled: Some("gone"),
            unusable: None,
            condition: Condition {
                is_cut_off,
                held_until: held,
                ..Condition::default()
            },
            load: Some(load),
            now: NOW,
        };
        let later = Some(NOW + days(1));
        for (lane, due, reason) in [
            (lane(false, true, None, load(0, 0)), later, "disabled"),
            (lane(true, true, None, load(0, 0)), later, "retry"),
            (lane(true, true, None, load(0, 0)), Some(NOW), "breaker"),
            (lane(true, false, later, load(0, 0)), Some(NOW), "held"),
            (lane(true, false, None, load(3, 2)), Some(NOW), "rate"),
            (lane(true, false, None, load(3, 0)), Some(NOW), "turn"),
        ] {
            let found = waits(&delivery(State::Pending, due), &lane);
            assert_eq!(found.map(|waits| waits.reason), Some(reason));
        }
        let done = waits(
            &delivery(State::Dropped, None),
            &lane(false, true, later, load(0, 0)),
        );
        assert_eq!(done, None);
    }
}
