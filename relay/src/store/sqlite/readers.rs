//! Connections that only read, lent out one call at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::failure::Failure;
use super::{Error, schema};

/// A small pool; a connection is opened when it is first needed.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// One permit for each connection that may be in use.
    permits: Arc<Semaphore>,
}

impl Readers {
    /// A pool of at most `count` connections.
    pub(super) fn new(path: PathBuf, count: usize) -> Self {
        Self {
            path,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(count.max(1))),
        }
    }

    /// Runs `read` on a thread that may block.
    pub(super) async fn run<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(closed());
        };
        let (path, idle, permits) = (
            self.path.clone(),
            Arc::clone(&self.idle),
            Arc::clone(&self.permits),
        );
        let task = tokio::task::spawn_blocking(move || {
            let spare = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match spare {
                Some(connection) => connection,
                None => schema::open_reader(&path)?,
            };
            let value = read(&connection);
            // Kept only if sound: after a failure the next read gets a fresh one.
            if value.is_ok() && !permits.is_closed() {
                idle.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(connection);
            }
            drop(permit);
            value
        });
        match task.await {
            Ok(value) => Ok(value?),
            Err(error) => Err(Error::Unavailable(format!("a read did not end: {error}"))),
        }
    }

    /// Lends out no more.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn closed() -> Error {
    Error::Unavailable("it is closed: the relay is shutting down".to_owned())
}
