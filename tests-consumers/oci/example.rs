//! The example `container-agent`, which `UNOTIFY_TEST_CONTAINER_AGENT` names.

use crate::bundle::Place;
use crate::runtimes::*;
use crate::support::*;
use std::fs::File;
use std::process::{Command, Stdio};

with_each_runtime!(it_mounts_in_memory_for_containers_and_nothing_else);

fn it_mounts_in_memory_for_containers_and_nothing_else(runtime: Runtime) {
    let place = Place::new();
    let program = std::env::var_os("UNOTIFY_TEST_CONTAINER_AGENT").expect("it says which");
    let log = place.file("agent.log");
    let mut agent = watched(|| {
        Command::new(program)
            .arg(place.socket())
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .spawn()
            .unwrap()
    });
    soon(|| place.socket().exists());
    let script = "mount -t tmpfs none /tmp && mkdir /tmp/in && echo mounted
        cat /proc/self/mountinfo
        mount -t tmpfs none /nowhere
        mount -t proc none /tmp/in
        mount -o bind /bin /tmp/in";
    let said = runtime
        .start_changed(&place, "box", script, |config| {
            // It makes its directories itself.
            config["linux"]["seccomp"]["syscalls"][0]["names"] = serde_json::json!(["mount"]);
        })
        .said_at_end();
    for part in [
        "mounted\n",
        "mount: mounting none on /nowhere failed: No such file or directory\n",
        "mount: permission denied (are you root?)\nmount: permission denied (are you root?)\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let mounts: Vec<_> = said
        .lines()
        .filter(|line| line.contains(" /tmp "))
        .collect();
    assert!(mounts.last().unwrap().contains("size=16384k"), "{said}");
    let logged = || std::fs::read_to_string(&log).unwrap();
    soon(|| logged() == "+ box what the profile says\n- box\n");
    // SAFETY: integers only; it is a child that was not waited for.
    unsafe { libc::kill(agent.id() as i32, libc::SIGTERM) };
    assert!(agent.wait().unwrap().success());
    assert!(!place.socket().exists());
}
