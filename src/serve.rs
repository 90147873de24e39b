//! A program from its start to its end, in one call.

use crate::error::{Error, Result, Status};
use crate::kernel::Errno;
use crate::spawn::{Child, Spawn};
use crate::supervisor::Supervisor;
use std::process::ExitStatus;

impl Supervisor {
    /// Starts a program under its filter and serves it on this thread, until it and all that it has
    /// started have ended. Tells how the program ended.
    ///
    /// It is [`Spawn::spawn`], [`add_listener`](Supervisor::add_listener) with the tag 0,
    /// [`run`](Supervisor::run) and [`Child::wait`]. Other listeners of the supervisor are served
    /// too, and it returns when the last of them has closed.
    ///
    /// # Errors
    /// Those of [`Spawn::spawn`], also when `execve` failed later because its notification was
    /// answered so; those of [`run`](Supervisor::run). The program was killed and waited for then,
    /// and its descendants are what is left of it. A run that is stopped
    /// when the program has ended already, as it must be with
    /// [`keep_running`](crate::SupervisorOptions::keep_running), is no error.
    ///
    /// ```
    /// use unotify::{ScmpAction, ScmpFilterContext, ScmpSyscall};
    /// use unotify::{Spawn, Supervisor, SupervisorOptions, Verdict};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("getppid")?)?;
    /// let supervisor = Supervisor::new(SupervisorOptions::default())?;
    /// supervisor.on("getppid", |call| {
    ///     let _ = call.reply_value(1234); // it fails when the target was killed meanwhile
    ///     Verdict::Handled
    /// })?;
    /// let mut shell = Spawn::new(&filter, "sh");
    /// let status = supervisor.run_program(shell.args(["-c", "test $PPID = 1234"]))?;
    /// assert!(status.success());
    /// # Ok::<(), unotify::Error>(())
    /// ```
    pub fn run_program(&self, spawn: &mut Spawn<'_>) -> Result<ExitStatus> {
        self.check_process()?;
        let mut child = spawn.spawn()?;
        match self.serve(&mut child) {
            Ok(status) => Ok(status),
            Err(error) => {
                // Nobody else knows of it. It may have ended, and then this says so.
                let _ = child.kill(libc::SIGKILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn serve(&self, child: &mut Child) -> Result<ExitStatus> {
        if let Some(listener) = child.take_listener() {
            self.add_listener(listener, 0)?;
        }
        let status = match self.run() {
            Ok(()) => child.wait()?,
            Err(error) if error.status() == Status::Stopped => child.try_wait()?.ok_or(error)?,
            Err(error) => return Err(error),
        };
        match child.exec_error() {
            Some(errno) => Err(Error::system(Errno(errno), "execute the program")),
            None => Ok(status),
        }
    }
}
