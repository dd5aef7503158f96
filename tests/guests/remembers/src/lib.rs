//! Keeps what it saw and tells what it kept: the number of its calls, whether its memory
//! still holds the payload of an earlier one, and whether an earlier payload's number works.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/filterer", generate_all });

use std::sync::atomic::{AtomicU32, Ordering};

use exports::relay::plugin::filter::{Decision, Guest};
use relay::plugin::types::{Event, Fault};
use relay::plugin::{call, config, payload};

/// Written in two parts, so that the program itself does not hold it in one.
const MARKER: (&[u8], &[u8]) = (b"a-very-unusual", b"-marker-text");

static CALLS: AtomicU32 = AtomicU32::new(0);
static FIRST_BLOB: AtomicU32 = AtomicU32::new(0);

struct Remembers;

impl Guest for Remembers {
    fn filter(event: Event) -> Result<Decision, Fault> {
        let found = scan();
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let first = FIRST_BLOB.load(Ordering::Relaxed);
        if first == 0 {
            FIRST_BLOB.store(event.data, Ordering::Relaxed);
        } else if config::value("/reach-back").is_some() {
            // Traps unless the relay still knows the number of an earlier payload.
            payload::bytes(first);
        }
        // Keeps it in this instance's memory on purpose.
        std::mem::forget(payload::bytes(event.data));
        std::mem::forget(call::headers());
        Ok(Decision::Drop(format!("calls={calls} found={found}")))
    }
}

/// How often the marker stands in the memory of this instance, all of it.
fn scan() -> usize {
    let pages = core::arch::wasm32::memory_size(0);
    let (first, second) = MARKER;
    let mut found = 0;
    // From behind the null page on; every byte below the size is readable.
    for at in 1024..pages * 65_536 - first.len() - second.len() {
        let byte = |offset: usize| unsafe { std::ptr::read_volatile((at + offset) as *const u8) };
        let is_first = (0..first.len()).all(|index| byte(index) == first[index]);
        if is_first && (0..second.len()).all(|index| byte(first.len() + index) == second[index]) {
            found += 1;
        }
    }
    found
}

export!(Remembers);
