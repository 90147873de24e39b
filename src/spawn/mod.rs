//! Starting a program under a filter.
//!
//! - here: the [`Spawn`] builder
//! - [`files`]: which descriptors the program gets
//! - [`start`]: the thread that starts the child and fetches the listener
//! - [`child`]: the [`Child`] handle

mod child;
mod files;
mod start;

pub use child::Child;
pub use files::Stdio;
pub(crate) use start::Early;

use crate::ending::Life;
use crate::error::{Error, Result, Status};
use crate::install::{self, Install};
use crate::kernel::room::Launch;
use crate::kernel::signals::{SignalMask, SignalsBlocked};
use crate::kernel::{seccomp, socket, Errno};
use crate::listener::Listener;
use crate::load::LoadFlags;
use crate::scmp::{program, ScmpArch, ScmpFilterContext};
use files::Files;
use start::{Failure, Job, Started};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

/// Where programs are looked for when the caller has no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program to start under a filter, in the manner of [`std::process::Command`].
///
/// ```
/// use unotify::{ScmpAction, ScmpFilterContext, ScmpSyscall, Spawn};
///
/// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
/// filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("uname")?)?;
/// let mut child = Spawn::new(&filter, "uname").spawn()?;
/// let listener = child.take_listener().unwrap();
/// while let Ok(mut notification) = listener.receive() {
///     notification.reply_continue()?;
/// }
/// assert!(child.wait()?.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What the program gets
///
/// - The calling thread's credentials, namespaces, working directory, processor affinity and
///   blocked signals. Ignored signals stay ignored, but for `SIGPIPE`; caught ones get their
///   default.
/// - The caller's descriptors that are not close-on-exec, and those given here.
/// - The filter, which acts from the program's own `execve` on: if the filter notifies `execve`,
///   that is its first notification, and no call of this library ever comes before it.
///
/// A name without a slash is looked for in the **caller's** `PATH` by the rules of `execvp(3)`,
/// from within the new working directory. Files that the kernel does not take for a program
/// (`ENOEXEC`) are not given to a shell.
///
/// # How it works
///
/// The child is cloned by a thread made for this call that has a descriptor table of its own and
/// shares it with the child up to `execve`; so it holds the listener as soon as the child has it,
/// and the child makes no system call between its filter and `execve`. No privilege, no right to
/// trace and no second process is needed. A second thread holds a pipe whose end kills the child
/// (`F_SETSIG`): should this process be killed before [`Spawn::spawn`] returns, so is the child,
/// which might hold its own listener at that moment and wait for an answer for ever. (Only the
/// first process of a new pid namespace cannot be killed that way.) The threads have ended when
/// [`Spawn::spawn`] returns, unless [`Spawn::kill_on_parent_death`] keeps one. For the sake of that thread, a copy that
/// `fork(2)` makes of a process with several threads should execute something before it starts
/// programs.
///
/// From Linux 5.16 on the child shares this process's memory up to its `execve`, in a place of its own
/// there, as copying it would take long in a large process. So while an `execve` waits for its answer,
/// what is set for the one's memory is set for the other's (`oom_score_adj`, `PR_SET_DUMPABLE`), and a
/// process that means to give up privileges for good answers first: the child still has them.
#[derive(Debug)]
pub struct Spawn<'a> {
    filter: &'a ScmpFilterContext,
    file: OsString,
    argv0: Option<OsString>,
    args: Vec<OsString>,
    environment: Environment,
    directory: Option<PathBuf>,
    files: Files<'a>,
    kill_on_parent_death: bool,
    pid_namespace: bool,
    load_flags: LoadFlags,
}

/// The program's environment.
#[derive(Debug, Default)]
struct Environment {
    /// What it begins with: the caller's at the time if this is `None`.
    strings: Option<Vec<CString>>,
    /// Variables to be set, or taken away.
    changes: BTreeMap<OsString, Option<OsString>>,
}

