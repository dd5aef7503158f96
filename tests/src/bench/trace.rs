//! Moments by sequence number: what generator and receiver hand over when a load is done.
//!
//! Both sides write one file of little-endian 64-bit numbers, so that the benchmark can join
//! when an event was sent, accepted and received without either having worked it out under load.

use std::io;
use std::path::Path;

/// What became of one event, by the generator's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchange {
    pub sequence: u64,
    /// Nanoseconds on the monotonic clock, as all moments here.
    pub sent: u64,
    /// When the answer was complete.
    pub answered: u64,
    /// Whether the answer was a 2xx.
    pub accepted: bool,
}

/// Writes exchanges, three numbers each; the acceptance is the lowest bit of the first.
pub(super) fn write_exchanges(path: &Path, exchanges: &[Exchange]) -> io::Result<()> {
    let numbers = exchanges.iter().flat_map(|exchange| {
        [
            exchange.sequence << 1 | u64::from(exchange.accepted),
            exchange.sent,
            exchange.answered,
        ]
    });
    write(path, numbers)
}

/// Reads what [`write_exchanges`] wrote.
pub(super) fn read_exchanges(path: &Path) -> io::Result<Vec<Exchange>> {
    let numbers = read(path)?;
    let exchange = |entry: &[u64; 3]| Exchange {
        sequence: entry[0] >> 1,
        accepted: entry[0] & 1 == 1,
        sent: entry[1],
        answered: entry[2],
    };
    Ok(numbers.as_chunks().0.iter().map(exchange).collect())
}

/// Writes plain numbers.
pub(super) fn write(path: &Path, numbers: impl Iterator<Item = u64>) -> io::Result<()> {
    let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    std::fs::write(path, bytes)
}

/// Reads what [`write`] wrote.
pub(super) fn read(path: &Path) -> io::Result<Vec<u64>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes
        .as_chunks()
        .0
        .iter()
        .map(|entry| u64::from_le_bytes(*entry))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trace");
        let exchanges = [
            Exchange {
                sequence: 0,
                sent: 1,
                answered: 2,
                accepted: false,
            },
            Exchange {
                sequence: 7,
                sent: 3,
                answered: u64::MAX,
                accepted: true,
            },
        ];
        write_exchanges(&path, &exchanges).expect("written");
        assert_eq!(read_exchanges(&path).expect("read"), exchanges);
    }
}
