//! Rules about what is kept for rules.

use std::sync::Arc;
use std::time::Duration;

use super::kit::{Maker, TENANT, at, done};
use crate::model::id::RuleId;
use crate::model::time::Timestamp;
use crate::store::{
    Accepted, Act, Effect, KeptKey, NewEvent, RuleBounds, RuleEffects, RuleLosses, RuleVersion, Store, Timer,
};

const OF: RuleVersion = RuleVersion {
    rule: RuleId::from_raw(301),
    version: -7,
};
const OTHER: RuleVersion = RuleVersion {
    rule: RuleId::from_raw(301),
    version: 8,
};
const SECOND: Duration = Duration::from_secs(1);

/// A store and events that rules make something of.
struct Table {
    store: Arc<dyn Store>,
    maker: Maker,
    bounds: RuleBounds,
}

impl Table {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            maker: Maker::new(),
            bounds: RuleBounds::default(),
        }
    }

    fn new_event(&self, ms: u64, effects: RuleEffects) -> NewEvent {
        let mut new = self.maker.event(ms, &[]);
        new.rules = Some(Box::new(effects));
        new
    }

    async fn accept(&self, ms: u64, new: NewEvent) -> Accepted {
        done(self.store.accept(vec![new], at(ms)).await)[0]
    }

    /// Accepts an event of which a rule makes this for a key.
    async fn act(&self, of: RuleVersion, ms: u64, key: &str, act: Act) -> NewEvent {
        let effects = RuleEffects {
            hops: 3,
            effects: vec![Effect {
                of,
                key: key.to_owned(),
                act,
            }],
            bounds: self.bounds,
            ..RuleEffects::default()
        };
        let new = self.new_event(ms, effects);
        assert_eq!(self.accept(ms, new.clone()).await, Accepted::New);
        new
    }

    async fn see(&self, ms: u64, key: &str, value: &str) {
        self.act(OF, ms, key, change(value, None)).await;
    }

    async fn due(&self, now: Timestamp) -> Vec<Timer> {
        let timers = done(self.store.due_timers(now, 100).await);
        assert!(timers.damaged.is_empty());
        timers.due.into_iter().map(|(timer, _)| timer).collect()
    }

    async fn keys(&self, after: Option<(String, i64)>, limit: usize) -> Vec<KeptKey> {
        done(self.store.rule_keys(TENANT, OF, after, limit).await)
    }

    async fn last_value(&self, key: &str) -> Option<String> {
        done(self.store.last_value(OF, key).await)
    }
}

fn change(value: &str, from: Option<&[&str]>) -> Act {
    Act::Change {
        value: value.to_owned(),
        is_wanted: true,
        from: from.map(|from| from.iter().map(|value| (*value).to_owned()).collect()),
    }
}

const fn rearm(after: Duration) -> Act {
    Act::Rearm {
        after,
        max_wait: None,
    }
}

fn fires(timer: &Timer) -> RuleEffects {
    RuleEffects {
        fires: Some(timer.id.clone()),
        ..RuleEffects::default()
    }
}

fn changes(timers: &[Timer]) -> Vec<(&str, Option<&str>, Option<&str>)> {
    timers
        .iter()
        .map(|timer| (timer.id.key.as_str(), timer.from.as_deref(), timer.to.as_deref()))
        .collect()
}

pub(super) async fn a_change_is_due_at_once_with_what_was_before(store: Arc<dyn Store>) {
    let table = Table::new(store);
    table.see(0, "a", "1").await;
    table.see(1, "a", "1").await;
    table.see(2, "b", "2").await;
    table.see(3, "a", "3").await;
    let due = table.due(at(3)).await;
    assert_eq!(
        changes(&due),
        [
            ("a", None, Some("1")),
            ("b", None, Some("2")),
            ("a", Some("1"), Some("3"))
        ]
    );
    assert_eq!((due[0].due, due[0].hops), (at(0), 3));
    assert_eq!(table.last_value("a").await.as_deref(), Some("3"));
    assert_eq!(done(table.store.last_value(OTHER, "a").await), None);
}

pub(super) async fn a_change_is_only_told_from_and_to_what_is_wanted(store: Arc<dyn Store>) {
    let table = Table::new(store);
    let wanted = || change("2", Some(&["1"]));
    table.act(OF, 0, "a", wanted()).await;
    let kept = Act::Change {
        value: "1".to_owned(),
        is_wanted: false,
        from: None,
    };
    table.act(OF, 1, "a", kept).await;
    assert_eq!(table.due(at(9)).await, []);
    table.act(OF, 2, "a", wanted()).await;
    table.act(OF, 3, "a", wanted()).await;
    assert_eq!(changes(&table.due(at(9)).await), [("a", Some("1"), Some("2"))]);
}

