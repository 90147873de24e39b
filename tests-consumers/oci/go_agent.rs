//! An agent in Go, by the package that calls the library: `go-agent`, which `UNOTIFY_TEST_GO_AGENT` names.

use crate::bundle::Place;
use crate::containers::{check_script, while_served, SCRIPT};
use crate::runtimes::*;
use crate::support::*;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use unotify::*;

with_each_runtime!(
    a_go_agent_serves_containers_and_what_is_started_in_them,
    a_go_agent_outlives_a_container_that_is_killed,
    a_go_agent_takes_over_and_hands_over_a_container_that_waits,
);

const LONG: Duration = Duration::from_secs(60);

/// One that runs. It is ended with this.
struct GoAgent {
    child: Child,
    log: std::path::PathBuf,
    _watch: Watch,
}

impl GoAgent {
    fn start(place: &Place, args: &[&str], log: &str, inherited: &[&UnixStream]) -> Self {
        let program = std::env::var_os("UNOTIFY_TEST_GO_AGENT").expect("it says which");
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
        GoAgent {
            _watch: watch(),
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// It takes over, and is to hand over, at the other ends of these.
    fn start_heir(place: &Place, from: &UnixStream, to: &UnixStream) -> Self {
        let numbers = [from, to].map(|socket| socket.as_raw_fd().to_string());
        GoAgent::start(place, &[&numbers[0], &numbers[1]], "heir.log", &[from, to])
    }

    fn bind(place: &Place) -> Self {
        let agent = GoAgent::start(place, &[path(&place.socket())], "agent.log", &[]);
        soon(|| place.socket().exists());
        agent
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: integers only; it is a child that was not waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits for its end, which has to be a good one, and gives what it said.
    fn ends(mut self) -> String {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}", self.said());
        self.said()
    }
}

impl Drop for GoAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_go_agent_serves_containers_and_what_is_started_in_them(runtime: Runtime) {
    let place = Place::new();
    let agent = GoAgent::bind(&place);
    check_script(&runtime.start(&place, "first", SCRIPT).says());
    let script = "echo up; while test ! -d /tmp/end; do sleep 0.05; done";
    let container = runtime.start(&place, "box", script);
    soon(|| container.said().contains("up\n"));
    let inside = runtime.exec(&place, "box", &format!("{SCRIPT}; mkdir /tmp/end"));
    let said = inside.said_at_end();
    if runtime != Runtime::Youki {
        check_script(&said);
    }
    container.says();
    let lines = |what: &str| agent.said().matches(what).count();
    let started = if runtime == Runtime::Youki { 1 } else { 2 };
    soon(|| lines("- box ") == started);
    assert_eq!(lines("+ first creating false what the profile says\n"), 1);
    assert_eq!(lines("+ box "), started);
    agent.signal(libc::SIGTERM);
    let said = agent.ends();
    assert!(
        said.ends_with("end\n") && !said.contains("refused"),
        "{said}"
    );
    assert!(!place.socket().exists());
}

fn a_go_agent_outlives_a_container_that_is_killed(runtime: Runtime) {
    let place = Place::new();
    let agent = GoAgent::bind(&place);
    let script = "echo up; while true; do mkdir /tmp/no 2>/tmp/said; done";
    let started = runtime.start(&place, "box", script);
    soon(|| started.said().contains("up\n"));
    runtime.does(&place, &["kill", "box", "KILL"]);
    assert!(!started.end().0);
    soon(|| agent.said().contains("- box "));
    check_script(&runtime.start(&place, "second", SCRIPT).says());
    agent.signal(libc::SIGTERM);
    agent.ends();
}

/// From an agent in Rust to one in Go, and back.
fn a_go_agent_takes_over_and_hands_over_a_container_that_waits(runtime: Runtime) {
    let place = Place::new();
    let agent = Agent::bind(place.socket(), AgentOptions::default()).unwrap();
    let (to, from) = UnixStream::pair().unwrap();
    let (back_to, back_from) = UnixStream::pair().unwrap();
    // Then it asks for what only the last agent makes, all the time.
    let script = format!(
        "{SCRIPT}
        until mkdir /tmp/later 2>/tmp/said; do cat /tmp/said; done
        echo over"
    );
    let mut started = runtime.start(&place, "box", &script);
    // It is accepted and not served: its first call waits.
    let container = agent.accept_timeout(slowed(LONG)).unwrap();
    agent.put_back(container.take_listener().unwrap()).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(!started.has_ended());
    let heir = GoAgent::start_heir(&place, &from, &back_to);
    agent.hand_over(None, to.as_fd()).unwrap();
    drop((agent, container));
    let later = "mkdir: can't create directory '/tmp/later': Resource temporarily unavailable\n";
    soon(|| started.said().matches(later).count() > 10);
    heir.signal(libc::SIGUSR1);
    let agent = Agent::take_over(back_from.as_fd(), AgentOptions::default()).unwrap();
    let said = heir.ends();
    assert!(said.contains("+ box creating true "), "{said}");
    assert!(said.contains("- box creating true "), "{said}");
    let supervisor = engine();
    while_served(
        &agent,
        &supervisor,
        |_| Some(0),
        || {
            let said = started.says();
            check_script(&said);
            assert!(
                said.contains("over\n") && !said.contains("implemented"),
                "{said}"
            );
        },
    );
}
