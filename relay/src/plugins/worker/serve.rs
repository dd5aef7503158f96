//! The worker itself: from its start to the end of the relay that started it.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::asker::{Asker, say};
use super::frame::{self, TO_WORKER_MAX};
use super::limit;
use super::message::{FromWorker, Terms, ToWorker};
use super::places::Places;
use crate::plugins::Settings;
use crate::plugins::engine::Runtime;

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the process that runs plugins cannot be limited: {0}")]
    Limits(io::Error),
    #[error("this command is for the relay, which starts it with a socket as its standard input: {0}")]
    NoRelay(io::Error),
    #[error("the runtime cannot start: {0}")]
    Start(io::Error),
    #[error("the relay cannot be understood: {0}")]
    Relay(String),
    #[error(transparent)]
    Plugins(#[from] crate::plugins::Error),
}

/// Takes from this process what it does not need, then runs plugins for the relay at the other end of
/// standard input, until that ends. Has to be called before there is a second thread.
///
/// # Errors
/// There is no relay, or it is not understood.
pub fn serve() -> Result<(), Error> {
    limit::close_inherited();
    let stream = stream().map_err(Error::NoRelay)?;
    // Asked for before: how many processors it may use stands in files of the system.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let is_walled = limit::wall();
    limit::lower().map_err(Error::Limits)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    let served = runtime.block_on(run(stream, is_walled));
    // Calls under way have nobody to answer to.
    runtime.shutdown_background();
    served
}

fn stream() -> io::Result<StdStream> {
    let stream = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails for what is no socket.
    stream.peer_addr()?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

async fn run(stream: StdStream, is_walled: bool) -> Result<(), Error> {
    // The relay is told to stop, and ends this process once it needs no plugin any more.
    let _ignored = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ]
    .map(|kind| signal(kind).map_err(Error::Start));
    let (input, output) = UnixStream::from_std(stream).map_err(Error::Start)?.into_split();
    let mut input = BufReader::with_capacity(frame::BUFFER_BYTES, input);
    let (out, queue) = mpsc::unbounded_channel();
    let writing = tokio::spawn(write(queue, output));
    let Some(ToWorker::Begin(terms)) = hear(&mut input).await? else {
        return Err(Error::Relay("it did not say on which terms".to_owned()));
    };
    let asker = Asker::new(out.clone());
    let mut places = Places::new(Runtime::new(&settings(terms))?, asker.clone(), out.clone());
    limit::no_more_processes().map_err(Error::Limits)?;
    say(&out, &FromWorker::Ready { is_walled });
    while let Some(message) = hear(&mut input).await? {
        match message {
            ToWorker::Begin(_) => return Err(Error::Relay("it began twice".to_owned())),
            ToWorker::Code(code) => places.take_code(&code),
            ToWorker::Place(place) => places.place(*place),
            ToWorker::Forget(place) => places.forget(place),
            ToWorker::Call(call) => places.call(*call),
            ToWorker::CallOff(call) => places.call_off(call),
            ToWorker::Answer { ask, answer } => asker.hear(ask, answer),
            ToWorker::Ping(number) => say(&out, &FromWorker::Pong(number)),
        }
    }
    writing.abort();
    Ok(())
}

/// `None`: the relay has gone.
async fn hear(input: &mut (impl AsyncRead + Unpin)) -> Result<Option<ToWorker>, Error> {
    match frame::read(input, || TO_WORKER_MAX).await {
        Ok(message) => Ok(Some(message)),
        Err(frame::Error::End) => Ok(None),
        Err(error) => Err(Error::Relay(error.to_string())),
    }
}

fn settings(terms: Terms) -> Settings {
    Settings {
        instances_max: terms.instances_max,
        memory_bytes_max: terms.memory_bytes_max,
        fuel: terms.fuel,
        ..Settings::new(PathBuf::new())
    }
}

async fn write(mut queue: mpsc::UnboundedReceiver<Vec<u8>>, mut output: OwnedWriteHalf) {
    while let Some(frame) = queue.recv().await {
        if output.write_all(&frame).await.is_err() {
            // The relay has gone, which the reading side sees too.
            return;
        }
    }
}
