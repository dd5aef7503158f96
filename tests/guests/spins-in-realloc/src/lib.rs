//! Never gets to the end of taking its arguments: the relay asks it for memory to put them in.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/filterer", generate_all });

use exports::relay::plugin::filter::{Decision, Guest};
use relay::plugin::types::{Event, Fault};

struct SpinsInRealloc;

impl Guest for SpinsInRealloc {
    fn filter(_: Event) -> Result<Decision, Fault> {
        Ok(Decision::Keep)
    }
}

/// What the relay calls for that memory, in place of the one that bindings bring along.
#[unsafe(no_mangle)]
extern "C" fn cabi_realloc(_: *mut u8, _: usize, _: usize, _: usize) -> *mut u8 {
    loop {
        std::hint::black_box(0);
    }
}

export!(SpinsInRealloc);
