//! Never gets to the end of taking its arguments: the relay asks it for memory to put them in.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/filterer", generate_all });

use std::alloc::{GlobalAlloc, Layout};

use exports::relay::plugin::filter::{Decision, Guest};
use relay::plugin::types::{Event, Fault};

struct Spins;

unsafe impl GlobalAlloc for Spins {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        loop {
            std::hint::black_box(0);
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Spins = Spins;

struct SpinsInRealloc;

impl Guest for SpinsInRealloc {
    fn filter(_: Event) -> Result<Decision, Fault> {
        Ok(Decision::Keep)
    }
}

export!(SpinsInRealloc);
