//! What a process writes, line by line, to wait for and to look at.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::Notify;

/// The lines so far.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    written: Mutex<Written>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    has_ended: bool,
}

impl Output {
    /// Collects what comes out of `stream` until it ends.
    pub fn of(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let output = Self::default();
        let collecting = output.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                collecting.change(|written| written.lines.push(line));
            }
            collecting.change(|written| written.has_ended = true);
        });
        output
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.0.written.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_waiters();
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.0
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .join("\n")
    }

    /// Waits for the first line in which `look` finds something; `None` if the output ends
    /// before.
    pub async fn find<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        loop {
            // Registered before the look, so that a line between the two is not missed.
            let changed = self.0.changed.notified();
            {
                let written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
                let found = written.lines.iter().find_map(|line| look(line));
                if found.is_some() || written.has_ended {
                    return found;
                }
            }
            changed.await;
        }
    }

    /// Waits until the process has nothing more to say.
    pub async fn ended(&self) {
        let never: Option<()> = self.find(|_| None).await;
        debug_assert!(never.is_none());
    }
}
