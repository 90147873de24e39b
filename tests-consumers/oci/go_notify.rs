//! An agent in Go without cgo: `go-notify`, which `UNOTIFY_TEST_GO_NOTIFY` names.

use crate::bundle::Place;
use crate::go_program::GoProgram;
use crate::runtimes::*;
use crate::support::*;
use serde_json::json;

with_each_runtime!(
    go_without_cgo_serves_containers_and_what_is_started_in_them,
    go_without_cgo_outlives_a_container_that_is_killed,
);

const SCRIPT: &str = "mkdir /tmp/yes && test -d /tmp/yes && echo made
    mkdir /tmp/no
    mount -t tmpfs none /tmp
    echo end";

fn check_script(said: &str) {
    for part in [
        "made\n",
        "mkdir: can't create directory '/tmp/no': Operation not permitted\n",
        "mount: mounting none on /tmp failed: Device or resource busy\n",
        "end\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

const PROGRAM: &str = "UNOTIFY_TEST_GO_NOTIFY";

fn go_without_cgo_serves_containers_and_what_is_started_in_them(runtime: Runtime) {
    let place = Place::new();
    let agent = GoProgram::bind(PROGRAM, &place);
    let long = "x".repeat(300_000);
    let first = runtime.start_changed(&place, "first", SCRIPT, |config| {
        config["annotations"]["long"] = json!(long);
    });
    check_script(&first.says());
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
    soon(|| lines("- box\n") == started);
    assert_eq!(lines("+ box "), started);
    assert_eq!(lines(" what the profile says\n"), started + 1);
    if runtime == Runtime::Crun {
        assert_eq!(lines("+ box running 0 0 . "), 1);
    }
    agent.signal(libc::SIGTERM);
    let said = agent.ends();
    assert!(
        said.ends_with("end\n") && !said.contains("refused"),
        "{said}"
    );
    assert!(!place.socket().exists());
}

fn go_without_cgo_outlives_a_container_that_is_killed(runtime: Runtime) {
    let place = Place::new();
    let agent = GoProgram::bind(PROGRAM, &place);
    let script = "echo up; while true; do mkdir /tmp/no 2>/tmp/said; done";
    let started = runtime.start(&place, "box", script);
    soon(|| started.said().contains("up\n"));
    runtime.does(&place, &["kill", "box", "KILL"]);
    assert!(!started.end().0);
    soon(|| agent.said().contains("- box\n"));
    check_script(&runtime.start(&place, "second", SCRIPT).says());
    agent.signal(libc::SIGTERM);
    agent.ends();
}
