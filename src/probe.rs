//! Whether it works here: the whole way of a notification, tried out.
//!
//! A thread of this process is the target of what takes no other process, so that one learns where it
//! ends; a child, which never gets as far as executing anything, of the rest.

use crate::error::{Error, Result, Status};
use crate::kernel::signals::SignalsBlocked;
use crate::kernel::{file, trial, version, Errno};
use crate::listener::Listener;
use crate::load::LoadFlags;
use crate::notification::Notification;
use crate::scmp::{ScmpAction, ScmpFilterContext, ScmpSyscall, ScmpVersion};
use crate::spawn::{Child, Spawn};
use crate::target::OpenHow;
use crate::{features, Features};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// What became of one [`ProbePart`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProbeOutcome {
    /// It works.
    Works,
    /// It does not; [`ProbePart::detail`] says why.
    Fails,
    /// It was not tried, as something that it takes does not work.
    NotTried,
}

/// One thing that a supervisor does, and whether it can here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbePart {
    name: &'static CStr,
    /// Whether there is no supervisor without it.
    pub is_basic: bool,
    /// Whether it works.
    pub outcome: ProbeOutcome,
    /// The error number, positive, of what does not work, else 0.
    pub errno: i32,
    /// A sentence: why it does not work, as far as can be told.
    pub detail: String,
}

impl ProbePart {
    /// What it is called, such as `"receive"`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        // All of them are ASCII, so the other branch is never taken.
        self.name_c().to_str().unwrap_or_default()
    }

    /// [`ProbePart::name`] for C.
    pub(crate) fn name_c(&self) -> &'static CStr {
        self.name
    }
}

/// What [`probe`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    parts: Vec<ProbePart>,
}

impl Probe {
    /// All parts, in the order they were tried.
    #[must_use]
    pub fn parts(&self) -> &[ProbePart] {
        &self.parts
    }

    /// The part of this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&ProbePart> {
        self.parts.iter().find(|part| part.name() == name)
    }

    /// Whether programs can be supervised here, be it without this or that.
    #[must_use]
    pub fn basics_work(&self) -> bool {
        let mut basics = self.parts.iter().filter(|part| part.is_basic);
        basics.all(|part| part.outcome == ProbeOutcome::Works)
    }
}

/// All parts, and whether they are basic.
const PARTS: [(&CStr, bool); 18] = [
    (c"kernel", true),
    (c"libseccomp", true),
    (c"load", true),
    (c"receive", true),
    (c"reply", true),
    (c"continue", false),
    (c"reply_fd", false),
    (c"sync_wake_up", false),
    (c"wait_killable", false),
    (c"tsync", false),
    (c"spawn", true),
    (c"read", false),
    (c"write", false),
    (c"get_fd", false),
    (c"add_fd", false),
    (c"open", false),
    (c"pidfd", false),
    (c"identity", false),
];

/// The program of the child, which is never executed: the first that is there. Where there is no
/// `/proc`, programs can be supervised all the same.
const PROGRAMS: [&CStr; 2] = [c"/proc/self/exe", c"/bin/sh"];

fn program() -> &'static CStr {
    let is_there = |path: &&CStr| file::open(None, path, libc::O_PATH | libc::O_CLOEXEC).is_ok();
    PROGRAMS.into_iter().find(is_there).unwrap_or(PROGRAMS[0])
}

/// What the child's `execve` is answered with.
const REFUSAL: i32 = libc::EXDEV;

/// Tries what a supervisor does, with a thread and a child of its own, and says for each part whether
/// it works here, and if not why. [`features`] says what the kernel has, which a container's
/// seccomp profile or a security module may keep from this process.
///
/// The parts: `kernel` (has user notification, and `seccomp(2)` may be called), `libseccomp` (a filter is built), `load` (`seccomp(2)` takes it and gives a listener),
/// `receive`, `reply`, `continue`, `reply_fd` (a descriptor as the answer, in one step),
/// `sync_wake_up`, `wait_killable` and `tsync` (what the kernel has for it), `spawn`, and on a child:
/// `read` and `write` its memory, `get_fd` and `add_fd` (descriptors, in both directions), `open`
/// what a path names to it, `pidfd`, `identity`.
///
/// Takes some milliseconds, and never longer than a few times `limit`, which is for each wait. Leaves
/// no child, thread or descriptor behind. As whenever something is received, there is a handler for
/// the reserved signal after it; as whenever a child ends, there may be a `SIGCHLD`.
///
/// ```
/// let probe = unotify::probe(std::time::Duration::from_secs(5));
/// for part in probe.parts() {
///     println!("{:14} {:?} {}", part.name(), part.outcome, part.detail);
/// }
/// assert!(probe.basics_work());
/// ```
#[must_use]
pub fn probe(limit: Duration) -> Probe {
    let mut probe = Probe {
        parts: PARTS
            .into_iter()
            .map(|(name, is_basic)| ProbePart {
                name,
                is_basic,
                outcome: ProbeOutcome::NotTried,
                errno: 0,
                detail: "something that it takes does not work".into(),
            })
            .collect(),
    };
    probe.offered();
    if probe
        .part("kernel")
        .is_some_and(|part| part.outcome != ProbeOutcome::Works)
    {
        return probe;
    }
    let filters = filter_of("getppid").and_then(|thread| Ok((thread, filter_of("execve")?)));
    if let Some((of_thread, of_child)) = probe.found("libseccomp", filters) {
        if let Ok(version) = ScmpVersion::current() {
            probe.remark("libseccomp", format!("version {version}"));
        }
        probe.try_thread(of_thread, limit);
        probe.try_child(&of_child, limit);
    }
    probe
}

