//! Inspectors: receivers within the relay that keep what they are sent for a while, to look at.
//!
//! An endpoint leads to one by `inspector://` and its token, without a request that leaves the
//! relay; anybody else by the path `/bin/` and its token. What they were sent is in memory only.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::clock::Clock;
use crate::crypto;
use crate::deliver::outcome::Failure;
use crate::deliver::send::{Answer, Outgoing, Wire};
use crate::ingest::headers::looks_like_a_credential;
use crate::model::audit::Deed;
use crate::model::id::{InspectorId, TenantId};
use crate::model::inspector::Inspector;
use crate::model::time::Timestamp;
use crate::store::{self, Store};

/// Inspectors of one tenant.
pub const INSPECTORS_MAX: usize = 100;
/// Requests that one keeps: the newest.
pub const REQUESTS_MAX: usize = 100;
/// Bytes of a request's body that are kept.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes that one inspector keeps.
const INSPECTOR_BYTES_MAX: usize = 1 << 20;
/// Bytes that all inspectors of one tenant keep.
const TENANT_BYTES_MAX: usize = 8 << 20;
/// Bytes that all inspectors together keep.
const BYTES_MAX: usize = 64 << 20;
/// What keeping a request costs beside its own bytes.
const OVERHEAD: usize = 256;
/// How long one is there.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Random bytes of a token: 160 bits.
const TOKEN_BYTES: usize = 20;
/// What stands in place of a value that may be a secret.
const HIDDEN: &str = "(hidden)";

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = InspectorWay)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From an endpoint, within the relay.
    Endpoint,
    /// Over the network.
    Network,
}

/// A request that was caught.
#[derive(Debug, Clone)]
pub struct Caught {
    /// Grows with each.
    pub number: i64,
    pub at: Timestamp,
    pub way: Way,
    pub method: String,
    /// What stands behind the token, query included.
    pub path: String,
    /// Values that may be secrets are hidden.
    pub headers: Vec<(String, String)>,
    /// At most [`BODY_BYTES_MAX`] of it.
    pub body: Bytes,
    /// Of the whole body.
    pub bytes: usize,
}

impl Caught {
    fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.body.len() + self.path.len() + headers.sum::<usize>() + OVERHEAD
    }
}

/// A request that has come in.
#[derive(Debug)]
pub struct Coming<'a> {
    pub way: Way,
    pub method: &'a http::Method,
    pub path: &'a str,
    pub headers: &'a [(HeaderName, HeaderValue)],
    pub body: Bytes,
}

/// Why an inspector cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there are {INSPECTORS_MAX} inspectors already; delete one")]
    TooMany,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// See the module.
pub struct Inspectors {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    benches: Mutex<Benches>,
}

#[derive(Default)]
struct Benches {
    by_token: HashMap<String, Bench>,
    /// The token of each request that is kept, by tenant and number: the oldest of a tenant first.
    kept: BTreeMap<(TenantId, i64), String>,
    /// Bytes that those of a tenant keep.
    by_tenant: HashMap<TenantId, usize>,
    /// Bytes that all keep.
    bytes: usize,
    /// Number of the last request.
    last: i64,
}

struct Bench {
    inspector: Inspector,
    /// Oldest first.
    caught: VecDeque<Caught>,
    bytes: usize,
}

impl std::fmt::Debug for Inspectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspectors").finish_non_exhaustive()
    }
}

