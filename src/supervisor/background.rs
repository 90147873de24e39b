//! The run in the background: a thread that is waited for with a time limit.

use crate::error::{Error, Result, Status};
use crate::lock::lock;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// A run in the background.
#[derive(Debug)]
pub(super) struct Background {
    thread: JoinHandle<Result<()>>,
    end: Arc<End>,
}

/// Whether the run is over. Waited for without the thread's handle, which stays where it is.
#[derive(Debug, Default)]
pub(super) struct End {
    reached: Mutex<bool>,
    changed: Condvar,
}

/// Tells of the end, however the thread comes to it.
struct Teller(Arc<End>);

impl Drop for Teller {
    fn drop(&mut self) {
        *lock(&self.0.reached) = true;
        self.0.changed.notify_all();
    }
}

impl End {
    /// Waits until the run is over, at most until `deadline` (`None`: without limit); whether it is.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut reached = lock(&self.reached);
        while !*reached {
            reached = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                None => self
                    .changed
                    .wait(reached)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let waited = self.changed.wait_timeout(reached, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more.
    pub(super) fn start(
        body: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> io::Result<Background> {
        let end = Arc::new(End::default());
        let teller = Teller(Arc::clone(&end));
        let body = move || {
            let _teller = teller;
            body()
        };
        let thread = thread::Builder::new().name("unotify".into()).spawn(body)?;
        Ok(Background { thread, end })
    }

    pub(super) fn end(&self) -> Arc<End> {
        Arc::clone(&self.end)
    }

    /// Whether `end` is its own.
    pub(super) fn has(&self, end: &Arc<End>) -> bool {
        Arc::ptr_eq(&self.end, end)
    }

    /// Waits for the thread, and says how the run ended.
    pub(super) fn join(self) -> Result<()> {
        self.thread.join().unwrap_or_else(|_| {
            Err(Error::new(
                Status::Panic,
                "the supervisor's thread panicked",
            ))
        })
    }
}
