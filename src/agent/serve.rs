//! One agent and one supervisor that serve all containers.

use super::{Agent, Container};
use crate::error::{Error, Result, Status};
use crate::kernel::{signals, Errno};
use crate::supervisor::Supervisor;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

impl Agent {
    /// Serves the containers that come with the handlers of `supervisor`, until
    /// [interrupted](Agent::interrupt).
    ///
    /// `on_container` is told of each on this thread, before its first notification is handled. It gives
    /// the tag that its notifications are to show ([`Notification::tag`](crate::Notification::tag)),
    /// or `None` to have nothing to do with it: its calls fail with `ENOSYS` then. When its last process
    /// has ended the tag is given back: [`Supervisor::on_close`] tells. A handler also finds the
    /// container itself, by [`Container::of`].
    ///
    /// The handlers run on a thread of the library's, or several, as with
    /// [`Supervisor::start`]. When this returns the supervisor does not run any more and still has its
    /// listeners: what is pending there waits for the next call of this, or to be
    /// [handed over](Agent::hand_over).
    ///
    /// # Errors
    /// [`Status::Stopped`] when the supervisor was [stopped](Supervisor::stop);
    /// [`Status::Handler`] after [`Verdict::Failed`](crate::Verdict::Failed);
    /// [`Status::InvalidArgument`] when the supervisor runs already, or is not made with
    /// [`keep_running`](crate::SupervisorOptions::keep_running), as there is not always a container;
    /// those of [`accept`](Agent::accept). A container whose listener the kernel has no room to watch is
    /// refused.
    pub fn serve(
        &self,
        supervisor: &Supervisor,
        mut on_container: impl FnMut(Container) -> Option<usize>,
    ) -> Result<()> {
        self.check_process()?;
        supervisor.check_process()?;
        if !supervisor.keeps_running() {
            return Err(Error::new(
                Status::InvalidArgument,
                "the supervisor would end without a container: make it with keep_running",
            ));
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let run = || {
                signals::block_all();
                // However that ends, the one who accepts has to know.
                let _tell = AtEnd(|| {
                    over.store(true, SeqCst);
                    self.wake.wake();
                });
                supervisor.run()
            };
            let thread = thread::Builder::new().name("unotify-agent".into());
            let running = thread.spawn_scoped(scope, run).map_err(|e| {
                let errno = Errno(e.raw_os_error().unwrap_or(libc::EAGAIN));
                Error::system(errno, "start a thread")
            })?;
            let accepted = {
                let _stop = AtEnd(|| {
                    if !over.load(SeqCst) {
                        supervisor.stop();
                    }
                });
                self.accept_for(supervisor, &over, &mut on_container)
            };
            let ran = running.join().unwrap_or_else(|_| {
                Err(Error::new(
                    Status::Panic,
                    "the supervisor panicked: please report this",
                ))
            });
            match (accepted, ran) {
                (Err(error), _) if error.status() != Status::Stopped => Err(error),
                // It was stopped because of the interruption.
                (Ok(()), Err(error)) if error.status() == Status::Stopped => Ok(()),
                (_, ran) => ran,
            }
        })
    }

    /// Gives the supervisor what comes, until interrupted, or until the supervisor has ended
    /// ([`Status::Stopped`]).
    fn accept_for(
        &self,
        supervisor: &Supervisor,
        over: &AtomicBool,
        on_container: &mut dyn FnMut(Container) -> Option<usize>,
    ) -> Result<()> {
        loop {
            let container = match self.accept_unless(None, || over.load(SeqCst)) {
                Err(error) if error.status() == Status::Stopped && !over.load(SeqCst) => {
                    return Ok(())
                }
                accepted => accepted?,
            };
            let listener = container.take_listener()?;
            let id = container.id().to_owned();
            if let Some(tag) = on_container(container) {
                if let Err(error) = supervisor.add_or_tell(listener, tag) {
                    self.options
                        .tell(&[format!("refused the container `{id}`: {error}")]);
                }
            }
        }
    }
}

/// Does something at the end of a block, however that ends.
struct AtEnd<F: Fn()>(F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
