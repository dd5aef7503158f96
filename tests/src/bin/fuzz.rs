//! One fuzz target for long, under libFuzzer: `make fuzz`.
//!
//! The target's name comes from `FUZZ_TARGET`, since the arguments are libFuzzer's: folders with
//! inputs, and options such as `-max_total_time=60`. With `FUZZ_SEEDS`, the seeds are written
//! into that folder first, and the words of the target's language beside it.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use relay_tests::fuzz::{TARGETS, Target};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(init: prepare(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(input);
    }
});

fn prepare() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let names = TARGETS.map(|target| target.name).join(", ");
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}, not one of {names}"));
    if let Ok(folder) = std::env::var("FUZZ_SEEDS") {
        write(target, Path::new(&folder)).expect("seeds and words can be written");
    }
    TARGET.set(target).expect("this is called once");
}

/// Each seed in a file of its own, and the words beside the folder, as libFuzzer reads them.
fn write(target: &Target, folder: &Path) -> std::io::Result<()> {
    for (at, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{at}")), seed)?;
    }
    let word = |word: &&str| {
        let bytes: String = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{bytes}\"\n")
    };
    let words: String = target.words.iter().map(word).collect();
    std::fs::write(folder.with_extension("words"), words)
}
