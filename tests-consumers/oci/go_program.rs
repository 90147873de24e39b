//! Agents in Go, as processes.

use crate::bundle::Place;
use crate::runtimes::*;
use crate::support::*;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// One that runs. It is ended with this. Environment variables name the programs.
pub(crate) struct GoProgram {
    child: Child,
    log: std::path::PathBuf,
    _watch: Watch,
}

impl GoProgram {
    pub(crate) fn start(
        program: &str,
        place: &Place,
        args: &[&str],
        log: &str,
        inherited: &[&UnixStream],
    ) -> Self {
        let program = std::env::var_os(program).expect("it says which");
        let log = place.file(log);
        let file = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let inherited: Vec<_> = inherited.iter().map(|socket| socket.as_raw_fd()).collect();
        // SAFETY: it only changes flags of descriptors that are open.
        unsafe {
            command.pre_exec(move || {
                let kept = |&fd| libc::fcntl(fd, libc::F_SETFD, 0) == 0;
                match inherited.iter().all(kept) {
                    true => Ok(()),
                    false => Err(std::io::Error::last_os_error()),
                }
            });
        }
        GoProgram {
            _watch: watch(),
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// An agent with the place's socket.
    pub(crate) fn bind(program: &str, place: &Place) -> Self {
        let agent = GoProgram::start(program, place, &[path(&place.socket())], "agent.log", &[]);
        soon(|| place.socket().exists());
        agent
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: integers only; it is a child that was not waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits for its end, which has to be a good one, and gives what it said.
    pub(crate) fn ends(mut self) -> String {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}", self.said());
        self.said()
    }
}

impl Drop for GoProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
