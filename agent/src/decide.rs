//! What a notified call is answered with.

use crate::errno::Errno;
use crate::lend::{self, Lent};
use crate::log::Log;
use crate::policy::{Action, Mount, Policy, Rule};
use crate::tmpfs;
use serde_json::json;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use unotify::scmp::{ScmpArch, ScmpSyscall};
use unotify::{
    Container, Error, HandlerFlags, Identity, Namespaces, Notification, OpenHow, Status,
    Supervisor, Verdict,
};

/// So long a mount may take in its helper.
const LIMIT: Duration = Duration::from_secs(5);

/// What handlers decide by: the policy that counts now.
pub(crate) struct Decider {
    policy: RwLock<Arc<Policy>>,
    pub(crate) log: Arc<Log>,
}

/// An answer, and why.
enum Answer {
    Done(String),
    Refused(Errno, String),
    Continue,
}

/// The answer to a call that could not be looked at or carried out.
fn failed(error: &Error, what: &str) -> Answer {
    let errno = match error.errno() {
        0 => libc::EPERM,
        errno => errno,
    };
    Answer::Refused(Errno(errno), format!("{what}: {error}"))
}

/// The answer to a text that is no path, where the kernel has another name for one without an end.
fn unread(error: &Error, what: &str) -> Answer {
    match error.status() {
        Status::TooLong => Answer::Refused(Errno(libc::EINVAL), format!("{what}: {error}")),
        _ => failed(error, what),
    }
}

impl Decider {
    pub(crate) fn new(policy: Policy, log: Arc<Log>) -> Self {
        Decider {
            policy: RwLock::new(Arc::new(policy)),
            log,
        }
    }

    /// From here on this one counts. Handlers at work go on with the one that they began with.
    pub(crate) fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the handlers.
    pub(crate) fn attach(self: &Arc<Self>, supervisor: &Supervisor) -> unotify::Result<()> {
        type Handler = fn(&mut Notification, &Rule) -> Answer;
        let handlers: [(&str, HandlerFlags, Handler); 3] = [
            ("mknod", HandlerFlags::empty(), |call, rule| {
                mknod(call, rule, false)
            }),
            ("mknodat", HandlerFlags::empty(), |call, rule| {
                mknod(call, rule, true)
            }),
            ("mount", HandlerFlags::BLOCKING, mount),
        ];
        for (name, flags, handler) in handlers {
            let decider = Arc::clone(self);
            let handle = move |call: &mut Notification| decider.handle(call, name, handler);
            match supervisor.on_with(name, flags, handle) {
                // Newer machines have no mknod(2).
                Err(error) if error.status() == Status::UnknownSyscall => {}
                set => set?,
            }
        }
        let decider = Arc::clone(self);
        supervisor.on_default(move |call| {
            let name = name_of(call);
            decider.handle(call, &name, |_, rule| match rule.continues(&name) {
                true => Answer::Continue,
                false => Answer::Refused(rule.default, "default".into()),
            })
        })
    }

    fn handle(
        &self,
        call: &mut Notification,
        name: &str,
        decide: impl Fn(&mut Notification, &Rule) -> Answer,
    ) -> Verdict {
        let container = Container::of(call);
        let (id, metadata) = container
            .as_ref()
            .map_or(("", ""), |container| (container.id(), container.metadata()));
        let policy = self.policy();
        let answer = match policy.rule(metadata, id) {
            Some(rule) => decide(call, rule),
            None => Answer::Refused(Errno(libc::EPERM), "no rule fits".into()),
        };
        let pid = call.request().pid;
        let (decision, reason) = match &answer {
            Answer::Done(what) => ("done".into(), &**what),
            Answer::Refused(errno, why) => (errno.name(), &**why),
            Answer::Continue => ("continue".into(), ""),
        };
        // Before the answer, so that the lines have the order of what a program does.
        self.log.line(
            "call",
            json!({
                "id": id, "metadata": metadata, "pid": pid, "call": name,
                "decision": decision, "reason": reason,
            }),
        );
        // It fails only if the target is gone, and then nobody waits for it.
        let _ = match answer {
            Answer::Done(_) => call.reply_value(0),
            Answer::Refused(errno, _) => call.reply_error(errno.0),
            Answer::Continue => call.reply_continue(),
        };
        Verdict::Handled
    }
}

/// The call's name on its architecture; its number where nobody knows one.
fn name_of(call: &Notification) -> String {
    let request = call.request();
    let name = ScmpArch::try_from(request.arch)
        .and_then(|arch| ScmpSyscall::from(request.syscall).get_name_by_arch(arch));
    name.unwrap_or_else(|_| request.syscall.to_string())
}

/// Who calls, and its groups.
fn who_is(call: &mut Notification) -> unotify::Result<(Identity, Vec<u32>)> {
    Ok((call.identity()?, call.groups()?))
}

