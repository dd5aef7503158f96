//! Plugins in JavaScript and TypeScript, built from source and run by the real host.

mod agrees;
mod author;
mod hostile;
mod kit;
mod prelude;
mod tutorial;
mod typescript;
