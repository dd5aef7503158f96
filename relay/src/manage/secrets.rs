//! What an endpoint signs with is replaced: the old secret signs beside the new one for a while.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Manager;
use super::assemble::{self, Reach};
use super::audit::Change;
use super::change::{Done, Handle, Refused, expect};
use super::entry::{Entry, Made, Origin};
use super::shelf::Shelf;
use crate::config::Config;
use crate::config::reader::parse_duration;
use crate::crypto::standard_webhooks::{SigningKey, generate_symmetric};
use crate::directory::{Target, own_secrets};
use crate::model::audit::By;
use crate::model::endpoint::Endpoint;
use crate::model::id::EndpointId;
use crate::model::secret::Secret;
use crate::store::{Error, Retiring, Rotation, SigningSecrets};

/// Secrets of one endpoint that retire at once, each a signature more on every message; and paths of
/// one source.
pub(super) const RETIRING_MAX: usize = 4;
/// How long what was replaced signs, if nothing else is said.
const OVERLAP_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long what was replaced shall sign; `None` if that is no span of time or too long.
pub fn overlap(text: Option<&str>) -> Option<Duration> {
    let overlap = text.map_or(Some(OVERLAP_DEFAULT), parse_duration);
    overlap.filter(|overlap| *overlap <= OVERLAP_MAX)
}

