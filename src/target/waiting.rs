//! Calls that have to wait for somebody, made for a target by a thread of their own.
//!
//! One that waits takes one thread, which sleeps; it takes no worker of a supervisor. Another thread,
//! the *attendant*, one for all of the process, looks after the targets meanwhile: one that is gone, or
//! that a signal waits for (see [`super::interruption`]), ends the wait. It gets the thread out of its
//! call as a receiving thread is got out ([`interrupt`](crate::kernel::interrupt)). Where the signal may
//! come before the call and the call does not notice, it sends another one the next time it looks.
//!
//! A thread that has nothing to do any more stays for a moment, as starting one takes longer than most
//! calls.

use super::create::no_thread;
use super::interruption;
use crate::error::{Error, Result, Status};
use crate::kernel::fork::Process;
use crate::kernel::interrupt::{Mark, Receiver};
use crate::kernel::{self, seccomp, signals, Errno};
use crate::lock::lock;
use crate::notification::Notification;
use crate::shared::Shared;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How many calls may wait at the same time in a process.
const MAX_WAITING: usize = 1024;

/// How often the attendant looks after the targets, and how long it may take it at most for each in
/// the long run: a look takes some microseconds.
const INTERVAL: Duration = Duration::from_millis(10);
const INTERVAL_EACH: Duration = Duration::from_micros(500);

const STACK: usize = 128 * 1024;

/// How many threads may have nothing to do, and for how long.
const MAX_IDLE: usize = 4;
const IDLE: Duration = Duration::from_millis(200);

/// The target waits.
const WAITS: u8 = 0;
/// It does not any more.
const GONE: u8 = 1;
/// A signal waits for it.
const SIGNALLED: u8 = 2;

/// What became of a call that was waited for.
pub(super) enum Outcome<T> {
    /// The kernel has made it.
    Made(kernel::Result<T>),
    /// A signal waits for the target.
    Signalled,
    /// The target does not wait any more.
    Gone,
}

impl Notification {
    /// Leaves it to a thread of its own to answer. On success this notification is empty.
    ///
    /// # Errors
    /// [`Status::System`] with `EAGAIN`, and it waits still.
    pub(super) fn wait_on_a_thread(
        &mut self,
        body: impl FnOnce(Notification, &Waiting) + Send + 'static,
    ) -> Result<()> {
        let tid = self.target()?;
        let Some((listener, id)) = self.waits_on() else {
            return Err(Error::plain(Status::Answered));
        };
        let waiting = Attendant::current().attend(Wait {
            listener,
            id,
            tid,
            mark: Mark::default(),
            state: AtomicU8::new(WAITS),
        })?;
        // It is given the notification once there is somebody to take it.
        let given = Arc::new(Mutex::new(None));
        let mut giving = lock(&given);
        let taking = Arc::clone(&given);
        let body = move || {
            let notification = lock(&taking).take();
            if let Some(notification) = notification {
                body(notification, &waiting);
            }
        };
        Attendant::current().threads.run(Box::new(body))?;
        *giving = Some(self.hand_over()?);
        Ok(())
    }
}

/// A call that waits.
#[derive(Debug)]
struct Wait {
    listener: Arc<Shared>,
    id: u64,
    tid: libc::pid_t,
    mark: Mark,
    state: AtomicU8,
}

impl Wait {
    /// Looks after the target.
    fn look(&self) {
        // Whatever else it says: nobody can be answered through this listener.
        if seccomp::id_valid(self.listener.fd(), self.id).is_err() {
            self.end(GONE);
            return;
        }
        let proc = self.listener.proc();
        let signalled = proc.and_then(|proc| interruption::is_signalled(proc, self.tid));
        // Of the target, if it waits still.
        if signalled == Ok(true) && seccomp::id_valid(self.listener.fd(), self.id).is_ok() {
            self.end(SIGNALLED);
        }
    }

    /// Ends the wait, if it has not ended by itself.
    fn end(&self, state: u8) {
        self.state.store(state, SeqCst);
        self.mark.interrupt();
    }
}

/// Who looks after those that wait.
#[derive(Debug)]
struct Attendant {
    /// In a copy of the process there is no such thread.
    made_in: Process,
    waits: Mutex<Waits>,
    threads: Threads,
}

#[derive(Debug, Default)]
struct Waits {
    all: Vec<Arc<Wait>>,
    /// Whether there is a thread for them.
    attended: bool,
}

/// The threads that make calls.
#[derive(Default)]
struct Threads {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Jobs {
    /// For those that are idle.
    queue: VecDeque<Job>,
    idle: usize,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Threads")
    }
}

