//! What tests and diagnoses share: how many may be under way, and what they have found out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::lately::Lately;
use crate::api::errors::Failure;
use crate::http::problem::Problem;
use crate::model::endpoint::Endpoint;
use crate::model::id::EndpointId;
use crate::model::time::Timestamp;

/// Tests and diagnoses under way at once: each waits for a receiver, for seconds.
const UNDER_WAY_MAX: usize = 16;
/// Receivers of which something is remembered.
const RECEIVERS_MAX: usize = 20_000;

/// See the module. What it remembers is forgotten at the end of the relay: it costs one request
/// to find out again.
#[derive(Debug)]
pub struct Bench {
    places: Arc<Semaphore>,
    receivers: Mutex<HashMap<EndpointId, Receiver>>,
    pub(super) lately: Lately,
}

/// What was found out of an endpoint's receiver.
#[derive(Debug)]
struct Receiver {
    /// Where it was met: of another one nothing is known.
    url: Url,
    certificate_ends: Option<Timestamp>,
    refuses_forgeries: Option<bool>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            receivers: Mutex::default(),
            lately: Lately::default(),
        }
    }
}

impl Bench {
    /// A place for one test or diagnosis.
    pub(in crate::api) fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{UNDER_WAY_MAX} tests and diagnoses are under way; try again in a moment");
            Failure(Problem::new(429, "too_many_tests", "Too many tests", detail))
        })
    }

    /// Notes when the certificate ends that an endpoint's receiver showed.
    pub(super) fn met(&self, endpoint: &Endpoint, certificate_ends: Option<Timestamp>) {
        self.note(endpoint, |receiver| receiver.certificate_ends = certificate_ends);
    }

    /// Notes whether an endpoint's receiver refused what was signed wrongly.
    pub(super) fn deceived(&self, endpoint: &Endpoint, refused: bool) {
        self.note(endpoint, |receiver| receiver.refuses_forgeries = Some(refused));
    }

    fn note(&self, endpoint: &Endpoint, note: impl FnOnce(&mut Receiver)) {
        let mut receivers = self.lock();
        if receivers.len() >= RECEIVERS_MAX && !receivers.contains_key(&endpoint.id) {
            return;
        }
        let fresh = || Receiver {
            url: endpoint.url.clone(),
            certificate_ends: None,
            refuses_forgeries: None,
        };
        let receiver = receivers.entry(endpoint.id).or_insert_with(fresh);
        if receiver.url != endpoint.url {
            *receiver = fresh();
        }
        note(receiver);
    }

    /// When the certificate ends that an endpoint's receiver showed, if anybody looked.
    pub(super) fn certificate_ends(&self, endpoint: &Endpoint) -> Option<Timestamp> {
        self.known(endpoint, |receiver| receiver.certificate_ends)
    }

    /// Whether an endpoint's receiver refuses what is signed wrongly, if anybody tried.
    pub(super) fn refuses_forgeries(&self, endpoint: &Endpoint) -> Option<bool> {
        self.known(endpoint, |receiver| receiver.refuses_forgeries)
    }

    fn known<T>(&self, endpoint: &Endpoint, read: impl FnOnce(&Receiver) -> Option<T>) -> Option<T> {
        let receivers = self.lock();
        let receiver = receivers.get(&endpoint.id)?;
        if receiver.url == endpoint.url {
            read(receiver)
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Receiver>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
