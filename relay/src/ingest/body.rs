//! Reads a request's body, no more of it than allowed and no longer than allowed.

use std::fmt::Display;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::refuse::Refusal;

/// Bytes a second that a body has to come with, once [`START`] is over.
const PACE: u64 = 1024;
/// How long a body may take to get going.
const START: Duration = Duration::from_secs(5);
/// Room that is set aside before a body's second piece has come, at most.
const FIRST_ROOM: usize = 64 * 1024;

/// Reads a whole body of up to `limit` bytes within `deadline`, and no slower than [`PACE`].
///
/// A body that says it is larger is refused before any of it is read. A body that came in
/// one piece is passed on without a copy.
///
/// # Errors
/// [`Refusal::TooLarge`], [`Refusal::TooSlow`], or [`Refusal::BodyBroken`] when the
/// connection ended first.
pub async fn read<B>(body: B, limit: usize, deadline: Duration) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    let reader = Reader {
        body: pin!(body),
        began: Instant::now(),
        had: 0,
        limit,
        deadline,
    };
    reader.whole().await
}

/// A body, and how much of it was read.
struct Reader<'b, B> {
    body: Pin<&'b mut B>,
    began: Instant,
    had: usize,
    limit: usize,
    deadline: Duration,
}

impl<B> Reader<'_, B>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    async fn whole(mut self) -> Result<Bytes, Refusal> {
        let Some(first) = self.piece().await? else {
            return Ok(Bytes::new());
        };
        if self.body.is_end_stream() {
            return Ok(first);
        }
        let Some(second) = self.piece().await? else {
            return Ok(first);
        };
        let expected = usize::try_from(self.body.size_hint().lower())
            .unwrap_or(0)
            .min(FIRST_ROOM);
        let mut whole = BytesMut::with_capacity(first.len() + second.len() + expected);
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The next piece with bytes in it; trailers are thrown away.
    async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        while let Some(frame) = self.frame().await? {
            match frame.into_data() {
                Ok(piece) if piece.len() > self.limit - self.had => {
                    return Err(Refusal::TooLarge { limit: self.limit });
                }
                Ok(piece) if !piece.is_empty() => {
                    self.had += piece.len();
                    return Ok(Some(piece));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    async fn frame(&mut self) -> Result<Option<Frame<Bytes>>, Refusal> {
        let due = self.began + time_for(self.had, self.deadline);
        match tokio::time::timeout_at(due, self.body.frame()).await {
            Ok(frame) => frame
                .transpose()
                .map_err(|error| Refusal::BodyBroken(error.to_string())),
            Err(_) => Err(Refusal::TooSlow {
                deadline: self.deadline,
            }),
        }
    }
}

/// How long a body may have taken when more than `had` bytes of it are there.
fn time_for(had: usize, deadline: Duration) -> Duration {
    let paced = START + Duration::from_millis(had as u64 * 1000 / PACE);
    paced.min(deadline)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pieces(pieces: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = std::io::Error> {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let sent = Bytes::from(vec![b'x'; 1000]);
        let read = read(Full::new(sent.clone()), 1000, SECOND)
            .await
            .expect("within the limit");
        assert_eq!(read.as_ptr(), sent.as_ptr());
    }

    #[tokio::test]
    async fn pieces_are_put_together() {
        for (sent, whole) in [
            (vec![], &b""[..]),
            (vec![&b""[..]], b""),
            (vec![&b"ab"[..]], b"ab"),
            (vec![&b"ab"[..], b"", b"cd", b"e"], b"abcde"),
        ] {
            assert_eq!(
                read(pieces(sent), 5, SECOND).await.expect("within the limit"),
                whole
            );
        }
    }

    #[tokio::test]
    async fn one_byte_too_many_is_refused_announced_or_not() {
        let announced = read(Full::new(Bytes::from_static(b"abcdef")), 5, SECOND).await;
        let streamed = read(pieces(vec![b"ab", b"cd", b"ef"]), 5, SECOND).await;
        for refused in [announced, streamed] {
            assert!(
                matches!(refused, Err(Refusal::TooLarge { limit: 5 })),
                "{refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_broken_connection_is_no_short_body() {
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"ab"))),
            Err(std::io::Error::other("reset")),
        ];
        let read = read(StreamBody::new(stream::iter(frames)), 5, SECOND).await;
        assert!(matches!(read, Err(Refusal::BodyBroken(_))), "{read:?}");
    }

    #[test]
    fn a_body_has_time_by_what_has_come_of_it() {
        let deadline = 30 * SECOND;
        for (had, seconds) in [
            (0, 5),
            (1024, 6),
            (10 << 10, 15),
            (1 << 20, 30),
            (usize::MAX >> 10, 30),
        ] {
            assert_eq!(time_for(had, deadline), seconds * SECOND, "{had}");
        }
        assert_eq!(time_for(0, SECOND), SECOND);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let read = read(never, 5, Duration::ZERO).await;
        assert!(matches!(read, Err(Refusal::TooSlow { .. })), "{read:?}");
    }
}