impl Inspectors {
    /// Those that the store knows.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn load(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, store::Error> {
        let known = store.inspectors().await?;
        let by_token = known
            .into_iter()
            .map(|inspector| (inspector.token.clone(), Bench::of(inspector)));
        Ok(Self {
            benches: Mutex::new(Benches {
                by_token: by_token.collect(),
                ..Benches::default()
            }),
            store,
            clock,
        })
    }

    /// Makes one for the tenant of the deed, which is noted first.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn make(
        &self,
        id: InspectorId,
        name: String,
        status: StatusCode,
        deed: Deed,
    ) -> Result<Inspector, Refused> {
        let tenant = deed.tenant;
        self.clear().await?;
        if self.list(tenant).len() >= INSPECTORS_MAX {
            return Err(Refused::TooMany);
        }
        let now = self.clock.now();
        let inspector = Inspector {
            id,
            tenant,
            name,
            token: hex::encode(crypto::random::<TOKEN_BYTES>()),
            status: status.as_u16(),
            created_at: now,
            expires_at: now + TIME_TO_LIVE,
        };
        self.store.note(deed).await?;
        self.store.add_inspector(inspector.clone()).await?;
        let bench = Bench::of(inspector.clone());
        self.lock().by_token.insert(inspector.token.clone(), bench);
        Ok(inspector)
    }

    /// Forgets those whose time is over.
    async fn clear(&self) -> Result<(), store::Error> {
        let now = self.clock.now();
        let over: Vec<_> = {
            let benches = self.lock();
            let all = benches.by_token.values().map(|bench| &bench.inspector);
            let over = all.filter(|inspector| inspector.expires_at <= now);
            over.map(|inspector| (inspector.tenant, inspector.id)).collect()
        };
        for (tenant, id) in over {
            self.remove(tenant, id).await?;
        }
        Ok(())
    }

    /// Forgets one and what it was sent; false if there is none of that id.
    ///
    /// # Errors
    /// If the store cannot write; then nothing has changed.
    pub async fn remove(&self, tenant: TenantId, id: InspectorId) -> Result<bool, store::Error> {
        let is_it = |bench: &Bench| bench.inspector.id == id && bench.inspector.tenant == tenant;
        if !self.lock().by_token.values().any(is_it) {
            return Ok(false);
        }
        self.store.remove_inspector(tenant, id).await?;
        let mut benches = self.lock();
        let token = benches.by_token.iter().find(|(_, bench)| is_it(bench));
        if let Some(token) = token.map(|(token, _)| token.clone()) {
            while benches.forget_first(&token) {}
            benches.by_token.remove(&token);
        }
        Ok(true)
    }

    /// Those of a tenant whose time is not over, newest first, each with how many requests it
    /// keeps.
    pub fn list(&self, tenant: TenantId) -> Vec<(Inspector, usize)> {
        let now = self.clock.now();
        let benches = self.lock();
        let mut found: Vec<_> = benches
            .by_token
            .values()
            .filter(|bench| bench.inspector.tenant == tenant && bench.inspector.expires_at > now)
            .map(|bench| (bench.inspector.clone(), bench.caught.len()))
            .collect();
        found.sort_by_key(|(inspector, _)| std::cmp::Reverse(inspector.id));
        found
    }

    /// What one was sent, newest first; `None` if there is none of that id.
    pub fn caught(&self, tenant: TenantId, id: InspectorId) -> Option<Vec<Caught>> {
        let now = self.clock.now();
        let benches = self.lock();
        let mut all = benches.by_token.values();
        let is_it = |bench: &&Bench| {
            let Inspector {
                id: known,
                tenant: owner,
                expires_at,
                ..
            } = bench.inspector;
            known == id && owner == tenant && expires_at > now
        };
        let bench = all.find(is_it)?;
        Some(bench.caught.iter().rev().cloned().collect())
    }

    /// Catches a request; the status to answer with, `None` if there is no such inspector.
    pub fn catch(&self, token: &str, coming: &Coming<'_>) -> Option<StatusCode> {
        let now = self.clock.now();
        let mut benches = self.lock();
        let bench = benches.by_token.get(token);
        let bench = bench.filter(|bench| bench.inspector.expires_at > now)?;
        let (tenant, status) = (bench.inspector.tenant, bench.inspector.status);
        benches.last += 1;
        let caught = caught(coming, benches.last, now);
        benches.keep(token, tenant, caught);
        StatusCode::from_u16(status).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Benches> {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bench {
    const fn of(inspector: Inspector) -> Self {
        Self {
            inspector,
            caught: VecDeque::new(),
            bytes: 0,
        }
    }

    fn is_overfull(&self) -> bool {
        self.caught.len() > REQUESTS_MAX || self.bytes > INSPECTOR_BYTES_MAX
    }
}

impl Benches {
    /// Keeps a request; older ones of the same inspector or tenant make room, and if there is too
    /// little for all, those of the tenant that keeps the most.
    fn keep(&mut self, token: &str, tenant: TenantId, caught: Caught) {
        let Some(bench) = self.by_token.get_mut(token) else {
            return;
        };
        let weight = caught.weight();
        self.kept.insert((tenant, caught.number), token.to_owned());
        *self.by_tenant.entry(tenant).or_default() += weight;
        self.bytes += weight;
        bench.bytes += weight;
        bench.caught.push_back(caught);
        while self.by_token.get(token).is_some_and(Bench::is_overfull) && self.forget_first(token) {}
        while self
            .by_tenant
            .get(&tenant)
            .is_some_and(|bytes| *bytes > TENANT_BYTES_MAX)
            && self.forget_oldest(tenant)
        {}
        while self.bytes > BYTES_MAX {
            let most = self.by_tenant.iter().max_by_key(|(_, bytes)| **bytes);
            let Some(most) = most.map(|(tenant, _)| *tenant) else {
                break;
            };
            if !self.forget_oldest(most) {
                break;
            }
        }
    }

    /// Forgets the oldest request of a tenant; false if there is none.
    fn forget_oldest(&mut self, tenant: TenantId) -> bool {
        let mut own = self.kept.range((tenant, i64::MIN)..=(tenant, i64::MAX));
        let token = own.next().map(|(_, token)| token.clone());
        token.is_some_and(|token| self.forget_first(&token))
    }

    /// Forgets the oldest request of an inspector; false if there is none.
    fn forget_first(&mut self, token: &str) -> bool {
        let Some(bench) = self.by_token.get_mut(token) else {
            return false;
        };
        let Some(oldest) = bench.caught.pop_front() else {
            return false;
        };
        let (tenant, weight) = (bench.inspector.tenant, oldest.weight());
        bench.bytes -= weight;
        self.bytes -= weight;
        self.kept.remove(&(tenant, oldest.number));
        if let Some(bytes) = self.by_tenant.get_mut(&tenant) {
            *bytes -= weight;
            if *bytes == 0 {
                self.by_tenant.remove(&tenant);
            }
        }
        true
    }
}

fn caught(coming: &Coming<'_>, number: i64, at: Timestamp) -> Caught {
    let show = |(name, value): &(HeaderName, HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        // The signature proves the secret without telling it.
        let is_signature = name.as_str().starts_with("webhook-");
        let hides =
            value.is_sensitive() || !is_signature && looks_like_a_credential(name.as_str(), value.as_bytes());
        (name.to_string(), if hides { HIDDEN.to_owned() } else { text })
    };
    Caught {
        number,
        at,
        way: coming.way,
        method: coming.method.to_string(),
        path: coming.path.to_owned(),
        headers: coming.headers.iter().map(show).collect(),
        // Copied: a part would keep the whole alive.
        body: Bytes::copy_from_slice(&coming.body[..coming.body.len().min(BODY_BYTES_MAX)]),
        bytes: coming.body.len(),
    }
}

#[async_trait]
impl Wire for Inspectors {
    async fn exchange(&self, request: &Outgoing<'_>) -> Result<Answer, Failure> {
        let token = request.target.uri().host().unwrap_or_default();
        let coming = Coming {
            way: Way::Endpoint,
            method: request.method,
            path: "/",
            headers: request.headers,
            body: request.body.clone(),
        };
        match self.catch(token, &coming) {
            Some(status) => Ok(Answer {
                status,
                headers: HeaderMap::new(),
                body: Vec::new(),
            }),
            None => Err(Failure::refused(
                "there is no such inspector; its time may be over",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::model::audit::By;
    use crate::store::memory::MemoryStore;

    async fn inspectors() -> (Inspectors, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(
            1_770_000_000_000,
        )));
        let store = Arc::new(MemoryStore::new());
        let inspectors = Inspectors::load(store, Arc::clone(&clock) as Arc<dyn Clock>).await;
        (inspectors.expect("a store that works"), clock)
    }

    fn deed(tenant: TenantId) -> Deed {
        let now = Timestamp::from_millis(1);
        Deed::new(tenant, now, By::OPERATOR, "inspector.created")
    }

    async fn made(inspectors: &Inspectors, number: i64) -> Inspector {
        made_for(inspectors, TenantId::DEFAULT, number).await
    }

    async fn made_for(inspectors: &Inspectors, tenant: TenantId, number: i64) -> Inspector {
        let id = InspectorId::from_raw(number);
        let made = inspectors.make(id, String::new(), StatusCode::OK, deed(tenant));
        made.await.expect("there is room")
    }

    /// Fills one with as much as one keeps.
    fn fill(inspectors: &Inspectors, inspector: &Inspector) {
        for _ in 0..INSPECTOR_BYTES_MAX / BODY_BYTES_MAX {
            send(inspectors, &inspector.token, BODY_BYTES_MAX);
        }
    }

    fn kept(inspectors: &Inspectors, inspector: &Inspector) -> usize {
        let caught = inspectors.caught(inspector.tenant, inspector.id);
        caught.expect("it is there").len()
    }

    fn send(inspectors: &Inspectors, token: &str, body: usize) -> Option<StatusCode> {
        let coming = Coming {
            way: Way::Network,
            method: &http::Method::POST,
            path: "/",
            headers: &[],
            body: Bytes::from(vec![b'x'; body]),
        };
        inspectors.catch(token, &coming)
    }

    #[tokio::test]
    async fn the_newest_requests_are_kept_within_bounds() {
        let (inspectors, _) = inspectors().await;
        let inspector = made(&inspectors, 1).await;
        for _ in 0..REQUESTS_MAX + 5 {
            send(&inspectors, &inspector.token, 10);
        }
        let caught = inspectors
            .caught(inspector.tenant, inspector.id)
            .expect("it is there");
        assert_eq!(
            (caught.len(), caught[0].number),
            (REQUESTS_MAX, REQUESTS_MAX as i64 + 5)
        );
        for _ in 0..40 {
            send(&inspectors, &inspector.token, BODY_BYTES_MAX + 1);
        }
        let caught = inspectors
            .caught(inspector.tenant, inspector.id)
            .expect("it is there");
        assert_eq!(
            (caught[0].body.len(), caught[0].bytes),
            (BODY_BYTES_MAX, BODY_BYTES_MAX + 1)
        );
        let kept: usize = caught.iter().map(Caught::weight).sum();
        assert!(kept <= INSPECTOR_BYTES_MAX, "{kept}");
        assert_eq!(inspectors.lock().bytes, kept);
        assert!(
            inspectors
                .remove(inspector.tenant, inspector.id)
                .await
                .expect("it works")
        );
        assert_eq!(inspectors.lock().bytes, 0);
    }

    #[tokio::test]
    async fn a_tenant_takes_no_room_of_others() {
        let (inspectors, _) = inspectors().await;
        let mut greedy = Vec::new();
        for number in 0..10 {
            greedy.push(made(&inspectors, number).await);
        }
        let modest = made_for(&inspectors, TenantId::from_raw(7), 100).await;
        send(&inspectors, &modest.token, 10);
        greedy.iter().for_each(|inspector| fill(&inspectors, inspector));
        let own = inspectors.lock().by_tenant[&TenantId::DEFAULT];
        assert!((TENANT_BYTES_MAX / 2..=TENANT_BYTES_MAX).contains(&own), "{own}");
        assert_eq!(kept(&inspectors, &greedy[0]), 0, "the oldest went first");
        assert!(kept(&inspectors, &greedy[9]) > 0);
        assert_eq!(kept(&inspectors, &modest), 1);
        // Many tenants fill the whole: whoever has the most makes room for the others.
        for tenant in 1000..1016 {
            for number in 0..8 {
                let tenant = TenantId::from_raw(tenant);
                let inspector = made_for(&inspectors, tenant, tenant.raw() * 10 + number).await;
                fill(&inspectors, &inspector);
            }
        }
        assert_eq!(kept(&inspectors, &modest), 1);
        let benches = inspectors.lock();
        assert!(
            (BYTES_MAX / 2..=BYTES_MAX).contains(&benches.bytes),
            "{}",
            benches.bytes
        );
        assert_eq!(benches.by_tenant.len(), 18);
        let least = benches
            .by_tenant
            .iter()
            .filter(|(tenant, _)| **tenant != modest.tenant);
        let least = least.map(|(_, bytes)| *bytes).min().unwrap_or_default();
        assert!(least > BYTES_MAX / 18 / 2, "{least}");
    }

    #[tokio::test]
    async fn an_inspector_is_gone_when_its_time_is_over() {
        let (inspectors, clock) = inspectors().await;
        let inspector = made(&inspectors, 1).await;
        assert_eq!(send(&inspectors, &inspector.token, 1), Some(StatusCode::OK));
        clock.advance(TIME_TO_LIVE);
        assert_eq!(send(&inspectors, &inspector.token, 1), None);
        assert!(inspectors.list(inspector.tenant).is_empty());
        made(&inspectors, 2).await;
        assert_eq!(inspectors.store.inspectors().await.expect("it works").len(), 1);
    }

    #[tokio::test]
    async fn a_tenant_has_no_more_than_its_share() {
        let (inspectors, _) = inspectors().await;
        for number in 0..INSPECTORS_MAX as i64 {
            made(&inspectors, number).await;
        }
        let id = InspectorId::from_raw(1000);
        let more = inspectors.make(id, String::new(), StatusCode::OK, deed(TenantId::DEFAULT));
        assert!(matches!(more.await, Err(Refused::TooMany)));
        assert_eq!(send(&inspectors, "unknown", 1), None);
    }
}