fn filter_of(call: &str) -> Result<ScmpFilterContext> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name(call)?)?;
    Ok(filter)
}

impl Probe {
    fn part_mut(&mut self, name: &str) -> Option<&mut ProbePart> {
        self.parts.iter_mut().find(|part| part.name() == name)
    }

    fn remark(&mut self, name: &str, text: String) {
        if let Some(part) = self.part_mut(name) {
            part.detail = text;
        }
    }

    /// Writes down how a part went.
    fn found<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        let part = self.part_mut(name)?;
        match result {
            Ok(value) => {
                part.outcome = ProbeOutcome::Works;
                part.detail.clear();
                Some(value)
            }
            Err(error) => {
                part.outcome = ProbeOutcome::Fails;
                part.errno = error.errno();
                part.detail = explained(&error);
                None
            }
        }
    }

    /// What the kernel says that it has.
    fn offered(&mut self) {
        let has = features();
        for (name, feature, since) in [
            ("kernel", Features::NOTIFY, (5, 0)),
            ("tsync", Features::TSYNC_WITH_LISTENER, (5, 7)),
            ("wait_killable", Features::WAIT_KILLABLE, (5, 19)),
        ] {
            let (major, minor) = since;
            let message = match version::is_at_least(major, minor) {
                true => format!("seccomp(2) does not offer it, though Linux {major}.{minor} does"),
                false => format!("seccomp(2) does not offer it; it takes Linux {major}.{minor}"),
            };
            let offered = has.contains(feature);
            self.found(
                name,
                offered.then_some(()).ok_or_else(|| unsupported(message)),
            );
        }
    }

    /// What takes no other process.
    fn try_thread(&mut self, filter: ScmpFilterContext, limit: Duration) {
        let (answers, heard) = channel();
        // Not for the program's own signals.
        let blocked = SignalsBlocked::new();
        let thread = thread::Builder::new()
            .name("unotify-probe".into())
            .spawn(move || target(&filter, &answers));
        drop(blocked);
        let thread = thread.map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
            Error::system(errno, "start a thread")
        });
        let Some(thread) = self.found("load", thread) else {
            return;
        };
        let listener = hear(&heard, limit).and_then(|said| match said {
            Said::Loaded(listener) => listener,
            Said::Heard(_) => Err(timeout("load the filter")),
        });
        if let Some(listener) = self.found("load", listener) {
            self.try_answers(&listener, &heard, limit);
        }
        // The listener is gone, so whatever the thread was waiting for has failed. Should it not
        // have ended all the same, it is left alone.
        let end = Instant::now() + limit;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_micros(100));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }

    /// The answers to a target that makes three calls.
    fn try_answers(&mut self, listener: &Listener, heard: &Receiver<Said>, limit: Duration) {
        let sync = listener.set_sync_wake_up(true);
        self.found("sync_wake_up", sync);
        const ANSWER: i32 = 1234;
        let Some(mut call) = self.found("receive", listener.receive_timeout(limit)) else {
            return;
        };
        let replied = call
            .reply_value(ANSWER.into())
            .and_then(|()| came_to(heard, limit, Some(ANSWER)));
        if self.found("reply", replied).is_none() {
            return;
        }
        let Ok(mut call) = listener.receive_timeout(limit) else {
            return;
        };
        let continued = call
            .reply_continue()
            .and_then(|()| came_to(heard, limit, None));
        let continued = self.found("continue", continued);
        if continued.is_none() {
            // It waits for another answer, and says what became of it.
            drop(call);
            let _ = hear(heard, limit);
        }
        let Ok(mut call) = listener.receive_timeout(limit) else {
            return;
        };
        let given = UnixStream::pair()
            .map_err(|error| {
                Error::system(Errno(error.raw_os_error().unwrap_or(0)), "make a socket")
            })
            .and_then(|(ours, _)| call.reply_fd(ours.as_fd(), true))
            .and_then(|_| came_to(heard, limit, None));
        self.found("reply_fd", given);
    }

    /// What a supervisor does to another process.
    fn try_child(&mut self, filter: &ScmpFilterContext, limit: Duration) {
        let Ok((ours, theirs)) = UnixStream::pair() else {
            return;
        };
        let program = program();
        let mut spawn = Spawn::new(filter, program.to_str().unwrap_or_default());
        spawn.argv0("/").fd(0, OwnedFd::from(theirs));
        let Some(mut child) = self.found("spawn", spawn.spawn()) else {
            return;
        };
        if let Some(listener) = child.take_listener() {
            if let Ok(mut call) = listener.receive_timeout(limit) {
                self.try_target(&mut call, program, &child, &ours);
                let _ = call.reply_error(REFUSAL);
            }
        }
        // Its call was answered, or has failed as nobody is left to answer it.
        let ended = ended(&child, limit);
        self.found("spawn", ended);
    }

    fn try_target(
        &mut self,
        call: &mut Notification,
        program: &CStr,
        child: &Child,
        ours: &UnixStream,
    ) {
        let [path, arguments, ..] = call.request().args;
        let mut text = [0; 64];
        let read = call.read_string(path, &mut text).map(CStr::to_owned);
        let read =
            read.and_then(|text| expect(text.as_c_str() == program, "something else was read"));
        self.found("read", read);
        self.found("write", call.write(path, program.to_bytes_with_nul()));
        self.found("get_fd", call.get_fd(0));
        let added = call.add_fd(ours.as_fd(), None, true);
        self.found("add_fd", added);
        let mut argv = [0; 2];
        if call.read_pointers(arguments, &mut argv).is_ok() {
            // The program is told that it is called "/".
            let how = OpenHow::new(libc::O_PATH | libc::O_DIRECTORY);
            self.found("open", call.open(libc::AT_FDCWD, argv[0], how));
        }
        self.found("pidfd", call.open_pidfd());
        let identity = call.identity();
        let identity =
            identity.and_then(|who| expect(who.tgid == child.pid(), "it is another process"));
        self.found("identity", identity);
    }
}

