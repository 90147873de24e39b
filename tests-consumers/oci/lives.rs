//! Agents that come and go while containers are there.

use crate::bundle::Place;
use crate::containers::{bind, check_script, while_served, SCRIPT};
use crate::runtimes::*;
use crate::support::*;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;
use unotify::*;

with_each_runtime!(
    an_agent_can_be_started_anew_between_two_containers,
    an_agent_that_is_killed_leaves_no_container_waiting,
    an_agent_is_replaced_under_a_container_that_waits,
);

const LONG: Duration = Duration::from_secs(60);

fn an_agent_can_be_started_anew_between_two_containers(runtime: Runtime) {
    let place = Place::new();
    for id in ["first", "second"] {
        let (agent, supervisor) = (bind(&place), engine());
        while_served(
            &agent,
            &supervisor,
            |_| Some(0),
            || {
                check_script(&runtime.start(&place, id, SCRIPT).says());
            },
        );
    }
    // And after one that was killed, and so has left its socket.
    let mut killed = Process::fork(|| {
        let agent = bind(&place);
        let _ = agent.accept();
        0
    });
    soon(|| UnixStream::connect(place.socket()).is_ok());
    killed.kill();
    let (agent, supervisor) = (bind(&place), engine());
    while_served(
        &agent,
        &supervisor,
        |_| Some(0),
        || {
            check_script(&runtime.start(&place, "third", SCRIPT).says());
        },
    );
}

/// The kernel lets every call of a container fail whose listener is gone.
fn an_agent_that_is_killed_leaves_no_container_waiting(runtime: Runtime) {
    let place = Place::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut agent = Process::fork(|| {
        let agent = bind(&place);
        (&theirs).write_all(b"b").unwrap();
        let listener = agent.accept().unwrap().take_listener().unwrap();
        let _call = listener.receive().unwrap();
        (&theirs).write_all(b"c").unwrap();
        thread::sleep(slowed(LONG));
        0
    });
    (&ours).read_exact(&mut [0]).unwrap();
    let started = runtime.start(&place, "box", "mkdir /tmp/yes; mkdir /tmp/yes; echo end");
    (&ours).read_exact(&mut [0]).unwrap();
    agent.kill();
    let said = started.says();
    let refused = "mkdir: can't create directory '/tmp/yes': Function not implemented\n";
    // What it says and what it complains of come by two ways.
    assert_eq!(said.matches(refused).count(), 2, "{said}");
    assert!(said.contains("end\n"), "{said}");
}

fn an_agent_is_replaced_under_a_container_that_waits(runtime: Runtime) {
    let place = Place::new();
    let (to, from) = UnixStream::pair().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut old = Process::fork(|| {
        let agent = bind(&place);
        (&theirs).write_all(b"b").unwrap();
        // Nobody accepts: the container's first call waits.
        (&theirs).read_exact(&mut [0]).unwrap();
        agent.hand_over(None, to.as_fd()).unwrap();
        0
    });
    (&ours).read_exact(&mut [0]).unwrap();
    let mut started = runtime.start(&place, "box", SCRIPT);
    thread::sleep(Duration::from_millis(500));
    assert!(!started.has_ended());
    (&ours).write_all(b"h").unwrap();
    let agent = Agent::take_over(from.as_fd(), AgentOptions::default()).unwrap();
    assert_eq!(old.wait(), 0);
    let supervisor = engine();
    while_served(
        &agent,
        &supervisor,
        |_| Some(0),
        || {
            check_script(&started.says());
            check_script(&runtime.start(&place, "second", SCRIPT).says());
        },
    );
}
