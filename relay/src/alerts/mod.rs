//! Alerts: held against what was counted and what waits, every few seconds.
//!
//! An alert fires once for each endpoint that it finds something wrong with, and is told again
//! only if it says so; when it is well again, that is told once. Which ones fire outlasts a
//! restart. What is told goes out as an operational event first and is remembered then: a crash
//! between the two tells it twice, never not at all.

mod measure;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::flow::Flow;
use crate::manage::{Entry, Manager};
use crate::model::alert::{Alert, When};
use crate::model::endpoint::Endpoint;
use crate::model::id::{AlertId, EndpointId};
use crate::model::resource::Kind;
use crate::model::time::Timestamp;
use crate::notices::Told;
use crate::store;
use crate::store::monitoring::{Firing, FiringOf};

/// How often alerts are looked at, if that does not take long.
const TICK: Duration = Duration::from_secs(1);
/// Looking takes no more than such a part of the time.
const REST_SHARE: u32 = 10;
/// An alert that is not of one endpoint.
const ALL: i64 = 0;

/// What was measured of an endpoint, or of the whole tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reading {
    value: f64,
    /// The limit of a quota that it is of.
    limit: Option<&'static str>,
    /// `None`: there is too little to say.
    is_wrong: Option<bool>,
}

/// What becomes of an alert by a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Turn {
    Fires(Firing),
    Repeats(Firing),
    Resolves(Firing),
}

/// What an operational event says of an alert.
#[derive(Debug, Serialize)]
struct Facts<'a> {
    alert: Named<'a, AlertId>,
    /// `null`: it is not of one endpoint.
    endpoint: Option<Named<'a, EndpointId>>,
    condition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    /// In the unit of `value`: a number, a share from 0 to 1, or seconds.
    threshold: f64,
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_seconds: Option<u64>,
    since: Timestamp,
    /// Whether it was told before.
    repeated: bool,
}

#[derive(Debug, Serialize)]
struct Named<'a, T> {
    id: T,
    name: &'a str,
}

/// See the module.
pub struct Alerts {
    manager: Arc<Manager>,
    flow: Arc<Flow>,
    firing: Mutex<BTreeMap<FiringOf, Firing>>,
}

