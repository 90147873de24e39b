//! What tests of listeners that come and go begin and end with.

use crate::support::*;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use unotify::*;

/// The tags of the listeners that have left.
#[derive(Debug, Clone, Default)]
pub(super) struct Left(Arc<Mutex<Vec<usize>>>);

impl Left {
    /// Those that the supervisor tells of from now on.
    pub(super) fn of(supervisor: &Supervisor) -> Left {
        let left = Left::default();
        let tell = left.clone();
        supervisor.on_close(move |tag| tell.push(tag)).unwrap();
        left
    }

    pub(super) fn push(&self, tag: usize) {
        self.0.lock().unwrap().push(tag);
    }

    /// In the order of numbers.
    pub(super) fn tags(&self) -> Vec<usize> {
        let mut tags = self.0.lock().unwrap().clone();
        tags.sort_unstable();
        tags
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A supervisor that echoes and runs on, also without listeners, and the listeners that leave it.
pub(super) fn runs_on(max_workers: usize) -> (Supervisor, Left) {
    let supervisor = supervisor(workers(max_workers).keep_running(true), echo);
    let left = Left::of(&supervisor);
    supervisor.start().unwrap();
    (supervisor, left)
}

/// So many more targets, each of which has called already.
pub(super) fn others_call(supervisor: &Supervisor, others: usize) -> Vec<Target> {
    let other = |_| {
        let (other, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        other.repeat(10);
        other
    };
    (0..others).map(other).collect()
}

/// A supervisor that is to run on, whose handler is known to block: it begins, pauses, and echoes.
pub(super) fn blocks(
    max_workers: usize,
    pause: Duration,
    begins: impl Fn() + Send + Sync + 'static,
) -> Supervisor {
    let supervisor = Supervisor::new(workers(max_workers).keep_running(true)).unwrap();
    let handler = move |n: &mut Notification| {
        begins();
        thread::sleep(pause);
        echo(n)
    };
    let flags = HandlerFlags::BLOCKING;
    supervisor.on_with("getppid", flags, handler).unwrap();
    supervisor
}

/// Ends the run of one that runs on.
pub(super) fn stop(supervisor: &Supervisor) {
    supervisor.stop();
    assert_eq!(status(supervisor.join()), Status::Stopped);
}
