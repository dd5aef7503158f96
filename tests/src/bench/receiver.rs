//! The receiver: answers every request at once and notes when each event came.
//!
//! The path tells the lane, `/00` to `/15`: deliveries of one event to several endpoints are
//! counted apart. Any other path is lane 0; `/hang` is never answered.
//! On its standard input it is asked `status` or `dump PATH`; the end of it ends the receiver.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::signature::Verifier;
use super::{system, trace, wire, worker};

/// Endpoints that are told apart.
pub(super) const LANES: usize = 16;
/// One event in so many has its signature and its body checked.
const SAMPLE_EVERY: u64 = 1000;
/// Room for a delivery: head, body and some of the next.
const BUFFER_BYTES: usize = 16 * 1024;
/// Events beyond this are refused: the tables are indexed by sequence number.
const SEQUENCE_MAX: u64 = 20_000_000;
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// How a receiver is started.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Options {
    /// Check one delivery in a thousand against this `whsec_` secret.
    #[arg(long)]
    secret: Option<String>,
    /// A text that no sampled delivery may contain.
    #[arg(long)]
    forbid: Option<String>,
}

/// What a receiver says of itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Status {
    /// Requests, those that came again included.
    pub requests: u64,
    /// Different events, by lane.
    pub distinct: Vec<u64>,
    pub sampled: u64,
    /// Requests that were not as they should be, and what was wrong with the first.
    pub faulty: u64,
    pub fault: Option<String>,
}

/// The first line a receiver writes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub port: u16,
}

/// Receives until standard input ends.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let book = Rc::new(RefCell::new(Book::new(&options)?));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("the receiver found no port")?;
    worker::say(&Ready {
        port: listener.local_addr()?.port(),
    })?;
    let tasks = tokio::task::LocalSet::new();
    tasks.spawn_local(accept(listener, Rc::clone(&book)));
    tasks.run_until(obey(&book)).await
}

/// Answers what standard input asks.
async fn obey(book: &RefCell<Book>) -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(path) = line.strip_prefix("dump ") {
            book.borrow().dump(&PathBuf::from(path))?;
        }
        worker::say(&book.borrow().status)?;
    }
    Ok(())
}

async fn accept(listener: TcpListener, book: Rc<RefCell<Book>>) {
    // A connection that breaks is the sender's to report: its event does not arrive.
    while let Ok((stream, _)) = listener.accept().await {
        let book = Rc::clone(&book);
        tokio::task::spawn_local(async move { serve(stream, &book).await });
    }
}

async fn serve(mut stream: TcpStream, book: &RefCell<Book>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        while let Some(total) = complete(&buffer[..filled], book)? {
            if buffer.starts_with(b"POST /hang") {
                std::future::pending::<()>().await;
            }
            stream.write_all(ANSWER).await?;
            buffer.copy_within(total..filled, 0);
            filled -= total;
        }
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
    }
}

/// Notes the request at the start of `bytes` if it is complete; its length in bytes.
fn complete(bytes: &[u8], book: &RefCell<Book>) -> anyhow::Result<Option<usize>> {
    let head = match wire::Head::read(bytes) {
        Ok(Some(head)) if head.total() <= bytes.len() => head,
        Ok(_) => return Ok(None),
        Err(malformed) => {
            book.borrow_mut().status.blame(malformed.to_string());
            return Err(malformed.into());
        }
    };
    book.borrow_mut()
        .note(&bytes[..head.head], &bytes[head.head..head.total()]);
    Ok(Some(head.total()))
}

impl Status {
    fn blame(&mut self, fault: String) {
        self.faulty += 1;
        self.fault.get_or_insert(fault);
    }
}

/// What has been received.
#[derive(Debug)]
struct Book {
    /// When each event first came, by lane and sequence number; 0: not yet.
    arrivals: Vec<Vec<u64>>,
    status: Status,
    verifier: Option<Verifier>,
    forbidden: Option<memchr::memmem::Finder<'static>>,
}

