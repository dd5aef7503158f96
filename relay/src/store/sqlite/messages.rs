//! Frozen messages as bytes.
//!
//! Version 1: the version byte; the checksum of the rest, 8 bytes; how many were sent; how
//! many there are; then for each its id, its headers, its body. Numbers are 4 bytes, all
//! little-endian; text and bytes come after their length, a list after its count.

use bytes::Bytes;

use super::checksum::Checksum;
use super::failure::Failure;
use crate::model::event::Header;
use crate::model::id::DeliveryId;
use crate::model::message::{Message, Messages};
use crate::store::Error;

/// The column, sealed and bound to its delivery.
pub(super) const COLUMN: &str = "deliveries.messages";

const VERSION: u8 = 1;
/// The version byte and the checksum.
const HEAD_BYTES: usize = 9;

/// The messages as bytes.
///
/// # Errors
/// One part is larger than 4 GiB.
pub(super) fn encode(messages: &Messages) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; HEAD_BYTES];
    write(&mut bytes, messages)
        .ok_or_else(|| Error::Unavailable("a message is larger than 4 GiB".to_owned()))?;
    let checksum = Checksum::new().bytes(&bytes[HEAD_BYTES..]).finish();
    bytes[0] = VERSION;
    bytes[1..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

fn write(bytes: &mut Vec<u8>, messages: &Messages) -> Option<()> {
    put_number(bytes, messages.sent)?;
    put_number(bytes, messages.list.len())?;
    for message in &messages.list {
        put(bytes, message.id.as_bytes())?;
        put_number(bytes, message.headers.len())?;
        for (name, value) in &message.headers {
            put(bytes, name.as_bytes())?;
            put(bytes, value.as_bytes())?;
        }
        put(bytes, &message.body)?;
    }
    Some(())
}

fn put_number(bytes: &mut Vec<u8>, number: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    Some(())
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    put_number(bytes, part.len())?;
    bytes.extend_from_slice(part);
    Some(())
}

/// The messages of a delivery from their bytes.
pub(super) fn decode(delivery: DeliveryId, bytes: &[u8]) -> Result<Messages, Failure> {
    open(bytes)
        .and_then(|rest| read(&mut Reader(rest)))
        .ok_or_else(|| {
            Failure::Corrupt(format!(
                "the messages of delivery {delivery} are not what was stored"
            ))
        })
}

/// What follows the head, if the head fits it.
fn open(bytes: &[u8]) -> Option<&[u8]> {
    let (version, bytes) = bytes.split_first()?;
    let (checksum, rest) = bytes.split_first_chunk::<8>()?;
    let fits = Checksum::new().bytes(rest).finish() == i64::from_le_bytes(*checksum);
    (*version == VERSION && fits).then_some(rest)
}

fn read(reader: &mut Reader<'_>) -> Option<Messages> {
    let sent = reader.number()?;
    let count = reader.number()?;
    let list = (0..count)
        .map(|_| read_message(reader))
        .collect::<Option<Vec<_>>>()?;
    reader.0.is_empty().then_some(Messages { list, sent })
}

fn read_message(reader: &mut Reader<'_>) -> Option<Message> {
    let id = reader.text()?;
    let count = reader.number()?;
    let headers = (0..count)
        .map(|_| Some((reader.text()?, reader.text()?)))
        .collect::<Option<Vec<Header>>>()?;
    Some(Message {
        id,
        headers,
        body: Bytes::copy_from_slice(reader.part()?),
    })
}

/// Bytes not yet read. A count from a foreign hand cannot make it allocate: collecting stops
/// at the first part that is missing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.part()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELIVERY: DeliveryId = DeliveryId::from_raw(1);

    fn two() -> Messages {
        let message = |id: &str, body: &'static [u8]| Message {
            id: id.to_owned(),
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: Bytes::from_static(body),
        };
        Messages {
            list: vec![message("msg_1", b"one"), message("msg_2", b"")],
            sent: 1,
        }
    }

    #[test]
    fn messages_round_trip() {
        for messages in [two(), Messages::default()] {
            let bytes = encode(&messages).expect("small messages");
            assert_eq!(decode(DELIVERY, &bytes).expect("what was encoded"), messages);
        }
    }

    #[test]
    fn every_cut_and_every_flip_is_noticed() {
        let bytes = encode(&two()).expect("small messages");
        for length in 0..bytes.len() {
            assert!(decode(DELIVERY, &bytes[..length]).is_err(), "cut at {length}");
            let mut flipped = bytes.clone();
            flipped[length] ^= 0x10;
            assert!(decode(DELIVERY, &flipped).is_err(), "flipped at {length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_behind_a_right_head_are_read_or_refused(rest: Vec<u8>) {
            let mut bytes = vec![VERSION];
            bytes.extend_from_slice(&Checksum::new().bytes(&rest).finish().to_le_bytes());
            bytes.extend_from_slice(&rest);
            drop(decode(DELIVERY, &bytes));
        }
    }
}