impl<'a> Spawn<'a> {
    /// The program `file`, without arguments, with the caller's environment, working directory
    /// and standard streams, under `filter`.
    pub fn new(filter: &'a ScmpFilterContext, file: impl AsRef<OsStr>) -> Self {
        Spawn {
            filter,
            file: file.as_ref().to_owned(),
            argv0: None,
            args: Vec::new(),
            environment: Environment::default(),
            directory: None,
            files: Files::default(),
            kill_on_parent_death: false,
            pid_namespace: false,
            load_flags: LoadFlags::empty(),
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        let args = args.into_iter().map(|a| a.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    /// Tells the program another name than the one it was found by.
    pub fn argv0(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.argv0 = Some(name.as_ref().to_owned());
        self
    }

    /// Starts with an empty environment. What was set before is forgotten.
    pub fn env_clear(&mut self) -> &mut Self {
        self.env_exact([])
    }

    /// Sets one variable for the program.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.change_env(key.as_ref(), Some(value.as_ref().to_owned()))
    }

    /// Sets variables for the program.
    pub fn envs(
        &mut self,
        vars: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        for (key, value) in vars {
            self.env(key, value);
        }
        self
    }

    /// Takes one variable away from the program.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.change_env(key.as_ref(), None)
    }

    fn change_env(&mut self, key: &OsStr, value: Option<OsString>) -> &mut Self {
        self.environment.changes.insert(key.to_owned(), value);
        self
    }

    /// Starts with exactly these strings as the environment, also those that are no `NAME=value`. What
    /// was set before is forgotten.
    pub fn env_exact(&mut self, strings: impl IntoIterator<Item = CString>) -> &mut Self {
        self.environment = Environment {
            strings: Some(strings.into_iter().collect()),
            changes: BTreeMap::new(),
        };
        self
    }

    /// Starts the program in this directory. A relative `file` or `PATH` counts from there.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Chooses the program's standard input.
    pub fn stdin(&mut self, from: impl Into<Stdio<'a>>) -> &mut Self {
        self.fd(0, from)
    }

    /// Chooses the program's standard output.
    pub fn stdout(&mut self, to: impl Into<Stdio<'a>>) -> &mut Self {
        self.fd(1, to)
    }

    /// Chooses the program's standard error output.
    pub fn stderr(&mut self, to: impl Into<Stdio<'a>>) -> &mut Self {
        self.fd(2, to)
    }

    /// Gives the program a descriptor under the number `child_fd`. All of them are put into place
    /// at once, so they may be each other's numbers. The last word on a number counts.
    pub fn fd(&mut self, child_fd: RawFd, from: impl Into<Stdio<'a>>) -> &mut Self {
        self.files.set(child_fd, from.into());
        self
    }

    /// Kills the child (`SIGKILL`) when this process ends or executes another program; however
    /// it ends, and no matter which of its threads have ended before.
    ///
    /// A thread, asleep, stays in this process until the child has ended: the kernel ties the
    /// child's life to the thread that started it (`PR_SET_PDEATHSIG`). The kernel drops the tie
    /// when the child executes a set-user-ID, set-group-ID or capability-carrying file with
    /// effect.
    pub fn kill_on_parent_death(&mut self, kill: bool) -> &mut Self {
        self.kill_on_parent_death = kill;
        self
    }

    /// Starts the program in a pid namespace of its own, **so that all it has started is killed too when
    /// this process ends**, however it ends, and whoever it has become: what
    /// [`kill_on_parent_death`](Spawn::kill_on_parent_death) does for the program alone, and not after it
    /// has changed its user.
    ///
    /// Nothing else does that: being told of orphans (`PR_SET_CHILD_SUBREAPER`) is of no use to a process
    /// that was killed itself. The program is the second process of the namespace, `getpid(2)` tells it
    /// 2, and it can neither see nor signal processes outside; `/proc` still shows those, by their
    /// numbers outside. It remains this process's child. The first process is a copy of this one that
    /// reaps orphans, and that only `waitpid(2)` with `__WALL` finds.
    ///
    /// [`Spawn::spawn`] fails with [`Status::Permission`] when the caller has no `CAP_SYS_ADMIN`.
    pub fn pid_namespace(&mut self, own: bool) -> &mut Self {
        self.pid_namespace = own;
        self
    }

    /// Chooses how the filter is loaded. [`LoadFlags::TSYNC`] has no meaning here and is refused.
    pub fn load_flags(&mut self, flags: LoadFlags) -> &mut Self {
        self.load_flags = flags;
        self
    }

    /// Starts the program. May be called again to start it once more.
    ///
    /// Returns when the program runs, or when its `execve` waits for the supervisor; in the
    /// second case a failure of `execve` is told later, by [`Child::exec_error`].
    ///
    /// # Errors
    ///
    /// On failure there is no child, no descriptor and no thread left over.
    ///
    /// - With the error number of `execve`, when the program is not found ([`Status::System`],
    ///   `ENOENT`), may not be executed ([`Status::Permission`], `EACCES`, also for a directory),
    ///   or is of no known format ([`Status::System`], `ENOEXEC`). Except for the last, the
    ///   program is looked at before the filter is installed, so this does not depend on it.
    /// - With that of `chdir`, when the directory cannot be entered.
    /// - [`Status::Busy`] when the calling thread has a filter with a listener already, which its
    ///   children inherit.
    /// - [`Status::Permission`] with [`LoadFlags::KEEP_PRIVS`] and neither `no_new_privs` nor
    ///   `CAP_SYS_ADMIN`.
    /// - [`Status::InvalidArgument`] for a NUL byte in a string, a descriptor that is not open or
    ///   out of range, [`LoadFlags::TSYNC`], or a filter that is too long.
    /// - [`Status::Unsupported`] on a kernel before 5.0.
    /// - [`Status::System`] or [`Status::NoMemory`] when the system has no room for a process, a
    ///   thread or a descriptor.
    /// - [`Status::System`] with `ECANCELED` when a signal has killed the process before it could execute
    ///   the program, as `^C` does that comes at once. The sentence says which.
    pub fn spawn(&mut self) -> Result<Child> {
        match self.begin(None)? {
            Begun::Runs(child) => Ok(child),
            Begun::Killed(status) => {
                let name = self.file.to_string_lossy();
                Err(start::killed(&name, status.into_raw()))
            }
        }
    }

    /// [`Spawn::spawn`] for who is to end as the program does, however early that is.
    pub(crate) fn begin(&mut self, early: Option<Early>) -> Result<Begun> {
        let (ours, theirs) = socket::pair().map_err(|e| Error::system(e, "make a socket pair"))?;
        let mut launch = self.launch()?;
        // The thread inherits the mask, and the child gets the old one back.
        let blocked = SignalsBlocked::new();
        launch.mask = blocked.before();
        let job = Job {
            execve_waits: may_wait(&launch.program),
            launch: Arc::new(launch),
            moves: self.files.moves(),
            socket: theirs.as_raw_fd(),
            name: self.file.to_string_lossy().into_owned(),
            pid_namespace: self.pid_namespace,
            early,
        };
        let started = start::on_a_thread(job, ours, theirs);
        drop(blocked);
        let Started {
            child,
            listener,
            room,
        } = match started {
            Ok(started) => started,
            Err(Failure::Killed(status)) => return Ok(Begun::Killed(ExitStatus::from_raw(status))),
            Err(Failure::Error(error)) => return Err(error),
        };
        let life = Arc::new(Life::new(child));
        let sync_wake_up = !self.load_flags.contains(LoadFlags::NO_SYNC_WAKE_UP);
        let listener = Listener::of_child(listener, sync_wake_up, &life);
        Ok(Begun::Runs(Child::new(life, listener, room)))
    }

    /// Everything the child needs, but for the mask.
    fn launch(&self) -> Result<Launch> {
        if self.load_flags.contains(LoadFlags::TSYNC) {
            return Err(Error::new(
                Status::InvalidArgument,
                "TSYNC is for threads that exist; a program starts with one",
            ));
        }
        let program = self.filter.program()?;
        install::check_length(program.len())?;
        let how = Install::from(self.load_flags);
        let filter_flags = how.kernel_flags();
        if !seccomp::knows_filter_flags(filter_flags) {
            return Err(install::explain(Errno(libc::EINVAL), filter_flags));
        }
        let argv0 = self.argv0.as_ref().unwrap_or(&self.file);
        let directory = self.directory.as_ref();
        Ok(Launch {
            candidates: candidates(&self.file)?,
            argv: std::iter::once(argv0)
                .chain(&self.args)
                .map(|arg| c_string(arg.as_bytes(), "an argument"))
                .collect::<Result<_>>()?,
            envp: self.environment.strings()?,
            directory: directory
                .map(|d| c_string(d.as_os_str().as_bytes(), "the working directory"))
                .transpose()?,
            program,
            filter_flags,
            no_new_privs: how.no_new_privs,
            die_with_parent: self.kill_on_parent_death || self.pid_namespace,
            mask: SignalMask::EMPTY,
        })
    }
}

/// What has become of a program that was started.
#[derive(Debug)]
pub(crate) enum Begun {
    Runs(Child),
    /// A signal has killed it before its `execve`.
    Killed(ExitStatus),
}

/// `key=value`.
fn assignment(mut key: OsString, value: &OsStr) -> Result<CString> {
    key.push("=");
    key.push(value);
    c_string(&key.into_vec(), "the environment")
}

impl Environment {
    fn strings(&self) -> Result<Vec<CString>> {
        let mut strings = match &self.strings {
            Some(strings) => strings.clone(),
            None => std::env::vars_os()
                .map(|(key, value)| assignment(key, &value))
                .collect::<Result<_>>()?,
        };
        for (key, value) in &self.changes {
            if key.is_empty() || key.as_bytes().contains(&b'=') {
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!("{key:?} cannot be the name of a variable"),
                ));
            }
            strings.retain(|string| {
                let rest = string.as_bytes().strip_prefix(key.as_bytes());
                rest.is_none_or(|rest| rest.first() != Some(&b'='))
            });
            if let Some(value) = value {
                strings.push(assignment(key.clone(), value)?);
            }
        }
        Ok(strings)
    }
}

/// Whether somebody may be asked about an `execve` under this filter, for all that the filter tells.
fn may_wait(program: &[libc::sock_filter]) -> bool {
    let arch = ScmpArch::native().to_sys();
    let verdict = program::verdict(program, libc::SYS_execve as u32, arch);
    !matches!(
        verdict.map(|action| action & libc::SECCOMP_RET_ACTION_FULL),
        Some(libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG)
    )
}

/// Where a program may be, by the rules of `execvp(3)`.
fn candidates(file: &OsStr) -> Result<Vec<CString>> {
    let name = file.as_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return Ok(vec![c_string(name, "the program's name")?]);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let folders = path.as_bytes().split(|&byte| byte == b':');
    let paths = folders.map(|folder| {
        let folder = if folder.is_empty() { b"." } else { folder };
        c_string(&[folder, b"/", name].concat(), "the program's name")
    });
    paths.collect()
}

fn c_string(bytes: &[u8], what: &str) -> Result<CString> {
    CString::new(bytes).map_err(|_| {
        Error::new(
            Status::InvalidArgument,
            format!("{what} has a NUL byte in it"),
        )
    })
}
