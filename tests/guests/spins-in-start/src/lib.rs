//! Never gets to the end of its start.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/filterer", generate_all });

use exports::relay::plugin::filter::{Decision, Guest};
use relay::plugin::types::{Event, Fault};

struct SpinsInStart;

impl Guest for SpinsInStart {
    fn filter(_: Event) -> Result<Decision, Fault> {
        Ok(Decision::Keep)
    }
}

extern "C" fn spin() {
    loop {
        std::hint::black_box(0);
    }
}

/// Run by `_initialize`, which a component calls while it is being instantiated.
#[used]
#[unsafe(link_section = ".init_array")]
static SPIN: extern "C" fn() = spin;

export!(SpinsInStart);