impl Book {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let verifier = match &options.secret {
            Some(secret) => Some(Verifier::new(secret).context("--secret is no whsec_ secret")?),
            None => None,
        };
        let forbidden = options
            .forbid
            .as_ref()
            .map(|text| memchr::memmem::Finder::new(text).into_owned());
        Ok(Self {
            arrivals: vec![Vec::new(); LANES],
            status: Status {
                distinct: vec![0; LANES],
                ..Status::default()
            },
            verifier,
            forbidden,
        })
    }

    fn note(&mut self, head: &[u8], body: &[u8]) {
        let now = system::monotonic();
        self.status.requests += 1;
        let Some(sequence) = wire::sequence(body).filter(|sequence| *sequence < SEQUENCE_MAX) else {
            self.status
                .blame("a delivery came without its sequence number".to_owned());
            return;
        };
        self.arrive(lane(head), sequence, now);
        if sequence % SAMPLE_EVERY == 0 {
            self.sample(head, body);
        }
    }

    fn arrive(&mut self, lane: usize, sequence: u64, now: u64) {
        let arrivals = &mut self.arrivals[lane];
        let index = usize::try_from(sequence).unwrap_or(usize::MAX);
        if index >= arrivals.len() {
            arrivals.resize(index + 1, 0);
        }
        if arrivals[index] == 0 {
            arrivals[index] = now;
            self.status.distinct[lane] += 1;
        }
    }

    fn sample(&mut self, head: &[u8], body: &[u8]) {
        self.status.sampled += 1;
        if let Some(Err(fault)) = self.verifier.as_ref().map(|verifier| verifier.check(head, body)) {
            self.status.blame(fault);
        }
        if self
            .forbidden
            .as_ref()
            .is_some_and(|text| text.find(body).is_some())
        {
            self.status
                .blame("a delivery contains what a plugin should have taken out".to_owned());
        }
    }

    /// Writes the arrivals of each lane that has any to `path` with the lane as extension.
    fn dump(&self, path: &std::path::Path) -> std::io::Result<()> {
        for (lane, arrivals) in self
            .arrivals
            .iter()
            .enumerate()
            .filter(|(_, arrivals)| !arrivals.is_empty())
        {
            trace::write(&path.with_extension(lane.to_string()), arrivals.iter().copied())?;
        }
        Ok(())
    }
}

/// The lane in a request's path.
fn lane(head: &[u8]) -> usize {
    let digits = head
        .get("POST /".len()..)
        .and_then(|path| path.get(..2))
        .unwrap_or_default();
    let lane = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok());
    lane.filter(|lane| *lane < LANES).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(book: &RefCell<Book>, path: &str, sequence: u64) {
        let event = wire::Template::new("h", "k", "bench.event", 1)
            .numbered(sequence)
            .to_vec();
        let request = String::from_utf8_lossy(&event).replace("/v1/events", path);
        let taken = complete(request.as_bytes(), book)
            .expect("well-formed")
            .expect("complete");
        assert_eq!(taken, request.len());
    }

    #[test]
    fn an_event_that_comes_again_counts_once_in_its_lane() {
        let book = RefCell::new(Book::new(&Options::default()).expect("a book"));
        for (path, sequence) in [("/00", 5), ("/00", 5), ("/07/x", 5), ("/v1/events", 6)] {
            deliver(&book, path, sequence);
        }
        let status = &book.borrow().status;
        assert_eq!(
            (
                status.requests,
                status.distinct[0],
                status.distinct[7],
                status.faulty
            ),
            (4, 2, 1, 0)
        );
    }

    #[test]
    fn a_sample_without_signature_or_with_forbidden_text_is_a_fault() {
        let secret = Some(super::super::signature::SECRET.to_owned());
        let forbid = Some(wire::PHONE_NUMBER.to_owned());
        for options in [Options { secret, forbid: None }, Options { secret: None, forbid }] {
            let book = RefCell::new(Book::new(&options).expect("a book"));
            deliver(&book, "/00", 999);
            assert_eq!(book.borrow().status.faulty, 0, "only samples are checked");
            deliver(&book, "/00", 1000);
            assert_eq!(book.borrow().status.faulty, 1, "{options:?}");
        }
    }
}