impl Manager {
    /// What an endpoint signs with, whether or not anything is sent to it, and what retires beside.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn secrets_of(&self, endpoint: &Endpoint) -> Result<(Vec<Secret>, Vec<Retiring>), Error> {
        let store = &self.workshop.store;
        let retiring = store.retiring_secrets(endpoint.id).await?;
        if !endpoint.secrets.is_empty() {
            return Ok((endpoint.secrets.clone(), retiring));
        }
        let (tenant, fresh) = (endpoint.tenant, SigningKey::generate());
        let own = store.signing_secrets(tenant, endpoint.id, fresh).await?;
        Ok((own_secrets(endpoint, &own), retiring))
    }

    /// Replaces what an endpoint signs with by a `given` secret or a fresh one; what it signed with
    /// goes on beside it for so long.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn rotate(
        &self,
        handle: Handle,
        given: Option<Secret>,
        overlap: Duration,
        by: By,
    ) -> Result<Arc<Entry>, Refused> {
        let config = self.lock().await;
        let entry = self
            .find(handle.tenant, handle.kind, Some(handle.id), "")
            .ok_or(Refused::Unknown)?;
        expect(handle, entry.resource.revision)?;
        let Some(target) = entry.target() else {
            return Err(Refused::Unusable(entry.why_unsent().to_owned()));
        };
        if target.endpoint.secrets.is_empty() {
            self.rotate_own(&entry, target, given, overlap).await
        } else {
            let rotation = (given, overlap, by);
            self.rotate_given(&config, &entry, target, rotation).await
        }
    }

    /// Secrets that the relay made, or was given by an earlier rotation: they are in the store
    /// alone, also those of an endpoint that the configuration file declares.
    async fn rotate_own(
        &self,
        entry: &Arc<Entry>,
        target: &Arc<Target>,
        given: Option<Secret>,
        overlap: Duration,
    ) -> Result<Arc<Entry>, Refused> {
        let (tenant, id) = (entry.resource.tenant, target.endpoint.id);
        let store = &self.workshop.store;
        let fresh = SigningKey::generate();
        let own = match given {
            None => fresh,
            Some(given) => {
                let kept = store.signing_secrets(tenant, id, fresh).await?;
                replaced(kept, given, target)?
            }
        };
        let signs = target.endpoint.signatures;
        let next = [(signs.v1, &own.symmetric), (signs.v1a, &own.asymmetric)];
        let next: Vec<_> = next.into_iter().filter(|(is_used, _)| *is_used).collect();
        let is_replaced = |secret: &&Secret| !next.iter().any(|(_, next)| next == secret);
        let replaced = target.secrets().iter().filter(is_replaced).cloned();
        let retiring = self.retiring(id, replaced.collect(), overlap).await?;
        let made = target.resigned(&own, retiring.clone(), &self.workshop.sender);
        let made = made.map_err(|error| Refused::Unusable(error.to_string()))?;
        let rotated = Arc::new(Entry {
            resource: entry.resource.clone(),
            origin: entry.origin,
            made: Made::Target(Arc::new(made)),
            unusable: entry.unusable.clone(),
        });
        let mut shelf = Shelf::clone(&self.shelf());
        shelf.insert(Arc::clone(&rotated));
        let directory = assemble::changed(
            &self.directories.current(),
            &shelf,
            &rotated.resource,
            Reach::Itself,
        )
        .map_err(|unusable| Refused::Unusable(unusable.to_string()))?;
        let rotation = Rotation {
            own: Some(own),
            retiring,
        };
        store.rotate_secrets(tenant, id, rotation).await?;
        self.swap(shelf, directory);
        Ok(rotated)
    }

    /// Secrets that stand in the definition: the new one takes their place there.
    async fn rotate_given(
        &self,
        config: &Config,
        entry: &Arc<Entry>,
        target: &Arc<Target>,
        (given, overlap, by): (Option<Secret>, Duration, By),
    ) -> Result<Arc<Entry>, Refused> {
        let resource = entry.resource.clone();
        if entry.origin == Origin::File {
            return Err(Refused::Declared(resource.name));
        }
        let next = given.unwrap_or_else(|| fresh_like(target));
        let is_replaced = |secret: &&Secret| **secret != next;
        let replaced = target.secrets().iter().filter(is_replaced).cloned();
        let id = target.endpoint.id;
        let retiring = self.retiring(id, replaced.collect(), overlap).await?;
        let store = &self.workshop.store;
        let before = store.retiring_secrets(id).await?;
        let rotation = Rotation { own: None, retiring };
        // Before the definition: until that has changed, what retires is what is in use.
        let tenant = resource.tenant;
        store.rotate_secrets(tenant, id, rotation).await?;
        let mut keys = resource.definition.keys.clone();
        keys.insert("secret".to_owned(), Value::String(next.reveal().to_owned()));
        let done = Done {
            by,
            change: Change::Changed,
            before: Some(&entry.resource.definition),
        };
        let written = self.write(config, resource, keys, done).await;
        if written.is_err() {
            let back = Rotation {
                own: None,
                retiring: before,
            };
            if let Err(error) = store.rotate_secrets(tenant, id, back).await {
                tracing::warn!(%error, endpoint = entry.resource.name, "a secret that was not replaced retires");
            }
        }
        written
    }

    /// What retires from now on: these, and what does already.
    async fn retiring(
        &self,
        endpoint: EndpointId,
        replaced: Vec<Secret>,
        overlap: Duration,
    ) -> Result<Vec<Retiring>, Refused> {
        let now = self.workshop.clock.now();
        let earlier = self.workshop.store.retiring_secrets(endpoint).await?;
        let until = now + overlap;
        let earlier = earlier.into_iter().filter(|old| !replaced.contains(&old.secret));
        let earlier: Vec<_> = earlier.collect();
        let replaced = replaced.into_iter().map(|secret| Retiring { secret, until });
        let mut retiring: Vec<_> = replaced.chain(earlier).collect();
        retiring.retain(|retiring| now < retiring.until);
        if retiring.len() > RETIRING_MAX {
            return Err(Refused::Retiring(RETIRING_MAX));
        }
        Ok(retiring)
    }
}

/// An endpoint's own secrets with one that was given in place of its like.
fn replaced(kept: SigningSecrets, given: Secret, target: &Target) -> Result<SigningSecrets, Refused> {
    let signs = target.endpoint.signatures;
    let is_asymmetric = SigningKey::parse(&given).is_ok_and(|key| key.public().is_some());
    match is_asymmetric {
        true if signs.v1a => Ok(SigningSecrets {
            asymmetric: given,
            ..kept
        }),
        false if signs.v1 => Ok(SigningSecrets {
            symmetric: given,
            ..kept
        }),
        true => Err(Refused::Unusable(
            "this endpoint makes no v1a signatures: give a whsec_…".to_owned(),
        )),
        false => Err(Refused::Unusable(
            "this endpoint makes no v1 signatures: give a whsk_…".to_owned(),
        )),
    }
}

/// A fresh secret of the kind that an endpoint signs with first.
fn fresh_like(target: &Target) -> Secret {
    match target.shared_secret() {
        Some(_) => generate_symmetric(),
        None => SigningKey::generate().asymmetric,
    }
}