pub(super) async fn a_duplicate_changes_nothing(store: Arc<dyn Store>) {
    let table = Table::new(store);
    let keyed = |new: NewEvent| NewEvent {
        dedupe: Some(crate::store::DedupeKey([1; 16])),
        ..new
    };
    let effects = |value: &str| RuleEffects {
        effects: vec![Effect {
            of: OF,
            key: "a".to_owned(),
            act: change(value, None),
        }],
        ..RuleEffects::default()
    };
    let first = keyed(table.new_event(0, effects("1")));
    assert_eq!(table.accept(0, first.clone()).await, Accepted::New);
    let second = keyed(table.new_event(1, effects("2")));
    assert_eq!(table.accept(1, second).await, Accepted::Duplicate(first.event.id));
    assert_eq!(table.last_value("a").await.as_deref(), Some("1"));
    assert_eq!(table.due(at(9)).await.len(), 1);
}

pub(super) async fn a_timer_moves_but_not_past_its_longest_wait(store: Arc<dyn Store>) {
    let table = Table::new(store);
    table.act(OF, 0, "a", rearm(SECOND)).await;
    let last = table.act(OF, 900, "a", rearm(SECOND)).await;
    assert_eq!(table.due(at(1899)).await, []);
    let due = table.due(at(1900)).await;
    assert_eq!(
        (due.len(), due[0].due, due[0].id.event),
        (1, at(1900), last.event.id)
    );

    let bounded = || Act::Rearm {
        after: SECOND,
        max_wait: Some(SECOND * 2),
    };
    for ms in [0, 800, 1600, 1900] {
        table.act(OF, ms, "b", bounded()).await;
    }
    let due = table.due(at(2000)).await;
    assert_eq!(
        due.iter()
            .find(|timer| timer.id.key == "b")
            .map(|timer| timer.due),
        Some(at(2000))
    );
}

pub(super) async fn timers_of_one_key_may_be_several_and_are_cancelled_together(store: Arc<dyn Store>) {
    let table = Table::new(store);
    let arm = || Act::Arm { after: SECOND };
    table.act(OF, 0, "a", arm()).await;
    table.act(OF, 1, "a", arm()).await;
    table.act(OF, 2, "b", arm()).await;
    table.act(OTHER, 3, "a", arm()).await;
    let numbers: Vec<_> = table
        .keys(None, 10)
        .await
        .into_iter()
        .map(|kept| kept.key)
        .collect();
    assert_eq!(numbers, ["a", "a", "b"]);
    table.act(OF, 4, "a", Act::Cancel).await;
    let left = table.due(at(5000)).await;
    let left: Vec<_> = left
        .iter()
        .map(|timer| (timer.id.of, timer.id.key.as_str()))
        .collect();
    assert_eq!(left, [(OF, "b"), (OTHER, "a")]);
}

pub(super) async fn a_timer_emits_one_event(store: Arc<dyn Store>) {
    let table = Table::new(store);
    table.act(OF, 0, "a", rearm(SECOND)).await;
    let due = table.due(at(1000)).await;
    let emitted = table.new_event(1000, fires(&due[0]));
    assert_eq!(table.accept(1000, emitted).await, Accepted::New);
    assert_eq!(table.due(at(9000)).await, []);
    let again = table.new_event(1001, fires(&due[0]));
    assert_eq!(table.accept(1001, again.clone()).await, Accepted::Outdated);
    assert_eq!(done(table.store.event(TENANT, again.event.id).await), None);
}

pub(super) async fn a_timer_that_was_moved_or_cancelled_emits_nothing(store: Arc<dyn Store>) {
    let table = Table::new(store);
    table.act(OF, 0, "a", rearm(SECOND)).await;
    let due = table.due(at(1000)).await;
    table.act(OF, 1000, "a", rearm(SECOND)).await;
    let late = table.new_event(1001, fires(&due[0]));
    assert_eq!(table.accept(1001, late).await, Accepted::Outdated);
    done(table.store.cancel_timers(vec![due[0].id.clone()]).await);
    let moved = table.due(at(2000)).await;
    assert_eq!(moved.len(), 1);
    done(table.store.cancel_timers(vec![moved[0].id.clone()]).await);
    let cancelled = table.new_event(2001, fires(&moved[0]));
    assert_eq!(table.accept(2001, cancelled).await, Accepted::Outdated);
}

