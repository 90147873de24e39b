//! A program from its start to its end, in one call.

use crate::error::{Error, Result, Status};
use crate::kernel::{caught, Errno};
use crate::listener::Listener;
use crate::spawn::{Begun, Child, Spawn};
use crate::stand_in::StandIn;
use crate::supervisor::Supervisor;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

impl Supervisor {
    /// Starts a program under its filter and serves it on this thread, until it and all that it has
    /// started have ended. Tells how the program ended.
    ///
    /// It is [`Spawn::spawn`], [`add_listener`](Supervisor::add_listener) with the tag 0,
    /// [`run`](Supervisor::run) and [`Child::wait`]. Other listeners of the supervisor are served
    /// too, and it returns when the last of them has closed. That a signal has killed the program
    /// before it could run is its end like any other, and nothing is served then.
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
        let mut child = match spawn.begin(None)? {
            Begun::Runs(child) => child,
            Begun::Killed(status) => return Ok(status),
        };
        let listener = child.take_listener();
        self.serve_or_kill(&child, listener)
    }

    /// Does what [`run_program`](Supervisor::run_program) does, for a process that is there for the
    /// program alone, as `env(1)` and `strace(1)` are: what a terminal, a shell or an init system does to
    /// this process is meant for the program. [`exit_like`] is the end of that.
    ///
    /// **It changes how this process takes signals**, until it returns: it catches `SIGINT`, `SIGQUIT`,
    /// `SIGTERM`, `SIGHUP` and `SIGTSTP`, each where it has its default disposition and the calling
    /// thread does not block it; so what is ignored stays so, for the program too (`nohup(1)`). The
    /// calling thread has them blocked meanwhile. Of what is caught,
    ///
    /// - what the terminal sends to the process group of both is left to the program, which may take
    ///   `^C` for no reason to end;
    /// - what comes from a process (`kill(2)`) is sent on to the program, unless it comes from that. A
    ///   second `SIGTERM`, half a second or more after the first, kills it (`SIGKILL`), and what it has
    ///   started is not waited for;
    /// - once the program has ended, and only what it has left behind is served, each but `SIGTSTP`
    ///   ends the run.
    ///
    /// When the program is stopped from the terminal this process stops too, and when it goes on so
    /// does the program: `^Z`, `fg` and `bg` work as without it.
    ///
    /// # Errors
    /// As [`run_program`](Supervisor::run_program); [`Status::InvalidArgument`] when another thread is at
    /// the same.
    pub fn stand_in_for(&self, spawn: &mut Spawn<'_>) -> Result<ExitStatus> {
        self.check_process()?;
        // Before there is a program: from its first moment on it is not left alone.
        let stand_in = StandIn::begin()?;
        let mut child = match spawn.begin(Some(StandIn::early()))? {
            Begun::Runs(child) => child,
            Begun::Killed(status) => return Ok(status),
        };
        let listener = child.take_listener();
        stand_in.during(self, &child, || self.serve_or_kill(&child, listener))
    }

    fn serve_or_kill(&self, child: &Child, listener: Option<Listener>) -> Result<ExitStatus> {
        self.serve(child, listener).inspect_err(|_| {
            // Nobody else knows of it. It may have ended, and then this says so.
            child.put_down();
        })
    }

    fn serve(&self, child: &Child, listener: Option<Listener>) -> Result<ExitStatus> {
        if let Some(listener) = listener {
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

/// Ends this process as a program has ended: with its exit status, or killed by the same signal, so
/// that whoever waits for this process sees what it would have seen of the program. A shell tells by
/// that whether `^C` has ended a command.
///
/// It ends like [`std::process::exit`]. Before it kills itself it writes out what the C library's
/// streams and standard output hold, puts the signal on its default and sees to it that no core is
/// dumped. Where the kernel does not let it die so, as with the first process of a pid namespace, it
/// exits with 128 and the number of the signal, as shells say it.
pub fn exit_like(status: ExitStatus) -> ! {
    let Some(signal) = status.signal() else {
        std::process::exit(status.code().unwrap_or(1));
    };
    let _ = std::io::stdout().flush();
    caught::die_by(signal);
    std::process::exit(128 + signal)
}
