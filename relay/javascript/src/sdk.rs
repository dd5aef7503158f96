//! The SDK for authors, which is part of this crate: what a plugin imports as `@relay/plugin`.

/// What an author imports.
pub(crate) const MODULE: &str = "@relay/plugin";
/// The module that QuickJS is started with.
pub(crate) const ENTRY: &str = "/@relay/entry.js";
/// Evaluated before any module: what every JavaScript has and QuickJS has not.
pub(crate) const PRELUDE: &str = concat!(
    include_str!("../../../sdk/javascript/src/prelude/text.js"),
    include_str!("../../../sdk/javascript/src/prelude/clone.js"),
    include_str!("../../../sdk/javascript/src/prelude/url.js"),
    include_str!("../../../sdk/javascript/src/prelude/absent.js"),
);

/// Powers that have to be named: their modules are of the same name.
pub(crate) const POWERS: [&str; 6] = ["secrets", "crypto", "state", "http", "judge", "media"];

macro_rules! modules {
    ($($name:literal),*) => {
        [$((
            concat!("/@relay/plugin/", $name),
            include_str!(concat!("../../../sdk/javascript/src/", $name)),
        )),*]
    };
}

const MODULES: [(&str, &str); 18] = modules![
    "index.js",
    "answer.js",
    "call.js",
    "config.js",
    "console.js",
    "crypto.js",
    "event.js",
    "fault.js",
    "hooks.js",
    "http.js",
    "judge.js",
    "log.js",
    "media.js",
    "payload.js",
    "secret-errors.js",
    "secrets.js",
    "state.js",
    "value.js"
];

/// The path of the module that an author imports.
pub(crate) const INDEX: &str = "/@relay/plugin/index.js";

/// The text of a module of the SDK.
pub(crate) fn module(path: &str) -> Option<&'static str> {
    MODULES
        .iter()
        .find(|(name, _)| *name == path)
        .map(|(_, text)| *text)
}