impl Threads {
    /// Runs it on a thread that is idle, else on a new one.
    fn run(&'static self, job: Job) -> Result<()> {
        let mut jobs = lock(&self.jobs);
        if jobs.idle > jobs.queue.len() {
            jobs.queue.push_back(job);
            self.changed.notify_one();
            return Ok(());
        }
        drop(jobs);
        thread::Builder::new()
            .name("unotify-wait".into())
            .stack_size(STACK)
            .spawn(|| {
                signals::block_all();
                let mut next = Some(job);
                while let Some(job) = next {
                    job();
                    next = self.next();
                }
            })
            .map(drop)
            .map_err(|error| no_thread(&error))
    }

    /// What an idle thread is to do next; `None` when it has been idle for long enough.
    fn next(&self) -> Option<Job> {
        let mut jobs = lock(&self.jobs);
        if jobs.idle >= MAX_IDLE {
            return None;
        }
        jobs.idle += 1;
        let waited = self
            .changed
            .wait_timeout_while(jobs, IDLE, |jobs| jobs.queue.is_empty());
        let (mut jobs, _) = waited.unwrap_or_else(PoisonError::into_inner);
        jobs.idle -= 1;
        jobs.queue.pop_front()
    }
}

/// A wait that is looked after until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Wait>);

impl Waiting {
    /// Makes the call, on this thread, which a signal may end with `EINTR`; given up when the function
    /// that goes along says so.
    pub(super) fn make<T>(
        &self,
        mut call: impl FnMut(&Receiver, &Mark, &dyn Fn() -> bool) -> kernel::Result<T>,
    ) -> Outcome<T> {
        let wait = &self.0;
        let receiver = Receiver::of_thread();
        let is_over = || wait.state.load(SeqCst) != WAITS;
        loop {
            match call(&receiver, &wait.mark, &is_over) {
                Err(Errno(libc::EINTR)) => match wait.state.load(SeqCst) {
                    WAITS => {}
                    SIGNALLED => return Outcome::Signalled,
                    _ => return Outcome::Gone,
                },
                other => return Outcome::Made(other),
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = lock(&Attendant::current().waits);
        waits.all.retain(|wait| !Arc::ptr_eq(wait, &self.0));
    }
}

impl Attendant {
    /// This process's.
    fn current() -> &'static Attendant {
        static CURRENT: AtomicPtr<Attendant> = AtomicPtr::new(std::ptr::null_mut());
        let known = CURRENT.load(SeqCst);
        // SAFETY: null, or one that was leaked below.
        if let Some(attendant) = unsafe { known.as_ref() } {
            if attendant.made_in.is_current() {
                return attendant;
            }
        }
        let made = Box::into_raw(Box::new(Attendant {
            made_in: Process::current(),
            waits: Mutex::default(),
            threads: Threads::default(),
        }));
        match CURRENT.compare_exchange(known, made, SeqCst, SeqCst) {
            // SAFETY: nobody frees it.
            Ok(_) => unsafe { &*made },
            Err(theirs) => {
                // SAFETY: nobody else has seen ours, and nobody frees theirs.
                unsafe {
                    drop(Box::from_raw(made));
                    &*theirs
                }
            }
        }
    }

    fn attend(&'static self, wait: Wait) -> Result<Waiting> {
        let mut waits = lock(&self.waits);
        if waits.all.len() >= MAX_WAITING {
            return Err(Error::with_errno(
                Status::System,
                Errno(libc::EAGAIN),
                format!("{MAX_WAITING} calls wait already"),
            ));
        }
        if !waits.attended {
            thread::Builder::new()
                .name("unotify-attend".into())
                .stack_size(STACK)
                .spawn(|| self.run())
                .map_err(|error| no_thread(&error))?;
            waits.attended = true;
        }
        // The same thread makes another call: it does not wait for the one before.
        for before in waits.all.iter().filter(|before| before.tid == wait.tid) {
            before.end(GONE);
        }
        let wait = Arc::new(wait);
        waits.all.push(Arc::clone(&wait));
        Ok(Waiting(wait))
    }

    fn run(&self) {
        signals::block_all();
        loop {
            let all = {
                let mut waits = lock(&self.waits);
                if waits.all.is_empty() {
                    waits.attended = false;
                    return;
                }
                // Their threads are there as long as they are among these.
                let over = waits
                    .all
                    .iter()
                    .filter(|wait| wait.state.load(SeqCst) != WAITS);
                over.for_each(|wait| wait.mark.insist());
                waits.all.clone()
            };
            for wait in &all {
                if wait.state.load(SeqCst) == WAITS {
                    wait.look();
                }
            }
            let each = INTERVAL_EACH * all.len() as u32;
            drop(all);
            thread::sleep(INTERVAL.max(each));
        }
    }
}
