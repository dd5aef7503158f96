//! Events held against the schemas of their types before they are taken. Events of types that do
//! not ask for it cost one look into a table.

use std::sync::Arc;

use bytes::Bytes;

use super::Flow;
use crate::directory::Directory;
use crate::ingest::Post;
use crate::model::catalogue::{EventType, Validate};
use crate::model::id::TenantId;
use crate::model::schema::{Mismatch, Schema};

/// An event that does not satisfy its type's schema.
#[derive(Debug)]
pub struct Misfit {
    /// Which of the posts it is.
    pub index: usize,
    pub event_type: Arc<EventType>,
    /// With pointers into the data.
    pub mismatches: Vec<Mismatch>,
}

impl Misfit {
    /// Whether the event may not be taken.
    pub fn is_refused(&self) -> bool {
        self.event_type.validate == Validate::Reject
    }
}

/// What has to be looked at.
struct Asked {
    index: usize,
    event_type: Arc<EventType>,
    data: Bytes,
}

impl Flow {
    /// The posts that do not satisfy the schemas of their types.
    pub async fn misfits(&self, tenant: TenantId, posts: &[Post]) -> Vec<Misfit> {
        let asked = asked(&self.directories.current(), tenant, posts);
        if asked.is_empty() {
            return Vec::new();
        }
        // Large data and large schemas together take long: nobody else waits for that.
        let looked = tokio::task::spawn_blocking(move || asked.into_iter().filter_map(misfit).collect());
        // A panic is our fault, not the event's: it goes on as if nobody had looked.
        looked.await.unwrap_or_default()
    }
}

fn asked(directory: &Directory, tenant: TenantId, posts: &[Post]) -> Vec<Asked> {
    let asked = posts.iter().enumerate().filter_map(|(index, post)| {
        let event_type = directory.validated(tenant, &post.envelope.kind)?;
        Some(Asked {
            index,
            event_type: Arc::clone(event_type),
            data: post.data.clone(),
        })
    });
    asked.collect()
}

fn misfit(asked: Asked) -> Option<Misfit> {
    let schema = asked.event_type.enforced()?;
    let mismatches = mismatches(schema, &asked.data);
    let Asked {
        index, event_type, ..
    } = asked;
    (!mismatches.is_empty()).then_some(Misfit {
        index,
        event_type,
        mismatches,
    })
}

/// What of some data does not satisfy a schema; data that are no JSON satisfy none.
pub fn mismatches(schema: &Schema, data: &[u8]) -> Vec<Mismatch> {
    match serde_json::from_slice(data) {
        Ok(value) => schema.mismatches(&value),
        Err(_) => vec![Mismatch {
            pointer: String::new(),
            problem: "the data are no JSON".to_owned(),
        }],
    }
}
