//! Where rendered text goes: bounded, and read along as JSON so that values can be escaped for
//! the place at which they stand.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// How far the text has come, shared by what writes it and what escapes values. Atomic only
/// because formatters have to be `Sync`: a plugin has one thread.
#[derive(Clone, Default)]
pub(crate) struct Place(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    writes: AtomicUsize,
}

/// Where the next character of JSON would stand.
const OUTSIDE: u8 = 0;
const IN_STRING: u8 = 1;
const AFTER_BACKSLASH: u8 = 2;

impl Place {
    pub(crate) fn is_in_string(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) != OUTSIDE
    }

    /// How often the output was written to. What does not come here goes into a variable
    /// (`{% set x %}…{% endset %}`) and will be escaped where that is used.
    pub(crate) fn writes(&self) -> usize {
        self.0.writes.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.0.state.store(OUTSIDE, Ordering::Relaxed);
    }

    fn advance(&self, text: &[u8]) {
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        let mut state = self.0.state.load(Ordering::Relaxed);
        for byte in text {
            state = match (state, byte) {
                (OUTSIDE, b'"') | (AFTER_BACKSLASH, _) => IN_STRING,
                (IN_STRING, b'"') => OUTSIDE,
                (IN_STRING, b'\\') => AFTER_BACKSLASH,
                (state, _) => state,
            };
        }
        self.0.state.store(state, Ordering::Relaxed);
    }
}

/// A text that does not grow beyond a limit.
pub(crate) struct Bounded<'p> {
    place: &'p Place,
    text: Vec<u8>,
    bytes_max: usize,
}

impl<'p> Bounded<'p> {
    pub(crate) fn new(place: &'p Place, bytes_max: usize) -> Self {
        place.begin();
        Self {
            place,
            text: Vec::new(),
            bytes_max,
        }
    }

    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.write_all(text)?;
        Ok(text.len())
    }

    /// Sees empty writes too, unlike `write`.
    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        if self.text.len() + text.len() > self.bytes_max {
            let max = self.bytes_max;
            return Err(io::Error::other(format!("the result has more than {max} bytes")));
        }
        self.place.advance(text);
        self.text.extend_from_slice(text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
