//! An agent in Go, by the package that calls the library: `go-agent`, which `UNOTIFY_TEST_GO_AGENT` names.

use crate::bundle::Place;
use crate::containers::{check_script, while_served, SCRIPT};
use crate::go_program::GoProgram;
use crate::runtimes::*;
use crate::support::*;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;
use unotify::*;

with_each_runtime!(
    a_go_agent_serves_containers_and_what_is_started_in_them,
    a_go_agent_outlives_a_container_that_is_killed,
    a_go_agent_takes_over_and_hands_over_a_container_that_waits,
);

const LONG: Duration = Duration::from_secs(60);

const PROGRAM: &str = "UNOTIFY_TEST_GO_AGENT";

fn a_go_agent_serves_containers_and_what_is_started_in_them(runtime: Runtime) {
    let place = Place::new();
    let agent = GoProgram::bind(PROGRAM, &place);
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
    let agent = GoProgram::bind(PROGRAM, &place);
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
    // It takes over, and is to hand over, at the other ends of these.
    let sockets = [&from, &back_to];
    let numbers = sockets.map(|socket| socket.as_raw_fd().to_string());
    let numbers = [&*numbers[0], &*numbers[1]];
    let heir = GoProgram::start(PROGRAM, &place, &numbers, "heir.log", &sockets);
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
