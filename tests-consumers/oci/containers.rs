//! What containers and their runtimes do, and what an agent sees of it.

use crate::bundle::Place;
use crate::runtimes::*;
use crate::support::*;
use serde_json::json;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

with_each_runtime!(
    a_container_is_answered_and_told_of,
    a_process_that_is_started_in_a_container_is_served_too,
    a_container_that_is_killed_in_a_call_is_gone,
    twenty_at_once_are_all_served,
    a_long_state_is_taken,
    an_agent_that_is_late_is_waited_for,
    a_start_that_fails_is_nothing_to_the_agent,
    without_an_agent_there_is_no_container,
);

const LONG: Duration = Duration::from_secs(60);

/// What every container here does: it makes what it may, and is refused the rest.
pub(crate) const SCRIPT: &str = "mkdir /tmp/yes && test -d /tmp/yes && echo made
    mknod /tmp/null c 1 3 && test -c /tmp/null && echo device
    mkdir /tmp/no
    mount -t tmpfs none /tmp
    echo end";

/// That it has done so.
pub(crate) fn check_script(said: &str) {
    for part in [
        "made\n",
        "device\n",
        "mkdir: can't create directory '/tmp/no': Operation not permitted\n",
        "mount: mounting none on /tmp failed: Device or resource busy\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

pub(crate) fn bind(place: &Place) -> Agent {
    let options = AgentOptions::default().log(|sentence| panic!("{sentence}"));
    Agent::bind(place.socket(), options).unwrap()
}

/// Serves what comes during `body`.
pub(crate) fn while_served<T>(
    agent: &Agent,
    supervisor: &Supervisor,
    on_container: impl FnMut(Container) -> Option<usize> + Send,
    body: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let serving = scope.spawn(|| agent.serve(supervisor, on_container));
        // So that a test that fails does not wait for this.
        struct Interrupt<'a>(&'a Agent);
        impl Drop for Interrupt<'_> {
            fn drop(&mut self) {
                self.0.interrupt();
            }
        }
        let interrupt = Interrupt(agent);
        let result = body();
        drop(interrupt);
        serving.join().unwrap().unwrap();
        result
    })
}

fn a_container_is_answered_and_told_of(runtime: Runtime) {
    let (place, supervisor) = (Place::new(), engine());
    let agent = bind(&place);
    let seen = Mutex::new(Vec::new());
    let on_container = |container| {
        seen.lock().unwrap().push(container);
        Some(0)
    };
    while_served(&agent, &supervisor, on_container, || {
        check_script(&runtime.start(&place, "box", SCRIPT).says());
    });
    let seen = seen.into_inner().unwrap();
    let [container] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(container.id(), "box");
    assert_eq!(container.metadata(), "what the profile says");
    assert_eq!(container.bundle(), path(&place.file("box")));
    assert_eq!(container.annotations()["one"], "1");
    assert!(container.pid() > 0 && container.pid() == container.init_pid());
    // Each has its own opinion of which that is.
    assert!(!container.version().is_empty());
    assert_eq!(container.status(), "creating");
}

fn a_process_that_is_started_in_a_container_is_served_too(runtime: Runtime) {
    let (place, supervisor) = (Place::new(), engine());
    let agent = bind(&place);
    let seen = Mutex::new(Vec::new());
    let on_container = |container: Container| {
        seen.lock().unwrap().push(container);
        Some(0)
    };
    while_served(&agent, &supervisor, on_container, || {
        let script = "echo up; while test ! -d /tmp/end; do sleep 0.05; done";
        let first = runtime.start(&place, "box", script);
        soon(|| first.said().contains("up\n"));
        if runtime == Runtime::Youki {
            // Which gives it no filter.
            let second = runtime.exec(&place, "box", "mkdir /tmp/no /tmp/end && echo made");
            assert_eq!(second.said_at_end(), "made\n");
            first.says();
            return;
        }
        let second = runtime.exec(&place, "box", &format!("{SCRIPT}; mkdir /tmp/end"));
        check_script(&second.said_at_end());
        first.says();
    });
    let seen = seen.into_inner().unwrap();
    if runtime == Runtime::Youki {
        assert_eq!(seen.len(), 1);
        return;
    }
    let [first, second] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!((first.id(), second.id()), ("box", "box"));
    assert_eq!(second.status(), "running");
    if runtime == Runtime::Crun {
        assert_eq!((second.pid(), second.init_pid()), (0, 0));
        assert_eq!(second.bundle(), ".");
    } else {
        assert!(second.pid() > 0 && second.pid() != first.pid());
        assert_eq!(second.init_pid(), first.pid());
        assert_eq!(second.bundle(), first.bundle());
    }
}

