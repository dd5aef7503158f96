//! What a name stands for: one lookup at a time for each name, however many wait for it.
//!
//! The system's resolver blocks a thread until it has an answer or gives up, which may take far
//! longer than whoever asked waits. So those who ask for the same name at the same time share one
//! lookup, and all lookups together are bounded: a name server that hangs must not use up the
//! threads that the store reads with. Answers are not kept: each new connection asks anew.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Semaphore, watch};

use crate::deliver::outcome::Failure;
use crate::model::attempt::Cause;

/// Lookups under way at once, of all names together.
const LOOKUPS_MAX: usize = 64;

/// Finds out what a name stands for.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// Every address of a name, the preferred one first.
    ///
    /// # Errors
    /// If there is no such name, or nobody says.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver, with its own order of preference (RFC 6724).
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// What a lookup found, or why it did not.
type Found = Result<Arc<[IpAddr]>, Arc<str>>;

/// The lookup of one name that is under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Lookup(Mutex<Option<watch::Receiver<Option<Found>>>>);

/// Looks names up within the bounds of this module.
#[derive(Debug)]
pub(super) struct Lookups {
    resolver: Arc<dyn Resolve>,
    permits: Arc<Semaphore>,
}

impl Lookups {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self {
            resolver,
            permits: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }

    /// Every address of a name. The lookup goes on if the caller stops waiting, so that the next
    /// one finds it under way instead of starting another.
    pub(super) async fn addresses(&self, name: &str, lookup: &Lookup) -> Result<Arc<[IpAddr]>, Failure> {
        let mut under_way = lookup.join(|| self.start(name));
        let found = under_way.wait_for(Option::is_some).await;
        let found = found.ok().and_then(|found| found.clone());
        let found = found.unwrap_or_else(|| Err("the lookup broke off".into()));
        found.map_err(|reason| Failure::new(Cause::Dns, &*reason))
    }

    fn start(&self, name: &str) -> watch::Receiver<Option<Found>> {
        let (done, found) = watch::channel(None);
        let (resolver, permits, name) = (
            Arc::clone(&self.resolver),
            Arc::clone(&self.permits),
            name.to_owned(),
        );
        tokio::spawn(async move {
            // Never closed, so there is always a permit in the end.
            let _permit = permits.acquire().await;
            let found = resolver.resolve(&name).await;
            done.send_replace(Some(
                found.map(Arc::from).map_err(|error| error.to_string().into()),
            ));
        });
        found
    }
}

impl Lookup {
    fn join(&self, start: impl FnOnce() -> watch::Receiver<Option<Found>>) -> watch::Receiver<Option<Found>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that the task is gone: it broke off, or has long found what it sought.
        let is_under_way =
            |found: &watch::Receiver<Option<Found>>| found.has_changed().is_ok() && found.borrow().is_none();
        if let Some(under_way) = slot.as_ref().filter(|found| is_under_way(found)) {
            return under_way.clone();
        }
        slot.insert(start()).clone()
    }
}