impl Alerts {
    pub fn new(manager: Arc<Manager>, flow: Arc<Flow>) -> Self {
        Self {
            manager,
            flow,
            firing: Mutex::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<FiringOf, Firing>> {
        self.firing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom an alert fires for at present: an endpoint, or `None` for all.
    pub fn firing(&self, alert: AlertId) -> Vec<(Option<EndpointId>, Firing)> {
        let firing = self.locked();
        let own = firing.range((alert, i64::MIN)..=(alert, i64::MAX));
        own.map(|((_, subject), firing)| (endpoint_of(*subject), *firing))
            .collect()
    }

    /// Looks at all alerts until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut is_known = false;
        let mut rest = TICK;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
            let begun = Instant::now();
            let looked = async {
                if !is_known {
                    let firing = self.flow.store.firing().await?;
                    self.locked().extend(firing);
                    is_known = true;
                }
                self.look(&stop).await
            };
            if let Err(error) = looked.await {
                tracing::debug!(%error, "alerts could not be looked at; trying again");
            }
            rest = (begun.elapsed() * REST_SHARE).max(TICK);
        }
    }

    /// Holds every alert against what is so now.
    async fn look(&self, stop: &CancellationToken) -> Result<(), store::Error> {
        let entries = self.manager.of_kind(Kind::Alert);
        let alerts = entries.iter().filter_map(|entry| Some((entry, entry.alert()?)));
        let alerts: Vec<_> = alerts.filter(|(_, alert)| alert.enabled).collect();
        if !alerts.is_empty() {
            self.flow.stats.flush().await?;
        }
        for (entry, alert) in &alerts {
            if stop.is_cancelled() {
                return Ok(());
            }
            self.look_at(entry, alert).await?;
        }
        let known: HashSet<AlertId> = alerts.iter().map(|(_, alert)| alert.id).collect();
        let gone: Vec<FiringOf> = {
            let firing = self.locked();
            firing
                .keys()
                .filter(|(alert, _)| !known.contains(alert))
                .copied()
                .collect()
        };
        for of in gone {
            self.remember(of, None).await?;
        }
        Ok(())
    }

    async fn look_at(&self, entry: &Entry, alert: &Alert) -> Result<(), store::Error> {
        let now = self.flow.clock.now();
        let directory = self.flow.directories.current();
        let is_in_scope = |endpoint: &&Arc<Endpoint>| {
            let is_named = |name: &String| *name == endpoint.name || *name == endpoint.id.to_string();
            endpoint.tenant == alert.tenant
                && (alert.endpoints.is_empty() || alert.endpoints.iter().any(is_named))
        };
        let endpoints: Vec<&Arc<Endpoint>> = directory.table.endpoints().filter(is_in_scope).collect();
        let mut readings = if alert.when.is_of_endpoints() {
            self.read_endpoints(alert, &endpoints, now).await?
        } else {
            let reading = match &alert.when {
                When::QuotaAbove { share, limits } => self.read_quota(alert, *share, limits).await?,
                _ => self.read_volume(entry, alert, now).await?,
            };
            BTreeMap::from([(ALL, reading)])
        };
        // Endpoints that are not looked at any more: nothing is wrong with them.
        for (endpoint, _) in self.firing(alert.id) {
            readings
                .entry(endpoint.map_or(ALL, EndpointId::raw))
                .or_insert(measure::compared(0.0, false));
        }
        for (subject, reading) in readings {
            let of = (alert.id, subject);
            let before = self.locked().get(&of).copied();
            let Some(turn) = turn(before, reading, alert.repeat_every, now) else {
                continue;
            };
            let named = endpoint_of(subject).map(|id| {
                let endpoint = directory.table.endpoint(id);
                (id, endpoint.map_or("", |endpoint| endpoint.name.as_str()))
            });
            self.tell(alert, named, turn, reading).await?;
            let (Turn::Fires(firing) | Turn::Repeats(firing)) = turn else {
                self.remember(of, None).await?;
                continue;
            };
            self.remember(of, Some(firing)).await?;
        }
        Ok(())
    }

    async fn remember(&self, of: FiringOf, firing: Option<Firing>) -> Result<(), store::Error> {
        self.flow.store.set_firing(of, firing).await?;
        match firing {
            Some(firing) => drop(self.locked().insert(of, firing)),
            None => drop(self.locked().remove(&of)),
        }
        Ok(())
    }

    async fn tell(
        &self,
        alert: &Alert,
        endpoint: Option<(EndpointId, &str)>,
        turn: Turn,
        reading: Reading,
    ) -> Result<(), store::Error> {
        let (kind, firing) = match turn {
            Turn::Fires(firing) | Turn::Repeats(firing) => ("relay.alert.firing", firing),
            Turn::Resolves(firing) => ("relay.alert.resolved", firing),
        };
        let name = alert.name.as_str();
        tracing::warn!(
            alert = name,
            endpoint = endpoint.map(|(_, name)| name),
            kind,
            value = reading.value
        );
        let (threshold, window) = measure::measure_of(&alert.when);
        let facts = Facts {
            alert: Named { id: alert.id, name },
            endpoint: endpoint.map(|(id, name)| Named { id, name }),
            condition: alert.when.word(),
            limit: reading.limit,
            threshold,
            value: Some(reading.value).filter(|value| value.is_finite()),
            window_seconds: window.map(|window| window.as_secs()),
            since: firing.since,
            repeated: matches!(turn, Turn::Repeats(_)),
        };
        let about = endpoint.map(|(id, _)| id);
        let subject = about.map_or_else(String::new, |id| id.to_string());
        let (id, since, told_at) = (
            alert.id.to_string(),
            firing.since.to_string(),
            firing.told_at.to_string(),
        );
        let key = [id.as_str(), &subject, &since, &told_at];
        let Told { tenant, post } = Told::new(alert.tenant, kind, about, &facts, &key);
        self.flow.accept(tenant, None, vec![post]).await?;
        Ok(())
    }
}

fn endpoint_of(subject: i64) -> Option<EndpointId> {
    (subject != ALL).then(|| EndpointId::from_raw(subject))
}

fn turn(
    before: Option<Firing>,
    reading: Reading,
    repeat_every: Option<Duration>,
    now: Timestamp,
) -> Option<Turn> {
    let value = reading.value;
    match (before, reading.is_wrong?) {
        (None, true) => Some(Turn::Fires(Firing {
            since: now,
            told_at: now,
            value,
        })),
        (Some(firing), true) => {
            let is_due = repeat_every.is_some_and(|span| now.since(firing.told_at) >= span);
            is_due.then_some(Turn::Repeats(Firing {
                told_at: now,
                value,
                ..firing
            }))
        }
        (Some(firing), false) => Some(Turn::Resolves(firing)),
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::measure::compared;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);

    #[test]
    fn it_fires_once_repeats_when_asked_and_resolves_once() {
        let every = Some(Duration::from_secs(600));
        let fired = match turn(None, compared(7.0, true), every, NOW) {
            Some(Turn::Fires(firing)) => firing,
            other => panic!("{other:?}"),
        };
        let soon = NOW + Duration::from_secs(599);
        assert_eq!(turn(Some(fired), compared(8.0, true), every, soon), None);
        let later = NOW + Duration::from_secs(600);
        let repeated = Firing {
            since: NOW,
            told_at: later,
            value: 8.0,
        };
        assert_eq!(
            turn(Some(fired), compared(8.0, true), every, later),
            Some(Turn::Repeats(repeated))
        );
        assert_eq!(turn(Some(fired), compared(8.0, true), None, later), None);
        let unknown = Reading::default();
        assert_eq!(turn(Some(fired), unknown, every, later), None);
        assert_eq!(
            turn(Some(repeated), compared(0.0, false), every, later),
            Some(Turn::Resolves(repeated))
        );
        assert_eq!(turn(None, compared(0.0, false), every, later), None);
    }
}
