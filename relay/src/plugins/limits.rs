//! What one visit to a plugin may take of the machine.

use wasmtime::ResourceLimiter;

use crate::model::plugin::Limits;

/// Core instances within one component: SDKs of interpreted languages use about 20.
pub(super) const CORE_INSTANCES_MAX: usize = 40;
/// Linear memories within one component.
pub(super) const MEMORIES_MAX: usize = 8;
/// Tables within one component.
pub(super) const TABLES_MAX: usize = 40;
/// Calls that a plugin may make to the relay within one call of a hook.
pub(super) const HOST_CALLS_MAX: u32 = 100_000;
/// Bytes of stdout, and of stderr, that are kept of one call.
pub(super) const STDIO_BYTES_MAX: usize = 8 << 10;
/// Longest line of a log, in bytes.
pub(super) const LOG_LINE_BYTES_MAX: usize = 1 << 10;
/// Messages that one call of a transform may emit.
pub(super) const MESSAGES_MAX: usize = 100;

/// Counts the memory and the tables of one instance, whatever number of modules they are in.
#[derive(Debug)]
pub(super) struct Meter {
    memory: usize,
    memory_max: usize,
    elements: usize,
    elements_max: usize,
    /// What was asked for and refused.
    pub(super) refused: Option<Refused>,
}

/// What a plugin asked too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Memory { asked: usize },
    Elements { asked: usize },
}

impl Meter {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            memory_max: limits.memory_bytes,
            elements: 0,
            elements_max: limits.table_elements,
            refused: None,
        }
    }

    /// Bytes of all linear memories.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    pub(super) const fn memory_max(&self) -> usize {
        self.memory_max
    }

    pub(super) const fn elements_max(&self) -> usize {
        self.elements_max
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let fits = total <= self.memory_max;
        if fits {
            self.memory = total;
        } else {
            self.refused = Some(Refused::Memory { asked: total });
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        let fits = total <= self.elements_max;
        if fits {
            self.elements = total;
        } else {
            self.refused = Some(Refused::Elements { asked: total });
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
