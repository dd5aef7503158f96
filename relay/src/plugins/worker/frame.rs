//! Messages on a stream: each a length of four bytes, little-endian, and that many bytes.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of the length.
const HEAD: usize = 4;
/// Bytes that are read at once.
pub(super) const BUFFER_BYTES: usize = 64 << 10;
/// Longest message to the worker: compiled code, or the largest event there can be.
pub(super) const TO_WORKER_MAX: usize = 256 << 20;

/// What is wrong with what came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the stream ended")]
    End,
    #[error("a message of {size} bytes came, {max} are allowed")]
    TooLarge { size: usize, max: usize },
    #[error("a message cannot be read: {0}")]
    Malformed(postcard::Error),
    #[error(transparent)]
    Io(io::Error),
}

/// A message, ready to be written.
pub(super) fn frame(message: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(message, vec![0; HEAD])?;
    let length = u32::try_from(bytes.len() - HEAD).map_err(|_| postcard::Error::SerializeBufferFull)?;
    bytes[..HEAD].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// The next message, of up to `bytes_max`.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: impl Fn() -> usize,
) -> Result<T, Error> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await.map_err(ended)?;
    let (size, max) = (u32::from_le_bytes(head) as usize, bytes_max());
    if size > max {
        return Err(Error::TooLarge { size, max });
    }
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).await.map_err(ended)?;
    match postcard::take_from_bytes(&bytes) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Error::Malformed(postcard::Error::DeserializeBadEncoding)),
        Err(error) => Err(Error::Malformed(error)),
    }
}

fn ended(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Error::End
        }
        _ => Error::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &(u32, String)) -> Vec<u8> {
        frame(message).expect("it can be written")
    }

    async fn read_all(mut bytes: &[u8], max: usize) -> Result<(u32, String), Error> {
        read(&mut bytes, || max).await
    }

    #[tokio::test]
    async fn what_was_written_is_read() {
        let message = (7, "seven".to_owned());
        let bytes = written(&message);
        assert_eq!(read_all(&bytes, 64).await.expect("a message"), message);
    }

    #[tokio::test]
    async fn what_is_too_large_cut_off_or_no_message_is_refused() {
        let bytes = written(&(7, "seven".to_owned()));
        assert!(matches!(
            read_all(&bytes, 3).await,
            Err(Error::TooLarge { size: 7, max: 3 })
        ));
        for upto in 0..bytes.len() {
            assert!(
                matches!(read_all(&bytes[..upto], 64).await, Err(Error::End)),
                "{upto}"
            );
        }
        let mut longer = bytes.clone();
        longer[0] += 1;
        longer.push(0);
        assert!(matches!(read_all(&longer, 64).await, Err(Error::Malformed(_))));
        // A text that is longer than the message.
        let lying = [2, 0, 0, 0, 7, 0xff];
        assert!(matches!(read_all(&lying, 64).await, Err(Error::Malformed(_))));
    }
}