/// What the thread tells.
enum Said {
    Loaded(Result<Listener>),
    /// What a call came to.
    Heard(Result<libc::c_long, Errno>),
}

/// What the thread does: loads the filter, makes a call for each kind of answer, and tells what it
/// got. It ends when nobody listens any more.
fn target(filter: &ScmpFilterContext, tell: &Sender<Said>) {
    let listener = filter.load_listener(LoadFlags::empty());
    let loaded = listener.is_ok();
    if tell.send(Said::Loaded(listener)).is_err() || !loaded {
        return;
    }
    for call in [trial::ask, trial::ask, || trial::ask_for_fd().map(|_| 0)] {
        if tell.send(Said::Heard(call())).is_err() {
            return;
        }
    }
}

fn hear(heard: &Receiver<Said>, limit: Duration) -> Result<Said> {
    heard.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => timeout("wait for the target"),
        RecvTimeoutError::Disconnected => Error::new(Status::Closed, "the target has ended"),
    })
}

/// Whether the target got its answer, this value if it matters.
fn came_to(heard: &Receiver<Said>, limit: Duration, value: Option<i32>) -> Result<()> {
    match hear(heard, limit)? {
        Said::Heard(Ok(got)) if value.is_none_or(|value| got == i64::from(value)) => Ok(()),
        Said::Heard(Err(errno)) => Err(Error::system(errno, "answer: the target got an error")),
        _ => Err(Error::new(Status::System, "the target got another answer")),
    }
}

/// Waits for the child, which has nothing left to wait for. It is killed when it does not end.
fn ended(child: &Child, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_micros(100)),
            Ok(None) => {
                child.kill(libc::SIGKILL)?;
                child.wait()?;
                return Err(timeout("end the child"));
            }
            // Somebody else waits for all children, or nobody has to.
            Err(error) if error.errno() == libc::ECHILD => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn expect(so: bool, otherwise: &'static str) -> Result<()> {
    match so {
        true => Ok(()),
        false => Err(Error::new(Status::System, otherwise)),
    }
}

fn timeout(what: &str) -> Error {
    Error::new(
        Status::Timeout,
        format!("cannot {what} within the time limit"),
    )
}

fn unsupported(message: String) -> Error {
    Error::with_errno(Status::Unsupported, Errno(libc::ENOSYS), message)
}

/// The error, with what there is in this process's way.
fn explained(error: &Error) -> String {
    let mut text = error.to_string();
    if matches!(error.errno(), libc::EPERM | libc::EACCES | libc::ENOSYS) {
        for reason in in_the_way() {
            text = format!("{text}; {reason}");
        }
    }
    text
}

/// What may refuse a call of this thread that the kernel would make.
fn in_the_way() -> Vec<String> {
    let mut reasons = Vec::new();
    let read = |path| file::read_all(path).unwrap_or_default();
    let status = read(c"/proc/thread-self/status");
    if status
        .split(|&byte| byte == b'\n')
        .any(|line| line == b"Seccomp:\t2")
    {
        reasons.push("a seccomp filter is on this process (a container's profile?)".into());
    }
    for path in [
        c"/proc/thread-self/attr/apparmor/current",
        c"/proc/thread-self/attr/current",
    ] {
        let label = read(path);
        let label = String::from_utf8_lossy(&label);
        let label = label.trim_end_matches(['\n', '\0']);
        if !label.is_empty() && label != "unconfined" {
            reasons.push(format!("it is confined as `{label}`"));
            break;
        }
    }
    reasons
}