pub(super) async fn due_timers_count_to_their_limit_and_tell_what_is_next(store: Arc<dyn Store>) {
    let table = Table::new(store);
    for (ms, key) in [(0, "c"), (1, "b"), (2, "a")] {
        table.act(OF, ms, key, rearm(SECOND)).await;
    }
    let timers = done(table.store.due_timers(at(1001), 1).await);
    assert_eq!((timers.due.len(), timers.next), (1, Some(at(1001))));
    let timers = done(table.store.due_timers(at(1001), 10).await);
    let keys: Vec<_> = timers
        .due
        .iter()
        .map(|(timer, _)| timer.id.key.as_str())
        .collect();
    assert_eq!((keys, timers.next), (vec!["c", "b"], Some(at(1002))));
    let timers = done(table.store.due_timers(at(1002), 10).await);
    assert_eq!((timers.due.len(), timers.next), (3, None));
    assert_eq!(timers.due[2].1.received_at, at(2));
}

pub(super) async fn an_event_stays_while_a_timer_is_armed_by_it(store: Arc<dyn Store>) {
    let table = Table::new(store);
    let armed = table.act(OF, 0, "a", rearm(SECOND)).await;
    done(table.store.set_checkpoint(armed.event.id).await);
    let prune = || table.store.prune(at(5000), at(0), at(5000), 10);
    assert_eq!(done(prune().await).events, 0);
    let due = table.due(at(1000)).await;
    done(table.store.cancel_timers(vec![due[0].id.clone()]).await);
    assert_eq!(done(prune().await).events, 1);
}

pub(super) async fn the_key_seen_longest_ago_makes_room(store: Arc<dyn Store>) {
    let mut table = Table::new(store);
    table.bounds.keys_max = 2;
    for (ms, key) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
        table.see(ms, key, "1").await;
    }
    assert_eq!(table.last_value("b").await, None);
    let keys: Vec<_> = table
        .keys(None, 10)
        .await
        .into_iter()
        .map(|kept| kept.key)
        .collect();
    assert_eq!(keys, ["a", "c"]);
    assert_eq!(table.store.rule_losses(), RuleLosses { keys: 1, timers: 0 });
}

pub(super) async fn a_tenant_has_no_more_timers_than_it_may(store: Arc<dyn Store>) {
    let mut table = Table::new(store);
    table.bounds.timers_max = 2;
    for (ms, key) in [(0, "a"), (1, "b"), (2, "c"), (3, "a")] {
        table.act(OF, ms, key, rearm(SECOND)).await;
    }
    let due = table.due(at(9000)).await;
    assert_eq!(
        due.iter().map(|timer| timer.id.key.as_str()).collect::<Vec<_>>(),
        ["b", "a"]
    );
    assert_eq!(table.store.rule_losses(), RuleLosses { keys: 0, timers: 1 });
    // One that fires, and one that is cancelled, make room.
    table.accept(1001, table.new_event(1001, fires(&due[0]))).await;
    table.act(OF, 1002, "a", Act::Cancel).await;
    for (ms, key) in [(1003, "d"), (1004, "e"), (1005, "f")] {
        table.act(OF, ms, key, rearm(SECOND)).await;
    }
    assert_eq!(table.due(at(9000)).await.len(), 2);
}

pub(super) async fn keys_are_listed_in_order_in_pages(store: Arc<dyn Store>) {
    let table = Table::new(store);
    for (ms, key) in [(0, "b"), (1, "a"), (2, "c")] {
        table.see(ms, key, "1").await;
    }
    table.act(OTHER, 3, "d", change("1", None)).await;
    let first = table.keys(None, 2).await;
    assert_eq!(
        first.iter().map(|kept| kept.key.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!((first[0].value.as_deref(), first[0].due), (Some("1"), None));
    let rest = table.keys(Some((first[1].key.clone(), first[1].number)), 2).await;
    assert_eq!(
        rest.iter().map(|kept| kept.key.as_str()).collect::<Vec<_>>(),
        ["c"]
    );
}

pub(super) async fn what_is_kept_of_a_version_is_forgotten_in_bites(store: Arc<dyn Store>) {
    let table = Table::new(store);
    for ms in 0..3 {
        let key = ms.to_string();
        table.act(OF, ms, &key, rearm(SECOND)).await;
        table.act(OF, ms + 10, &key, change("1", None)).await;
    }
    table.act(OTHER, 20, "a", rearm(SECOND)).await;
    assert_eq!(done(table.store.kept_versions(None).await), [OF, OTHER]);
    assert_eq!(done(table.store.kept_versions(Some(OF.rule)).await), [OF, OTHER]);
    let stranger = RuleId::from_raw(302);
    assert_eq!(done(table.store.kept_versions(Some(stranger)).await), []);
    // Three timers, three changes that are due, three values.
    let bites = [4, 4, 1, 0];
    for bite in bites {
        assert_eq!(done(table.store.forget_version(OF, 4).await), bite);
    }
    assert_eq!(done(table.store.kept_versions(None).await), [OTHER]);
    assert_eq!(table.due(at(9000)).await.len(), 1);
}
