//! Guards against hanging, and waiting.

use super::{in_forked_child, slowed};
use std::cell::RefCell;
use std::io::{self, Write};
use std::process::abort;
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test may take: the one limit of all. None takes nearly as long, also on a machine that
/// has much else to do.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A moment, for what is about to happen in another process.
pub(crate) const MOMENT: Duration = Duration::from_millis(50);

thread_local! {
    /// What watches this thread's test, while it does.
    static WATCH: RefCell<Weak<Sender<()>>> = const { RefCell::new(Weak::new()) };
}

/// Watches a test as long as one of those that it was given is there.
#[derive(Debug)]
pub(crate) struct Watch(Option<Arc<Sender<()>>>);

/// Ends everything when the test that calls this goes on for longer than [`LIMIT`] with what it
/// returns. Whatever starts a process calls it too, so that no test has to think of it.
pub(crate) fn watch() -> Watch {
    // A child dies with its parent, which is watched.
    if in_forked_child() {
        return Watch(None);
    }
    WATCH.with_borrow_mut(|watch| {
        let done = watch.upgrade().unwrap_or_else(start);
        *watch = Arc::downgrade(&done);
        Watch(Some(done))
    })
}

fn start() -> Arc<Sender<()>> {
    let (done, wait) = channel::<()>();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    // The thread is there before the test begins, which may count threads.
    let (up, is_up) = channel();
    // Here, as the environment has a lock, and a process that is forked meanwhile would inherit it
    // from this thread, which it does not have.
    let limit = slowed(LIMIT);
    thread::spawn(move || {
        up.send(()).unwrap();
        if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            // Not with a macro, whose output the test runner captures.
            let _ = writeln!(io::stderr(), "{name} hangs");
            abort();
        }
    });
    is_up.recv().unwrap();
    Arc::new(done)
}

/// Runs a test and ends everything when it hangs.
pub(crate) fn watched<T>(test: impl FnOnce() -> T) -> T {
    let _watch = watch();
    test()
}

/// Waits for `condition`.
pub(crate) fn soon(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < slowed(Duration::from_secs(10)),
            "it did not come true"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
