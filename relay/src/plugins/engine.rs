//! The wasmtime engine and what all plugins share of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::fault::Fault;
use super::limits::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use super::loader;
use super::pool::Pools;
use super::rooms::Rooms;
use super::ticker::Ticker;
use super::turns::Turns;
use super::v0_1;
use super::visit::Visit;
use super::{Error, Settings};
use crate::model::attempt::FaultKind;

/// Stack of a plugin's own code.
const WASM_STACK_BYTES: usize = 512 << 10;
/// Stack of a call: the plugin's, and what the relay's side of its imports needs.
const CALL_STACK_BYTES: usize = 2 << 20;
/// Bytes of an instance's memory that are wiped and kept for the next one instead of being
/// handed back to the kernel: a plugin in Rust dirties about 30 KiB, one in JavaScript 160.
const KEEP_MEMORY_BYTES: usize = 512 << 10;
const KEEP_TABLE_BYTES: usize = 64 << 10;
const KEEP_STACK_BYTES: usize = 64 << 10;
/// Slots whose memory stays as a plugin left it, for its next instance.
const WARM_SLOTS_MAX: u32 = 32;
/// Elements of one table, whatever limit an operator sets.
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Average share of the pool's tables and core instances that a component may be expected to
/// take; an instance of a larger one waits for a free place like any other.
const CORE_INSTANCES_USUAL: usize = 10;

/// How long a call may wait for a place. It does not count against the plugin's own time.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(2);

/// The engine, its clock, its places for instances.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<Visit>,
    pub(super) ticker: Ticker,
    pub(super) pools: Arc<Pools>,
    pub(super) turns: Turns,
    pub(super) rooms: Rooms,
    /// Whether instructions are counted.
    pub(super) has_fuel: bool,
    slots: Arc<Semaphore>,
    /// Calls that wait for a place.
    waiting: AtomicUsize,
}

impl Runtime {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let engine = engine(settings)?;
        let mut linker = Linker::new(&engine);
        v0_1::offer(&mut linker).map_err(Error::engine)?;
        loader::offer(&mut linker).map_err(Error::engine)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(Error::engine)?;
        let pools = Arc::new(Pools::default());
        let ticker = Ticker::start(engine.clone(), tidy(Arc::downgrade(&pools))).map_err(Error::Thread)?;
        let slots = Arc::new(Semaphore::new(settings.instances_max as usize));
        Ok(Self {
            engine,
            linker,
            ticker,
            pools,
            turns: Turns::new(),
            rooms: Rooms::new(settings.instances_max),
            has_fuel: settings.fuel,
            slots,
            waiting: AtomicUsize::new(0),
        })
    }

    /// A place for one more instance; waits for one if all are taken.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::at(&self.waiting);
        self.give_way();
        let slot = tokio::time::timeout(SLOT_WAIT_MAX, self.slots.clone().acquire_owned());
        match slot.await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(Fault::new(
                FaultKind::Unavailable,
                "the relay already runs as many plugins at once as it may".to_owned(),
            )),
        }
    }

    /// Whether a call waits for a place: then no instance is kept that only might be of use.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Takes down instances that only wait for their next call.
    pub(super) fn give_way(&self) {
        self.pools.clear();
    }
}

/// A call that waits, counted as long as this lives.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn at(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tidy(pools: Weak<Pools>) -> impl Fn() + Send {
    move || {
        if let Some(pools) = pools.upgrade() {
            pools.tidy();
        }
    }
}

/// With the pooling allocator if the machine lets it reserve its address space, else without.
fn engine(settings: &Settings) -> Result<Engine, Error> {
    let mut pooled = config();
    pooled.consume_fuel(settings.fuel);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!(%error, "plugins run without a pool of instances, which makes their calls slower");
        Engine::new(config().consume_fuel(settings.fuel)).map_err(Error::engine)
    })
}

/// An engine that only compiles, to code that the relay's own takes: how instances are
/// allocated makes no difference to it.
pub(super) fn compiler() -> Result<Engine, wasmtime::Error> {
    Engine::new(&config())
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(CALL_STACK_BYTES)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false);
    config
}

fn pool(settings: &Settings) -> PoolingAllocationConfig {
    let instances = settings.instances_max;
    let times = |each: usize| instances.saturating_mul(u32::try_from(each).unwrap_or(u32::MAX));
    let each = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_core_instances(times(CORE_INSTANCES_USUAL).max(each(CORE_INSTANCES_MAX)))
        .total_memories(times(2).max(each(MEMORIES_MAX)))
        .total_tables(times(CORE_INSTANCES_USUAL).max(each(TABLES_MAX)))
        .max_core_instances_per_component(each(CORE_INSTANCES_MAX))
        .max_memories_per_component(each(MEMORIES_MAX))
        .max_tables_per_component(each(TABLES_MAX))
        .max_tables_per_module(4)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(settings.memory_bytes_max)
        .max_unused_warm_slots(WARM_SLOTS_MAX)
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .async_stack_keep_resident(KEEP_STACK_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands for all that compiled code depends on.
    fn fits(engine: &Engine) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn what_the_compiler_makes_fits_the_engine_that_runs_it() {
        let settings = Settings::new("cache".into());
        let running = engine(&settings).expect("an engine");
        let compiling = compiler().expect("an engine that compiles");
        assert_eq!(fits(&running), fits(&compiling));
    }
}
