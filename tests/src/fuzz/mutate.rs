//! Inputs near the seeds: a seed with a few edits, each of which a shrinking failure can lose.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::Target;

/// Edits of one input.
const EDITS_MAX: usize = 8;
/// Longest piece that is removed, repeated or taken from another seed.
const PIECE_MAX: usize = 64;
/// Longest input: repeated pieces of pieces would soon be all there is.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Bytes at which readers take turns.
const TURNS: &[u8] = b"\0\x01\x7f\x80\xc0\xff\"\\/~{}[],:;=.%+-0 \t\r\n'`<>@#*";

/// A change to an input.
#[derive(Debug, Clone)]
enum Edit {
    Flip {
        at: Index,
        bit: u8,
    },
    Put {
        at: Index,
        byte: u8,
    },
    Insert {
        at: Index,
        bytes: Vec<u8>,
    },
    Remove {
        at: Index,
        len: usize,
    },
    Repeat {
        at: Index,
        len: usize,
        times: usize,
    },
    Splice {
        at: Index,
        seed: Index,
        from: Index,
        len: usize,
    },
}

/// Inputs for a target.
pub fn inputs(target: &Target) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = (target.seeds)();
    let edits = proptest::collection::vec(edit(target.words), 0..=EDITS_MAX);
    (any::<Index>(), edits).prop_map(move |(seed, edits)| {
        let mut input = seed.get(&seeds).clone();
        for edit in edits {
            edit.apply(&mut input, &seeds);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    })
}

fn edit(words: &'static [&'static str]) -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let len = 1..PIECE_MAX;
    let word = select(words).prop_map(|word| word.as_bytes().to_vec());
    let turn = select(TURNS).prop_map(|byte| vec![byte]);
    let bytes = prop_oneof![3 => word, 2 => turn, 1 => proptest::collection::vec(any::<u8>(), 1..8)];
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip { at, bit }),
        (at(), select(TURNS)).prop_map(|(at, byte)| Edit::Put { at, byte }),
        (at(), bytes).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        (at(), len.clone()).prop_map(|(at, len)| Edit::Remove { at, len }),
        (at(), len.clone(), 1..80_usize).prop_map(|(at, len, times)| Edit::Repeat { at, len, times }),
        (at(), at(), at(), len).prop_map(|(at, seed, from, len)| Edit::Splice { at, seed, from, len }),
    ]
}

impl Edit {
    fn apply(self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        // The end is a place too, but there is nothing to change at it.
        let place = |at: Index, input: &[u8]| at.index(input.len() + 1);
        match self {
            Self::Flip { at, bit } => {
                let at = place(at, input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Put { at, byte: new } => {
                let at = place(at, input);
                if let Some(byte) = input.get_mut(at) {
                    *byte = new;
                }
            }
            Self::Insert { at, bytes } => {
                let at = place(at, input);
                input.splice(at..at, bytes);
            }
            Self::Remove { at, len } => {
                let at = place(at, input);
                input.drain(at..input.len().min(at + len));
            }
            Self::Repeat { at, len, times } => {
                let at = place(at, input);
                let piece = input[at..input.len().min(at + len)].repeat(times);
                input.splice(at..at, piece);
            }
            Self::Splice { at, seed, from, len } => {
                let at = place(at, input);
                let seed = seed.get(seeds);
                let from = place(from, seed);
                input.splice(at..at, seed[from..seed.len().min(from + len)].iter().copied());
            }
        }
    }
}
