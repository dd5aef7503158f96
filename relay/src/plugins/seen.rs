//! What was learned of a component's file, so that the next start need not read it again.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::file_identity::FileIdentity;
use super::manifest::Inspection;
use super::v0_1;
use crate::model::plugin::Version;

/// What is known of a component once it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) version: Version,
    /// What its compiled code is found by.
    #[serde(serialize_with = "write_digest", deserialize_with = "read_digest")]
    pub(super) digest: blake3::Hash,
    pub(super) inspection: Inspection,
}

/// The same with what must still hold for it to be true.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// What has read it: another relay may judge the same bytes otherwise.
    reader: String,
    file: String,
    #[serde(flatten)]
    seen: Seen,
}

impl Note {
    pub(super) fn new(file: &FileIdentity, seen: Seen) -> Self {
        Self {
            reader: reader(),
            file: file.to_string(),
            seen,
        }
    }

    /// What it says, if it is of this file as it is now, by this relay.
    pub(super) fn of(self, file: &FileIdentity) -> Option<Seen> {
        let holds = self.reader == reader() && self.file == file.to_string();
        holds.then_some(self.seen)
    }
}

/// Stands for the code that reads manifests, so that none of its versions believes the notes of another.
fn reader() -> String {
    let judged_by = blake3::hash(include_bytes!("manifest.rs"));
    format!("{} {}", v0_1::VERSION, judged_by.to_hex())
}

fn write_digest<S: Serializer>(digest: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&digest.to_hex())
}

fn read_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<blake3::Hash, D::Error> {
    let digits = String::deserialize(deserializer)?;
    blake3::Hash::from_hex(digits).map_err(D::Error::custom)
}
