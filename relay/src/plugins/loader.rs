//! What QuickJS imports beside the interface of plugins: a door through which it loads modules while a
//! plugin in JavaScript is built. In a relay nothing is behind it.
//!
//! It could be closed in the component itself, by another component inside; each instance would then
//! have one more memory, and the engine would have to allow modules that have several.

use wasmtime::component::{Linker, WasmStr};

use super::visit::Visit;

/// Its name.
pub(super) const DOOR: &str = "local:init/module-loader";
const CLOSED: &str = "modules are loaded when a plugin is built, and not afterwards";

type Found = wasmtime::Result<(Result<String, String>,)>;

/// Offers it, closed.
pub(super) fn offer(linker: &mut Linker<Visit>) -> wasmtime::Result<()> {
    let mut door = linker.instance(DOOR)?;
    door.func_wrap("resolve", |_, (_, _): (WasmStr, WasmStr)| -> Found { closed() })?;
    door.func_wrap("load", |_, (_,): (WasmStr,)| -> Found { closed() })
}

fn closed() -> Found {
    Ok((Err(CLOSED.to_owned()),))
}
