//! Plugins that come with the relay.

/// Their names and components, compiled from source by the build script.
pub(crate) static STOCK: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/stock.rs"));

/// A plugin that does nothing, by every hook: what a call costs by itself.
pub static NOTHING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relay-nothing.wasm"));

/// The stock plugin of that name.
pub fn find(name: &str) -> Option<&'static [u8]> {
    STOCK
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

/// The names of all stock plugins.
pub fn names() -> impl Iterator<Item = &'static str> {
    STOCK.iter().map(|(name, _)| *name)
}
