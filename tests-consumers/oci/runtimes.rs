//! The runtimes, as somebody calls them.

use crate::bundle::Place;
use crate::support::*;
use serde_json::Value;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use unotify::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Runc,
    Crun,
    /// The program that `UNOTIFY_TEST_YOUKI` names: no package has it.
    Youki,
}

/// In a mount namespace of its own the runtime sees one hierarchy of control groups, as on a machine of
/// today, whatever this one has.
const WITH_CGROUPS: &str = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";

impl Runtime {
    /// A call of it by root.
    pub(crate) fn command(self, place: &Place, args: &[&str]) -> Command {
        let unshare = ["unshare", "--mount", "sh", "-c", WITH_CGROUPS, "sh"];
        self.command_behind(&unshare, place, args)
    }

    /// A call of it by somebody else.
    fn command_rootless(self, place: &Place, args: &[&str]) -> Command {
        let before: &[&str] = match self {
            Runtime::Runc => &["env"],
            Runtime::Crun | Runtime::Youki => &[
                "unshare",
                "--map-root-user",
                "--mount",
                "--cgroup",
                "sh",
                "-c",
                WITH_CGROUPS,
                "sh",
            ],
        };
        self.command_behind(before, place, args)
    }

    fn command_behind(self, before: &[&str], place: &Place, args: &[&str]) -> Command {
        let mut command = Command::new(before[0]);
        command.args(&before[1..]);
        match self {
            Runtime::Runc => command.arg("runc"),
            // Which would take systemd, or rights over the groups.
            Runtime::Crun => command.args(["crun", "--cgroup-manager=disabled"]),
            Runtime::Youki => {
                command.arg(std::env::var_os("UNOTIFY_TEST_YOUKI").expect("it says which"))
            }
        };
        command.arg("--root").arg(place.notes()).args(args);
        command.stdin(Stdio::null());
        command
    }

    /// Has it do something that it is done with when it returns, to a container that runs.
    pub(crate) fn does(self, place: &Place, args: &[&str]) {
        let output = watched(|| self.command(place, args).output()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }

    /// Starts a container in the background, with what it says going to a file.
    pub(crate) fn start(self, place: &Place, id: &str, script: &str) -> Started {
        self.start_changed(place, id, script, |_| {})
    }

    /// The same with something else in its bundle.
    pub(crate) fn start_changed(
        self,
        place: &Place,
        id: &str,
        script: &str,
        change: impl FnOnce(&mut Value),
    ) -> Started {
        let script = match self {
            // It begins to wait for a container only when that runs, and waits for ever for one that has
            // ended by then.
            Runtime::Youki => format!("{script}\nsleep 1"),
            Runtime::Runc | Runtime::Crun => script.to_owned(),
        };
        let bundle = place.bundle(id, &script, change);
        let args = ["run", "--bundle", path(&bundle), id];
        self.started(place, id, id, &args)
    }

    /// Runs a container as a user without rights, and gives what was said.
    pub(crate) fn start_rootless(
        self,
        place: &Place,
        id: &str,
        script: &str,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let bundle = place.bundle(id, script, change);
        let args = ["run", "--bundle", path(&bundle), id];
        let output = watched(|| self.command_rootless(place, &args).output()).unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8(said).unwrap()
    }

    /// Starts a process in a container.
    pub(crate) fn exec(self, place: &Place, id: &str, script: &str) -> Started {
        self.started(place, id, "exec", &["exec", id, "sh", "-c", script])
    }

    fn started(self, place: &Place, id: &str, name: &str, args: &[&str]) -> Started {
        let said = place.file(&format!("{name}.out"));
        let file = File::create(&said).unwrap();
        let mut command = self.command(place, args);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Started {
            _watch: watch(),
            runtime: command.spawn().unwrap(),
            undo: self.command(place, &["delete", "--force", id]),
            said,
        }
    }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A runtime that runs a container.
#[derive(Debug)]
pub(crate) struct Started {
    _watch: Watch,
    runtime: Child,
    /// Removes the container.
    undo: Command,
    said: std::path::PathBuf,
}

impl Drop for Started {
    /// A test that fails leaves nothing behind either.
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self
                .undo
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            let _ = self.runtime.wait();
        }
    }
}

impl Started {
    /// What it, and the container, have said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.runtime.try_wait().unwrap().is_some()
    }

    /// Waits for its end: whether it was a good one, and what was said.
    pub(crate) fn end(mut self) -> (bool, String) {
        let status = self.runtime.wait().unwrap();
        (status.success(), self.said())
    }

    /// Waits for its end, of whatever kind, and gives what was said.
    pub(crate) fn said_at_end(self) -> String {
        self.end().1
    }

    /// Waits for its end, which has to be a good one.
    pub(crate) fn says(self) -> String {
        let (well, said) = self.end();
        assert!(well, "{said}");
        said
    }
}

/// A supervisor that does what an engine does: makes directories and devices for the container, but
/// none that is called "no", and mounts nothing.
pub(crate) fn engine() -> Supervisor {
    let options = SupervisorOptions::default()
        .keep_running(true)
        .max_workers(4);
    let supervisor = Supervisor::new(options).unwrap();
    for name in ["mkdir", "mknod"] {
        supervisor
            .on(name, move |call| answer(call, false, name == "mknod"))
            .unwrap();
    }
    for name in ["mkdirat", "mknodat"] {
        supervisor
            .on(name, move |call| answer(call, true, name == "mknodat"))
            .unwrap();
    }
    supervisor
        .on("mount", |call| {
            let _ = call.reply_error(libc::EBUSY);
            Verdict::Handled
        })
        .unwrap();
    supervisor
}

fn answer(call: &mut Notification, at: bool, device: bool) -> Verdict {
    let _ = match make(call, at, device) {
        Ok(()) => call.reply_value(0),
        Err(errno) => call.reply_error(errno),
    };
    Verdict::Handled
}

fn make(call: &mut Notification, at: bool, device: bool) -> Result<(), i32> {
    let args = call.request().args;
    let (dir, rest) = match at {
        true => (args[0] as i32, &args[1..]),
        false => (libc::AT_FDCWD, &args[..]),
    };
    let (parent, name) = call
        .open_parent(dir, rest[0])
        .map_err(|error| error.errno())?;
    if name.to_bytes() == b"no" {
        return Err(libc::EPERM);
    }
    let mode = rest[1] as u32;
    let made = if device {
        call.mknod(parent.as_fd(), &name, mode, rest[2] as u32)
    } else {
        call.mkdir(parent.as_fd(), &name, mode)
    };
    made.map_err(|error| error.errno())
}

/// Has a test done with each runtime.
macro_rules! with_each_runtime {
    ($($test:ident),+ $(,)?) => {
        mod runc {
            $(#[test] fn $test() { super::$test($crate::runtimes::Runtime::Runc) })+
        }
        mod crun {
            $(#[test] fn $test() { super::$test($crate::runtimes::Runtime::Crun) })+
        }
        mod youki {
            $(#[test] fn $test() { super::$test($crate::runtimes::Runtime::Youki) })+
        }
    };
}
pub(crate) use with_each_runtime;
