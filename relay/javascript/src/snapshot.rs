//! Starts QuickJS once, has it evaluate the modules, and keeps its memory.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::Context as _;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Lift, Linker, ResourceTable, WasmList};
use wasmtime::{Config, Engine, OptLevel, Store};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::Error;
use crate::link::LOADER;
use crate::modules::Modules;
use crate::sdk;

/// What is said of a call of the relay's, behind its name.
const REFUSED: &str = " is called while modules are evaluated";
/// Bytes kept of what is written to standard output or error while modules are evaluated.
const SAID_BYTES_MAX: usize = 16 << 10;
/// Code kept of linked QuickJS, by its digest: an author saves and builds again.
const COMPILED_MAX: usize = 4;

static ENGINE: LazyLock<wasmtime::Result<Engine>> = LazyLock::new(|| {
    let mut config = Config::new();
    // It runs for a moment: what counts is how fast it is compiled.
    config
        .cranelift_opt_level(OptLevel::None)
        .concurrency_support(false);
    Engine::new(&config)
});
static COMPILED: Mutex<Vec<(Vec<u8>, Component)>> = Mutex::new(Vec::new());

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// The component with its modules evaluated.
pub(crate) fn evaluate(linked: &[u8], modules: Modules) -> Result<Vec<u8>, Error> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .context("there is no runtime")?;
        runtime.block_on(snapshot(linked, modules))
    };
    // A thread of its own: the caller's may be driving another runtime.
    let done = std::thread::scope(|scope| scope.spawn(run).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn snapshot(linked: &[u8], modules: Modules) -> Result<Vec<u8>, Error> {
    let engine = ENGINE
        .as_ref()
        .map_err(|error| anyhow::anyhow!("there is no engine: {error}"))?;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(linked).map_err(tool)?;
    let component = compiled(engine, instrumented)?;
    let said = MemoryOutputPipe::new(SAID_BYTES_MAX);
    let mut store = store(engine, &said);
    let entry = modules.entry_text();
    let instance = linker(engine, &component, modules)
        .map_err(tool)?
        .instantiate_async(&mut store, &component)
        .await
        .map_err(tool)?;
    let init = instance
        .get_typed_func::<(&str, &str, Option<&str>, bool), (Result<(), String>,)>(&mut store, "init")
        .map_err(tool)?;
    let outcome = init
        .call_async(
            &mut store,
            (sdk::PRELUDE, entry.as_str(), Some(sdk::ENTRY), false),
        )
        .await;
    match outcome {
        Ok((Ok(()),)) => {}
        Ok((Err(why),)) => return Err(Error::Evaluation(plain(&why))),
        Err(trap) => return Err(Error::Evaluation(trapped(&trap, &said))),
    }
    let state = &mut State { store, instance };
    wizer.snapshot_component(&context, state).await.map_err(tool)
}

fn tool(error: wasmtime::Error) -> Error {
    Error::Tool(anyhow::anyhow!("{error:#}"))
}

/// Compiles, unless this very component was compiled a moment ago.
fn compiled(engine: &Engine, component: Vec<u8>) -> Result<Component, Error> {
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, code)) = kept.iter().find(|(of, _)| *of == component) {
        return Ok(code.clone());
    }
    let code = Component::new(engine, &component).map_err(tool)?;
    if kept.len() == COMPILED_MAX {
        kept.remove(0);
    }
    kept.push((component, code.clone()));
    Ok(code)
}

fn store(engine: &Engine, said: &MemoryOutputPipe) -> Store<Host> {
    let wasi = WasiCtx::builder()
        .stdout(said.clone())
        .stderr(said.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build();
    let table = ResourceTable::new();
    Store::new(engine, Host { wasi, table })
}

fn linker(engine: &Engine, component: &Component, modules: Modules) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let modules = Arc::new(modules);
    let loaded = modules.clone();
    let mut loader = linker.instance(LOADER)?;
    loader.func_wrap("resolve", move |_, (referrer, specifier): (String, String)| {
        Ok((modules.resolve(&referrer, &specifier),))
    })?;
    loader.func_wrap("load", move |_, (path,): (String,)| Ok((loaded.load(&path),)))?;
    refuse_the_relay(&mut linker, engine, component)?;
    Ok(linker)
}