/// Makes a device that is listed, where the target might make a file.
fn mknod(call: &mut Notification, rule: &Rule, at: bool) -> Answer {
    let args = call.request().args;
    let (dir, args) = match at {
        true => (args[0] as i32, &args[1..]),
        false => (libc::AT_FDCWD, &args[..]),
    };
    let (path, mode, device) = (args[0], args[1] as u32, args[2] as u32);
    let (major, minor) = (libc::major(device.into()), libc::minor(device.into()));
    let mut kinds = rule.nodes.iter();
    let listed = kinds
        .any(|node| (node.kind, node.major, node.minor) == (mode & libc::S_IFMT, major, minor));
    let what = match mode & libc::S_IFMT {
        libc::S_IFCHR => format!("c {major}:{minor}"),
        libc::S_IFBLK => format!("b {major}:{minor}"),
        // The kernel asks for no capability then.
        kind => format!("kind {kind:o}"),
    };
    let is_plain = matches!(
        mode & libc::S_IFMT,
        0 | libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK
    );
    if !listed && !is_plain {
        return Answer::Refused(rule.default, format!("{what} is not listed"));
    }
    let (who, groups) = match who_is(call) {
        Ok(found) => found,
        Err(error) => return failed(&error, "who it is"),
    };
    if !is_plain && !lend::has(&who, lend::CAP_MKNOD) {
        return Answer::Refused(Errno(libc::EPERM), "it has no CAP_MKNOD".into());
    }
    let Some(_lent) = Lent::new(&who, &groups) else {
        return Answer::Refused(Errno(libc::EPERM), "its rights could not be taken".into());
    };
    let made = call
        .open_parent(dir, path)
        .and_then(|(parent, name)| call.mknod(parent.as_fd(), &name, mode, device));
    match made {
        Ok(()) => Answer::Done(what),
        Err(error) => failed(&error, &what),
    }
}

/// Mounts what the policy says can be.
fn mount(call: &mut Notification, rule: &Rule) -> Answer {
    let args = call.request().args;
    let flags = tmpfs::flags_of(args[3]);
    let mut buffer = [0; 256];
    let kind = match tmpfs::kind_of(flags) {
        Some(kind) => kind.to_owned(),
        None => match call.read_string(args[2], &mut buffer) {
            Ok(kind) => kind.to_string_lossy().into_owned(),
            Err(error) => return unread(&error, "the type"),
        },
    };
    let Some(mount) = rule.mount(&kind) else {
        return Answer::Refused(rule.default, format!("type {kind} is not listed"));
    };
    match mount.action {
        Action::Refuse(errno) => Answer::Refused(errno, format!("type {kind}")),
        Action::Mount => mount_tmpfs(call, mount, args[1], flags, args[4]),
    }
}

fn mount_tmpfs(call: &mut Notification, mount: &Mount, path: u64, flags: u64, data: u64) -> Answer {
    let mut buffer = [0; 4096];
    let asked = match data {
        0 => Ok(c""),
        data => call.read_string(data, &mut buffer),
    };
    let asked = match asked {
        Ok(asked) => asked.to_string_lossy(),
        Err(error) => return unread(&error, "the options"),
    };
    let (flags, options) = match tmpfs::plan(mount, flags, &asked) {
        Ok(plan) => plan,
        Err(why) => return Answer::Refused(Errno(libc::EPERM), format!("not allowed: {why}")),
    };
    let (who, groups) = match who_is(call) {
        Ok(found) => found,
        Err(error) => return failed(&error, "who it is"),
    };
    if !lend::has(&who, lend::CAP_SYS_ADMIN) {
        return Answer::Refused(Errno(libc::EPERM), "it has no CAP_SYS_ADMIN".into());
    }
    let how = OpenHow::new(libc::O_PATH | libc::O_DIRECTORY);
    let directory = match Lent::new(&who, &groups) {
        Some(_lent) => call.open(libc::AT_FDCWD, path, how),
        None => return Answer::Refused(Errno(libc::EPERM), "its rights could not be taken".into()),
    };
    let directory = match directory {
        Ok(directory) => directory,
        Err(error) => return failed(&error, "the directory"),
    };
    let text = CString::new(options.clone()).unwrap_or_default();
    let number = directory.as_raw_fd();
    let namespaces = Namespaces::USER | Namespaces::MOUNT;
    // SAFETY: it makes two system calls, with what was made before.
    let mounted = unsafe {
        call.run_in(namespaces, LIMIT, move || {
            let (kind, here) = (c"tmpfs".as_ptr(), c".".as_ptr());
            // SAFETY: the texts end with NUL and live.
            let done = libc::fchdir(number) == 0
                && libc::mount(kind, here, kind, flags, text.as_ptr().cast()) == 0;
            match done {
                true => Ok((0, None)),
                false => Err(*libc::__errno_location()),
            }
        })
    };
    match mounted {
        Ok(_) => Answer::Done(format!("tmpfs with {options}")),
        Err(error) => failed(&error, "mount"),
    }
}
