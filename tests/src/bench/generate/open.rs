//! The open loop: events are due at a fixed rate, and take turns over blocking connections.
//!
//! An event that finds its connection still waiting for the answer before counts as sent when
//! it was due: the time it waited is the target's doing. One that is late because the kernel
//! woke its thread late counts as sent when it was: that is the machine's doing.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{ANSWER_BYTES, Log, Plan, answer, closed_early, until};
use crate::bench::{system, wire, worker};

/// An answer that takes longer is none.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Sends until the time is up.
pub(super) async fn run(plan: &Plan, rate: f64) -> anyhow::Result<Log> {
    let interval = Duration::from_secs_f64(1.0 / rate);
    let connect = |turn| Connection::open(plan, turn);
    let connections = (0..plan.options.connections)
        .map(connect)
        .collect::<io::Result<Vec<_>>>()?;
    let threads: Vec<_> = connections
        .into_iter()
        .map(|connection| std::thread::spawn(move || connection.run(interval)))
        .collect();
    tokio::time::sleep(until(plan.window.from)).await;
    worker::say(&plan.window)?;
    let mut log = Log::default();
    for thread in threads {
        log.join(
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a sending thread panicked"))?,
        );
    }
    Ok(log)
}

struct Connection {
    stream: TcpStream,
    template: wire::Template,
    plan: Plan,
    /// Its place among the connections.
    turn: usize,
}

impl Connection {
    fn open(plan: &Plan, turn: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(&plan.options.target)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(Self {
            stream,
            template: plan.template.clone(),
            plan: plan.clone(),
            turn,
        })
    }

    fn run(mut self, interval: Duration) -> Log {
        let mut log = Log::default();
        for event in (self.turn as u64..).step_by(self.plan.options.connections) {
            let due = self.plan.start + super::nanos(interval.mul_f64(event as f64));
            if due >= self.plan.window.until {
                break;
            }
            let sent = wait_for(due);
            let sequence = self.plan.options.first + event;
            let status = self.exchange(sequence);
            log.note(sequence, sent, system::monotonic(), &status);
            if status.is_err() {
                break;
            }
        }
        log
    }

    fn exchange(&mut self, sequence: u64) -> io::Result<u16> {
        self.stream.write_all(self.template.numbered(sequence))?;
        let mut buffer = [0; ANSWER_BYTES];
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut buffer[filled..])?;
            if read == 0 {
                return Err(closed_early());
            }
            filled += read;
            if let Some(status) = answer(&buffer[..filled])? {
                return Ok(status);
            }
        }
    }
}

/// Waits until `due`; the moment from which the event counts as sent.
fn wait_for(due: u64) -> u64 {
    let early = until(due);
    if early.is_zero() {
        return due;
    }
    std::thread::sleep(early);
    system::monotonic()
}
