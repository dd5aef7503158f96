//! QuickJS, linked with the interface of one plugin.

use anyhow::Context as _;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wit_component::StringEncoding;

use crate::world::World;

/// QuickJS as a dynamic library, which looks at the interface that it is linked with: see `build.rs`.
const QUICKJS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/quickjs.wasm"));
/// What QuickJS imports to load modules. Nothing is behind it in a relay.
pub(crate) const LOADER: &str = "local:init/module-loader";

/// A component in which no module is loaded yet.
pub(crate) fn link(world: &World) -> anyhow::Result<Vec<u8>> {
    let (mut bridge, _) = wit_dylib::create_with_metadata(&world.resolve, world.id, None);
    wit_component::embed_component_metadata(&mut bridge, &world.resolve, world.id, StringEncoding::UTF8)?;
    let mut linker = wit_component::Linker::default();
    linker.library("quickjs.wasm", QUICKJS, false)?;
    linker.library("bridge.wasm", &bridge, false)?;
    linker
        .encoder()
        .adapter("wasi_snapshot_preview1", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    linker.encode().context("QuickJS cannot be linked")
}
