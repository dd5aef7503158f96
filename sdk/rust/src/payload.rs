//! A payload that the relay holds.

use serde::de::DeserializeOwned;

use crate::{Fault, OrFault, host};

/// A payload that the relay holds. It is copied into the plugin as far as it is read: looking
/// at one field of a large document costs that field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload(pub(crate) u32);

impl Payload {
    /// Its length in bytes.
    pub fn size(self) -> usize {
        host::payload_size(self.0) as usize
    }

    /// All its bytes.
    pub fn bytes(self) -> Vec<u8> {
        host::payload_bytes(self.0)
    }

    /// All of it as text; `None` if it is not UTF-8.
    pub fn text(self) -> Option<String> {
        host::payload_text(self.0)
    }

    /// `length` bytes from `offset` on, fewer at the end.
    pub fn slice(self, offset: u32, length: u32) -> Vec<u8> {
        host::payload_slice(self.0, offset, length)
    }

    /// One value as JSON text, by JSON Pointer. `None`: no such value, or the payload is not JSON.
    pub fn value(self, pointer: &str) -> Option<String> {
        host::payload_json(self.0, pointer)
    }

    /// One value, by JSON Pointer. `None`: no such value, or one of another type.
    pub fn get<T: DeserializeOwned>(self, pointer: &str) -> Option<T> {
        serde_json::from_str(&self.value(pointer)?).ok()
    }

    /// One value, by JSON Pointer.
    ///
    /// # Errors
    /// [`Fault::Invalid`], naming the pointer, if it is absent or of another type.
    pub fn require<T: DeserializeOwned>(self, pointer: &str) -> Result<T, Fault> {
        let text = self
            .value(pointer)
            .or_invalid(format!("the payload has no value at {pointer:?}"))?;
        serde_json::from_str(&text)
            .map_err(|error| Fault::invalid(format!("the value at {pointer:?}: {error}")))
    }

    /// The whole document.
    ///
    /// # Errors
    /// [`Fault::Invalid`] if the payload is not JSON of this type.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Fault> {
        serde_json::from_slice(&self.bytes()).map_err(|error| Fault::invalid(format!("the payload: {error}")))
    }
}
