//! The thin layer between the SDK and whoever holds the payloads: the relay when the plugin is
//! a component, [`crate::testing`] when it is compiled natively. Both offer the same functions.

#[cfg(target_arch = "wasm32")]
mod relay;
#[cfg(target_arch = "wasm32")]
pub(crate) use relay::*;

#[cfg(not(target_arch = "wasm32"))]
mod fake;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use fake::*;
