//! A process that stands in for the program it supervises: what it is sent, and what the program does
//! that its own parent is to see.
//!
//! Two threads do it, as long as the program is served. One waits for signals that were caught
//! ([`Catching`]) and sends them on. The other waits for the program to be stopped, in `waitid(2)`, which
//! no descriptor tells of.

use crate::ending::Life;
use crate::error::{Error, Result, Status};
use crate::kernel::caught::{Catching, Caught};
use crate::kernel::process::{self, Handle};
use crate::kernel::{signals, Errno};
use crate::spawn::{Child, Early};
use crate::supervisor::Supervisor;
use std::io;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The stacks of the threads, which do little.
const STACK: usize = 128 * 1024;

/// Two `SIGTERM`s within this time are one: `timeout(1)` and service managers send it to a process and
/// to its group.
const ONCE: Duration = Duration::from_millis(500);

/// So long a program is waited for that was killed: it ends at once, unless the kernel is at something
/// for it that cannot be interrupted.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// Signals are caught.
#[derive(Debug)]
pub(crate) struct StandIn(Catching);

impl StandIn {
    pub(crate) fn begin() -> Result<Self> {
        let catching = Catching::begin().ok_or_else(|| {
            Error::new(
                Status::InvalidArgument,
                "another thread stands in for a program: a process does so for one at a time",
            )
        })?;
        Ok(StandIn(catching))
    }

    /// What is to be done before there is a [`Child`].
    pub(crate) fn early() -> Early {
        Early {
            born: Catching::begin_to_share,
            stopped: stop_too,
        }
    }

    /// Stands in for `child` while `serve` runs, after which the child has ended and was waited for.
    pub(crate) fn during<T>(
        self,
        supervisor: &Supervisor,
        child: &Child,
        serve: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let StandIn(catching) = &self;
        let life = child.life();
        thread::scope(|scope| {
            let _end = End { catching, child };
            let forwarding = start(scope, "unotify-signals", || {
                let mut forwarder = Forwarder {
                    supervisor,
                    life,
                    asked_to_end: None,
                };
                catching.attend(|caught| forwarder.take(caught));
            });
            let started = forwarding
                .and_then(|_| start(scope, "unotify-stops", || life.follow_stops(stop_too)));
            match started {
                Ok(_) => {
                    let _away = catching.keep_away();
                    serve()
                }
                Err(error) => {
                    child.put_down();
                    let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
                    Err(Error::system(errno, "start a thread"))
                }
            }
        })
    }
}

/// Ends the threads, which are waited for.
struct End<'a> {
    catching: &'a Catching,
    child: &'a Child,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.child.put_down();
        }
        self.catching.end();
    }
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    body: impl FnOnce() + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, ()>> {
    let builder = thread::Builder::new().name(name.into()).stack_size(STACK);
    builder.spawn_scoped(scope, || {
        signals::block_all();
        body();
    })
}

/// Sends on what has come.
struct Forwarder<'a> {
    supervisor: &'a Supervisor,
    life: &'a Life,
    /// When the program was asked to end.
    asked_to_end: Option<Instant>,
}

impl Forwarder<'_> {
    fn take(&mut self, caught: Caught) {
        let Caught {
            signal,
            sender,
            shared,
        } = caught;
        let pid = self.life.pid();
        if self.life.has_ended() {
            match signal {
                // Nobody is left to follow.
                libc::SIGTSTP => process::stop_self(),
                _ => self.end_serving(),
            }
            return;
        }
        let has_it = match sender {
            Some(sender) => sender == pid,
            None if !shared => false,
            // A terminal that hangs up tells the leader of its session alone.
            None if signal == libc::SIGHUP && process::leads_session() => false,
            // From the terminal, to the group.
            None => process::is_in_own_group(pid),
        };
        if has_it {
            return;
        }
        let signal = match (signal, self.asked_to_end) {
            (libc::SIGTERM, None) => {
                self.asked_to_end = Some(Instant::now());
                signal
            }
            (libc::SIGTERM, Some(before)) if before.elapsed() < ONCE => return,
            (libc::SIGTERM, Some(_)) => return self.kill(),
            _ => signal,
        };
        // It fails if the program has become somebody else, or has ended, and then it is too late.
        let _ = self.life.kill(signal);
    }

    /// Ends the program, and does not wait for what it leaves behind.
    fn kill(&self) {
        let _ = self.life.kill(libc::SIGKILL);
        let begun = Instant::now();
        while !self.life.has_ended() && begun.elapsed() < KILLED_WITHIN {
            self.life.await_end(Some(begun + KILLED_WITHIN));
        }
        self.end_serving();
    }

    fn end_serving(&self) {
        // A run that has ended by itself is not to be stopped: it would be the next one.
        if self.supervisor.stats().listeners > 0 {
            self.supervisor.stop();
        }
    }
}

/// Stops this process if the program was stopped, by `signal`, from the terminal. Whether the program
/// is to go on now.
fn stop_too(signal: i32, program: &Handle) -> bool {
    let from_terminal = match signal {
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => true,
        // Programs that put the terminal in order before they stop do so by this one; but so do
        // others, who will not tell this process to go on.
        libc::SIGSTOP => process::is_in_foreground(),
        _ => false,
    };
    // Where the terminal has stopped this process too, it hears of the stop when both go on.
    let stopped = from_terminal
        && process::is_in_own_group(program.pid())
        && process::stop_self_by(signal, || program.has_left_stop());
    // Whoever continues a job continues all of it.
    stopped && !program.has_left_stop()
}