/// Nothing of the relay is there while modules are evaluated: what is called of it traps. By hand, since
/// `define_unknown_imports_as_traps` goes by exact names, and so defines anew what WASI's other versions fit.
fn refuse_the_relay(
    linker: &mut Linker<Host>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            continue;
        };
        if !name.starts_with("relay:plugin/") {
            continue;
        }
        let mut closed = linker.instance(name)?;
        for (item, export) in interface.exports(engine) {
            if let ComponentItem::ComponentFunc(_) = export.ty {
                let called = format!("{name}#{item}");
                closed.func_new(item, move |_, _, _, _| wasmtime::bail!("{called}{REFUSED}"))?;
            }
        }
    }
    Ok(())
}

/// What QuickJS says, without what the tools around it put before it.
fn plain(why: &str) -> String {
    let why = why
        .strip_prefix("Failed to evaluate user JavaScript module: ")
        .unwrap_or(why);
    let why = [
        "Failed to declare JavaScript module: ",
        "Failed to evaluate JavaScript module: ",
        "Failed to finish JavaScript module evaluation: ",
    ]
    .into_iter()
    .find_map(|prefix| why.strip_prefix(prefix))
    .unwrap_or(why);
    let hint = match why.contains("Could not find export") {
        true => "; a type is imported by `import type`",
        false => "",
    };
    let why = why.replace("(/", "(").replace("at /", "at ").replace("'/", "'");
    format!("{}{hint}", why.trim_end())
}

/// `state.set` of what [`refuse_the_relay`] says.
fn of_the_relay(line: &str) -> Option<String> {
    let (called, _) = line.split_once(REFUSED)?;
    let (_, called) = called.split_once("relay:plugin/")?;
    let (interface, function) = called.split_once('#')?;
    let (interface, _) = interface.split_once('@')?;
    Some(format!("{interface}.{function}"))
}

/// Nothing of the relay is there while modules are evaluated.
fn trapped(trap: &wasmtime::Error, said: &MemoryOutputPipe) -> String {
    if let Some(called) = format!("{trap:?}").lines().find_map(of_the_relay) {
        return format!(
            "a module asks the relay for something ({called}) while it is loaded; that can be done within a hook \
             only, since modules are evaluated once, when the plugin is built"
        );
    }
    let said = said.contents();
    let said = String::from_utf8_lossy(&said);
    format!(
        "the modules cannot be evaluated: {} {}",
        trap.root_cause(),
        said.trim()
    )
}

/// What the memory of QuickJS is read through.
struct State {
    store: Store<Host>,
    instance: Instance,
}

impl State {
    /// Every name was put there by the same tool that asks for it.
    #[expect(
        clippy::expect_used,
        reason = "the interface of the tool has no room for errors"
    )]
    async fn ask<R: Lift + Send + Sync + 'static>(&mut self, instance: &str, func: &str) -> R {
        let interface = self.instance.get_export_index(&mut self.store, None, instance);
        let function = self
            .instance
            .get_export_index(&mut self.store, interface.as_ref(), func);
        let function = function.expect("the tool exports what it asks for");
        let function = self
            .instance
            .get_typed_func::<(), (R,)>(&mut self.store, &function);
        let function = function.expect("the tool knows its type");
        let (answer,) = function
            .call_async(&mut self.store, ())
            .await
            .expect("it only reads");
        answer
    }
}

impl ComponentInstanceState for State {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list = self.ask::<WasmList<u8>>(instance, func).await;
        contents(list.as_le_slice(&self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.ask(instance, func).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.ask(instance, func).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.ask::<f32>(instance, func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.ask::<f64>(instance, func).await.to_bits()
    }
}