fn a_container_that_is_killed_in_a_call_is_gone(runtime: Runtime) {
    let place = Place::new();
    let agent = bind(&place);
    let started = runtime.start(&place, "box", "mkdir /tmp/yes; echo no");
    let container = agent.accept_timeout(slowed(LONG)).unwrap();
    let listener = container.take_listener().unwrap();
    let mut call = listener.receive_timeout(slowed(LONG)).unwrap();
    runtime.does(&place, &["kill", "box", "KILL"]);
    let (well, said) = started.end();
    assert!(!well && !said.contains("no"), "{said}");
    assert_eq!(status(call.reply_value(0)), Status::Gone);
    let nothing = listener.receive_timeout(slowed(LONG));
    assert_eq!(status(nothing), Status::Closed);
}

fn twenty_at_once_are_all_served(runtime: Runtime) {
    let (place, supervisor) = (Place::new(), engine());
    let agent = bind(&place);
    let ids = Mutex::new(Vec::new());
    let on_container = |container: Container| {
        ids.lock().unwrap().push(container.id().to_owned());
        Some(0)
    };
    let names: Vec<_> = (0..20).map(|number| format!("box{number:02}")).collect();
    while_served(&agent, &supervisor, on_container, || {
        let start = |id: &String| runtime.start(&place, id, SCRIPT);
        let started: Vec<_> = names.iter().map(start).collect();
        for one in started {
            check_script(&one.says());
        }
    });
    let mut ids = ids.into_inner().unwrap();
    ids.sort_unstable();
    assert_eq!(ids, names);
}

fn a_long_state_is_taken(runtime: Runtime) {
    let (place, supervisor) = (Place::new(), engine());
    let agent = bind(&place);
    let long = "x".repeat(300_000);
    let size = Mutex::new(0);
    let on_container = |container: Container| {
        *size.lock().unwrap() = container.annotations()["long"].len();
        Some(0)
    };
    while_served(&agent, &supervisor, on_container, || {
        let started = runtime.start_changed(&place, "box", SCRIPT, |config| {
            config["annotations"]["long"] = json!(long);
        });
        check_script(&started.says());
    });
    assert_eq!(size.into_inner().unwrap(), 300_000);
}

fn an_agent_that_is_late_is_waited_for(runtime: Runtime) {
    let (place, supervisor) = (Place::new(), engine());
    let agent = bind(&place);
    let started = runtime.start(&place, "box", SCRIPT);
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(3));
    while_served(
        &agent,
        &supervisor,
        |_| Some(0),
        || {
            check_script(&started.says());
        },
    );
    assert!(begun.elapsed() >= Duration::from_secs(3));
}

fn a_start_that_fails_is_nothing_to_the_agent(runtime: Runtime) {
    let (place, supervisor) = (Place::new(), engine());
    // It panics if something is refused.
    let agent = bind(&place);
    while_served(
        &agent,
        &supervisor,
        |_| Some(0),
        || {
            let failed = runtime.start_changed(&place, "bad", SCRIPT, |config| {
                config["process"]["args"] = json!(["/bin/none"]);
            });
            assert!(!failed.end().0);
            check_script(&runtime.start(&place, "box", SCRIPT).says());
        },
    );
}

fn without_an_agent_there_is_no_container(runtime: Runtime) {
    let place = Place::new();
    let (well, said) = runtime.start(&place, "box", "echo up").end();
    assert!(!well && !said.contains("up\n"), "{said}");
}
