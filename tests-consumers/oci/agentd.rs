//! The program `unotify-agent`, which `UNOTIFY_TEST_AGENT` names.

use crate::bundle::Place;
use crate::runtimes::*;
use crate::support::*;
use serde_json::{json, Value};
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

with_each_runtime!(
    a_listed_device_is_made_with_umask_and_owner_and_another_refused,
    a_program_without_the_capability_gets_nothing,
    a_tmpfs_is_mounted_with_its_limits_and_other_mounts_are_answered,
    a_reload_counts_and_a_bad_policy_does_not,
    a_device_is_made_only_where_the_program_may_write,
    what_a_hostile_container_asks_is_refused_and_others_are_served,
    twenty_upgrades_under_load_fail_no_call,
    an_agent_that_is_killed_leaves_nobody_waiting,
);

const NODES: &str = "[[rule]]\nnodes = [\"c 1:3\"]\n";
const EVERYTHING: &str = "[[rule]]
default = \"EACCES\"
nodes = [\"c 1:3\"]
[[rule.mount]]
type = \"tmpfs\"
action = \"mount\"
flags = [\"nosuid\", \"nodev\"]
max_size = \"1m\"
max_inodes = 64
options = [\"size\"]
[[rule.mount]]
type = \"proc\"
action = \"EBUSY\"
";

/// An agent that runs. It is ended with this.
struct Daemon {
    child: Child,
    _watch: Watch,
}

impl Daemon {
    fn command(place: &Place) -> Command {
        let program = std::env::var_os("UNOTIFY_TEST_AGENT").expect("it says which");
        let mut command = Command::new(program);
        command.arg("--socket").arg(place.socket());
        command.arg("--policy").arg(place.file("policy"));
        command.arg("--log").arg(place.file("log"));
        command.stdin(Stdio::null());
        command
    }

    fn spawn(mut command: Command) -> Self {
        Daemon {
            _watch: watch(),
            child: command.spawn().unwrap(),
        }
    }

    fn start(place: &Place, policy: &str) -> Self {
        fs::write(place.file("policy"), policy).unwrap();
        let daemon = Daemon::spawn(Daemon::command(place));
        soon(|| events(place, "started").len() == 1);
        daemon
    }

    fn signal(&self, signal: i32) {
        // SAFETY: integers only; it is a child that was not waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    fn ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was logged of this kind.
fn events(place: &Place, event: &str) -> Vec<Value> {
    let log = fs::read_to_string(place.file("log")).unwrap_or_default();
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let lines = whole
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).expect("every line is JSON") });
    lines.filter(|line| line["event"] == event).collect()
}

/// With these capabilities, and mkdir its own.
fn capable<'a>(names: &'a [&str]) -> impl FnOnce(&mut Value) + 'a {
    move |config| {
        let list = json!(names);
        config["process"]["capabilities"] =
            json!({ "bounding": list, "effective": list, "permitted": list });
        config["linux"]["seccomp"]["syscalls"][0]["names"] = json!(["mknod", "mknodat", "mount"]);
    }
}

#[track_caller]
fn contains(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

fn a_listed_device_is_made_with_umask_and_owner_and_another_refused(runtime: Runtime) {
    let place = Place::new();
    let _daemon = Daemon::start(&place, NODES);
    let script = "umask 027; mknod /tmp/null c 1 3 && busybox stat -c '%F %t:%T %u:%g %a' /tmp/null
        mknod /tmp/mem c 1 1
        mknod /tmp/disk b 1 3
        mknod /tmp/fifo p && test -p /tmp/fifo && echo fifo";
    let said = runtime
        .start_changed(&place, "box", script, |config| {
            capable(&["CAP_MKNOD"])(config);
            config["process"]["user"] = json!({ "uid": 0, "gid": 7 });
        })
        .said_at_end();
    contains(
        &said,
        &[
            "character special file 1:3 0:7 640\n",
            "mknod: /tmp/mem: Operation not permitted\n",
            "mknod: /tmp/disk: Operation not permitted\n",
            "fifo\n",
        ],
    );
    let calls = events(&place, "call");
    let first = &calls[0];
    assert_eq!(
        (&first["id"], &first["decision"]),
        (&json!("box"), &json!("done"))
    );
    assert!(
        first["pid"].as_i64().unwrap() > 0 && first["call"].as_str().unwrap().starts_with("mknod")
    );
    assert_eq!(calls[1]["decision"], "EPERM");
}

fn a_program_without_the_capability_gets_nothing(runtime: Runtime) {
    let place = Place::new();
    let _daemon = Daemon::start(&place, EVERYTHING);
    let script = "mknod /tmp/null c 1 3; mount -t tmpfs none /tmp; echo end";
    let said = runtime
        .start_changed(&place, "box", script, capable(&["CAP_KILL"]))
        .says();
    contains(
        &said,
        &["mknod: /tmp/null: Operation not permitted\n", "end\n"],
    );
    let reasons: Vec<_> = events(&place, "call")
        .iter()
        .map(|call| call["reason"].clone())
        .collect();
    assert_eq!(
        reasons[..2],
        [
            json!("it has no CAP_MKNOD"),
            json!("it has no CAP_SYS_ADMIN")
        ]
    );
}

fn a_tmpfs_is_mounted_with_its_limits_and_other_mounts_are_answered(runtime: Runtime) {
    let place = Place::new();
    let _daemon = Daemon::start(&place, EVERYTHING);
    let script =
        "mkdir /tmp/in && mount -t tmpfs -o size=64k none /tmp/in && cat /proc/self/mountinfo
        mount -t tmpfs -o size=2m none /tmp/in
        mount -t tmpfs -o huge=always none /tmp/in
        mount -t tmpfs none /nowhere
        mount -t proc none /tmp/in
        mount -o bind /bin /tmp/in
        echo end";
    let said = runtime
        .start_changed(&place, "box", script, capable(&["CAP_SYS_ADMIN"]))
        .says();
    // Not one of the errors, which a runtime may pass on before it.
    let line = said
        .lines()
        .find(|line| line.contains(" /tmp/in ") && line.contains(" - tmpfs "))
        .expect("it is mounted");
    contains(line, &["size=64k", "nr_inodes=64", "nosuid,nodev"]);
    contains(
        &said,
        &[
            "mount: mounting none on /nowhere failed: No such file or directory\n",
            "mount: mounting none on /tmp/in failed: Device or resource busy\n",
            "end\n",
        ],
    );
    let decisions: Vec<_> = events(&place, "call")
        .iter()
        .map(|call| call["decision"].clone())
        .collect();
    for (number, decision) in ["done", "EPERM", "EPERM", "ENOENT", "EBUSY", "EACCES"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(decisions[number], decision, "{decisions:?}");
    }
}

fn a_reload_counts_and_a_bad_policy_does_not(runtime: Runtime) {
    let place = Place::new();
    let daemon = Daemon::start(&place, NODES);
    let make = |id: &str| {
        let started = runtime.start_changed(
            &place,
            id,
            "mknod /tmp/null c 1 3 && echo made; echo end",
            capable(&["CAP_MKNOD"]),
        );
        started.says().contains("made\n")
    };
    assert!(make("first"));
    fs::write(place.file("policy"), "[[rule]]\n").unwrap();
    daemon.signal(libc::SIGHUP);
    soon(|| events(&place, "reloaded").len() == 1);
    assert!(!make("second"));
    fs::write(place.file("policy"), "[[rule]]\nnods = []").unwrap();
    daemon.signal(libc::SIGHUP);
    soon(|| events(&place, "the old policy stays").len() == 1);
    let why = events(&place, "the old policy stays")[0]["text"].to_string();
    contains(&why, &["line 2", "nods"]);
    assert!(!make("third"));
    daemon.signal(libc::SIGTERM);
    daemon.ends_well();
    assert!(!place.socket().exists());
}

/// Makes the file that the container's script waits for. The container's end kills what still runs in
/// it, so this command may have no good one.
fn tell_to_end(runtime: Runtime, place: &Place) {
    runtime.exec(place, "box", "echo >/tmp/end").end();
}

fn twenty_upgrades_under_load_fail_no_call(runtime: Runtime) {
    let place = Place::new();
    let mut daemon = Daemon::start(&place, NODES);
    let script = "n=0; while test ! -e /tmp/end; do
            n=$((n+1)); mknod /tmp/n c 1 3 || echo failed; busybox rm /tmp/n
        done; echo made $n";
    let config = capable(&["CAP_MKNOD"]);
    let started = runtime.start_changed(&place, "box", script, config);
    let handed_over = || {
        let containers = events(&place, "container");
        let handed = containers.iter().filter(|one| one["handed_over"] == true);
        handed.count()
    };
    soon(|| !events(&place, "call").is_empty());
    for number in 0..20 {
        let mut command = Daemon::command(&place);
        command.arg("--upgrade");
        let new = Daemon::spawn(command);
        soon(|| events(&place, "started").len() == number + 2);
        std::mem::replace(&mut daemon, new).ends_well();
        // One that is asked before it serves hands over what it has not told of.
        soon(|| handed_over() == number + 1);
    }
    tell_to_end(runtime, &place);
    let said = started.says();
    assert!(said.contains("made ") && !said.contains("failed"), "{said}");
    assert_eq!(events(&place, "handed over").len(), 20);
    assert!(events(&place, "call").len() > 20);
}

fn an_agent_that_is_killed_leaves_nobody_waiting(runtime: Runtime) {
    let place = Place::new();
    let mut daemon = Daemon::start(&place, NODES);
    let script = "mknod /tmp/a c 1 3; echo up; while test ! -e /tmp/end; do sleep 0.05; done
        mknod /tmp/b c 1 3; echo end";
    let started = runtime.start_changed(&place, "box", script, capable(&["CAP_MKNOD"]));
    soon(|| started.said().contains("up\n"));
    daemon.signal(libc::SIGKILL);
    daemon.child.wait().unwrap();
    // The new one takes the name of a dead one, for the next container.
    fs::remove_file(place.file("log")).unwrap();
    let _new = Daemon::start(&place, NODES);
    tell_to_end(runtime, &place);
    contains(
        &started.says(),
        &["mknod: /tmp/b: Function not implemented\n", "end\n"],
    );
}

/// The process of the agent that was started last.
fn last_started(place: &Place) -> i32 {
    let pid = events(place, "started").pop().unwrap()["pid"].as_i64();
    i32::try_from(pid.unwrap()).unwrap()
}

/// An agent that is no child of the test's. It is ended with this.
struct Successor(i32);

impl Drop for Successor {
    fn drop(&mut self) {
        // SAFETY: integers only.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn a_signal_has_it_start_its_successor() {
    let place = Place::new();
    let daemon = Daemon::start(&place, NODES);
    let script = "mknod /tmp/a c 1 3 && echo first; while test ! -e /tmp/end; do sleep 0.05; done
        mknod /tmp/b c 1 3 && echo second";
    let started = Runtime::Runc.start_changed(&place, "box", script, capable(&["CAP_MKNOD"]));
    soon(|| started.said().contains("first\n"));
    // Twice, as the next one listens to it too.
    let mut successor = Successor(daemon.child.id() as i32);
    for upgrades in 1..=2 {
        // SAFETY: integers only; it runs, as it was the last to be started.
        unsafe { libc::kill(successor.0, libc::SIGUSR2) };
        soon(|| events(&place, "started").len() == 1 + upgrades);
        successor.0 = last_started(&place);
        soon(|| events(&place, "handed over").len() == upgrades);
    }
    daemon.ends_well();
    tell_to_end(Runtime::Runc, &place);
    contains(&started.says(), &["second\n"]);
}

#[test]
fn a_successor_that_does_not_start_changes_nothing() {
    let place = Place::new();
    let daemon = Daemon::start(&place, NODES);
    fs::write(place.file("policy"), "rule = 1").unwrap();
    daemon.signal(libc::SIGUSR2);
    soon(|| events(&place, "the new agent has ended").len() == 1);
    let script = "mknod /tmp/null c 1 3 && echo made";
    let started = Runtime::Runc.start_changed(&place, "box", script, capable(&["CAP_MKNOD"]));
    contains(&started.says(), &["made\n"]);
}

#[test]
fn an_upgrade_that_dies_midway_leaves_the_old_one_serving() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, NODES);
    let mut control = place.socket().into_os_string();
    control.push(".control");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&control).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let mut socket = std::os::unix::net::UnixStream::connect(&control).unwrap();
    socket.write_all(b"upgrade\n").unwrap();
    drop(socket);
    soon(|| events(&place, "not handed over").len() == 1);
    let script = "mknod /tmp/null c 1 3 && echo made";
    let started = Runtime::Runc.start_changed(&place, "box", script, capable(&["CAP_MKNOD"]));
    contains(&started.says(), &["made\n"]);
}

#[test]
fn a_socket_of_systemds_is_taken() {
    let place = Place::new();
    fs::write(place.file("policy"), NODES).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
    let mut command = Command::new("sh");
    let program = std::env::var_os("UNOTIFY_TEST_AGENT").expect("it says which");
    command
        .args([
            "-c",
            "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"",
            "sh",
        ])
        .arg(program);
    command
        .arg("--policy")
        .arg(place.file("policy"))
        .arg("--log")
        .arg(place.file("log"));
    command.stdin(std::os::fd::OwnedFd::from(socket));
    let daemon = Daemon::spawn(command);
    soon(|| events(&place, "started").len() == 1);
    let script = "mknod /tmp/null c 1 3 && echo made";
    let started = Runtime::Runc.start_changed(&place, "box", script, capable(&["CAP_MKNOD"]));
    contains(&started.says(), &["made\n"]);
    daemon.signal(libc::SIGTERM);
    daemon.ends_well();
    // Its name is systemd's.
    assert!(place.socket().exists());
}

#[test]
fn check_says_what_is_right_and_what_is_not() {
    let place = Place::new();
    let program = std::env::var_os("UNOTIFY_TEST_AGENT").expect("it says which");
    let check = |before: &[&str]| {
        let mut command = Command::new(before[0]);
        command
            .args(&before[1..])
            .arg(&program)
            .args(["--check", "--socket"]);
        let output = watched(|| command.arg(place.socket()).output()).unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (_, said) = check(&["env"]);
    contains(
        &said,
        &["pid namespace: ", "CAP_SYS_ADMIN: ", "kernel, receive: "],
    );
    let (code, said) = check(&["unshare", "--pid", "--fork", "--mount-proc"]);
    contains(&said, &["wrong pid namespace: not the machine's first"]);
    assert_eq!(code, Some(1));
    let (code, said) = check(&["unshare", "--pid", "--fork"]);
    contains(&said, &["wrong pid namespace: /proc is another"]);
    assert_eq!(code, Some(1));
    let (code, said) = check(&["setpriv", "--bounding-set", "-sys_admin"]);
    contains(
        &said,
        &[
            "wrong CAP_SYS_ADMIN: nothing can be mounted",
            "ok    CAP_MKNOD",
        ],
    );
    assert_eq!(code, Some(1));
}

/// Links that are exchanged while their names are looked up, texts without end, and who else comes meanwhile.
fn what_a_hostile_container_asks_is_refused_and_others_are_served(runtime: Runtime) {
    let place = Place::new();
    let _daemon = Daemon::start(&place, EVERYTHING);
    let long = "x".repeat(5000);
    let script = format!(
        "mkdir /tmp/a; (while test ! -e /tmp/end; do busybox ln -sfn ../../../../../../etc /tmp/way
            busybox rm -f /tmp/way; mkdir /tmp/way; busybox rmdir /tmp/way; done) 2>/dev/null &
        n=0; while test $n -lt 100; do n=$((n+1)); mount -t tmpfs none /tmp/way/; done 2>/dev/null
        echo >/tmp/end; wait
        mount -t tmpfs -o {long} none /tmp/a
        mount -t {long} none /tmp/a
        mount -t tmpfs none /tmp/{long}
        echo end"
    );
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let said = runtime
        .start_changed(&place, "box", &script, capable(&["CAP_SYS_ADMIN"]))
        .says();
    contains(&said, &["end\n"]);
    // Whatever a name led to, it was in the container.
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    let calls = events(&place, "call");
    assert!(calls.len() >= 103, "{}", calls.len());
    for call in &calls[calls.len() - 3..] {
        assert_ne!(call["decision"], "done");
    }
    let other = "mknod /tmp/null c 1 3 && echo made";
    let started = runtime.start_changed(&place, "other", other, capable(&["CAP_MKNOD"]));
    contains(&started.says(), &["made\n"]);
}

fn a_device_is_made_only_where_the_program_may_write(runtime: Runtime) {
    let place = Place::new();
    let _daemon = Daemon::start(&place, NODES);
    let root =
        "mkdir /tmp/closed; busybox chmod 555 /tmp/closed; mknod /tmp/closed/null c 1 3; echo end";
    let said = runtime
        .start_changed(&place, "few", root, capable(&["CAP_MKNOD"]))
        .says();
    let refused = "mknod: /tmp/closed/null: Permission denied\n";
    contains(&said, &[refused, "end\n"]);
    // Who may pass by permissions may here too.
    let said = runtime
        .start_changed(
            &place,
            "mighty",
            root,
            capable(&["CAP_MKNOD", "CAP_DAC_OVERRIDE"]),
        )
        .says();
    assert!(!said.contains("denied"), "{said}");
    // runc gives a mount the permissions of the directory below.
    let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(place.file("root/tmp"), anybody).unwrap();
    let user = "mknod /dev/null2 c 1 3; mknod /tmp/null c 1 3 && busybox stat -c '%u:%g' /tmp/null; echo end";
    let said = runtime
        .start_changed(&place, "user", user, |config| {
            capable(&["CAP_MKNOD"])(config);
            config["process"]["user"] = json!({ "uid": 1000, "gid": 1001 });
            for set in ["inheritable", "ambient"] {
                config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
            }
        })
        .says();
    contains(
        &said,
        &[
            "mknod: /dev/null2: Permission denied\n",
            "1000:1001\n",
            "end\n",
        ],
    );
    // What one of its other groups may write in, it may.
    fs::create_dir(place.file("root/shared")).unwrap();
    std::os::unix::fs::chown(place.file("root/shared"), Some(0), Some(1002)).unwrap();
    let group = std::os::unix::fs::PermissionsExt::from_mode(0o770);
    fs::set_permissions(place.file("root/shared"), group).unwrap();
    let shared = "mknod /shared/null c 1 3 && busybox stat -c '%u:%g' /shared/null; echo end";
    for (id, groups, expected) in [
        ("member", json!([1003, 1002]), "1000:1001\n"),
        (
            "stranger",
            json!([1003]),
            "mknod: /shared/null: Permission denied\n",
        ),
    ] {
        let said = runtime
            .start_changed(&place, id, shared, |config| {
                capable(&["CAP_MKNOD"])(config);
                config["root"]["readonly"] = json!(false);
                config["process"]["user"] =
                    json!({ "uid": 1000, "gid": 1001, "additionalGids": groups });
                for set in ["inheritable", "ambient"] {
                    config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
                }
            })
            .says();
        contains(&said, &[expected, "end\n"]);
    }
}

/// runc alone makes a user namespace when root starts it.
#[test]
fn a_container_with_its_own_users_gets_devices_and_mounts_as_its_root() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, EVERYTHING);
    let script = "mknod /tmp/null c 1 3 && busybox stat -c '%t:%T %u:%g' /tmp/null
        mkdir /tmp/in && mount -t tmpfs none /tmp/in && cat /proc/self/mountinfo; echo end";
    let started = Runtime::Runc.start_changed(&place, "box", script, |config| {
        capable(&["CAP_MKNOD", "CAP_SYS_ADMIN"])(config);
        let linux = &mut config["linux"];
        linux["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "type": "user" }));
        for mappings in ["uidMappings", "gidMappings"] {
            linux[mappings] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        }
    });
    let said = started.said_at_end();
    contains(
        &said,
        &["1:3 0:0\n", " /tmp/in ", "size=1024k,nr_inodes=64", "end\n"],
    );
}

/// What busybox would not say: pointers to nowhere, texts without an end, descriptors that are none.
#[test]
fn wrong_pointers_are_answered_with_the_kernels_errors() {
    let place = Place::new();
    let _daemon = Daemon::start(&place, EVERYTHING);
    let asker = Asker::under(
        &notifying(&["mount", "mknodat"]),
        || {},
        || {
            let endless = pages(2);
            endless.fill(b'x');
            let (endless, nowhere) = (endless.as_ptr().cast(), 8 as *const libc::c_char);
            let (none, tmpfs, folder) = (c"none".as_ptr(), c"tmpfs".as_ptr(), c"/nowhere".as_ptr());
            let null = std::ptr::null();
            let device = libc::makedev(1, 3);
            for (path, kind, data, errno) in [
                (nowhere, nowhere, nowhere, libc::EFAULT),
                (folder, endless, null, libc::EINVAL),
                (folder, tmpfs, nowhere, libc::EFAULT),
                (folder, tmpfs, endless, libc::EINVAL),
                (nowhere, tmpfs, null, libc::EFAULT),
                (endless, tmpfs, null, libc::ENAMETOOLONG),
            ] {
                // SAFETY: that the pointers are wrong is for the agent to find.
                let done = unsafe { libc::syscall(libc::SYS_mount, none, path, kind, 0, data) };
                assert_eq!(
                    (done, std::io::Error::last_os_error().raw_os_error()),
                    (-1, Some(errno))
                );
            }
            for (dir, path, errno) in [
                (libc::AT_FDCWD, nowhere, libc::EFAULT),
                (libc::AT_FDCWD, endless, libc::ENAMETOOLONG),
                (7777, c"x".as_ptr(), libc::EBADF),
            ] {
                // SAFETY: likewise.
                let done =
                    unsafe { libc::syscall(libc::SYS_mknodat, dir, path, libc::S_IFCHR, device) };
                assert_eq!(
                    (done, std::io::Error::last_os_error().raw_os_error()),
                    (-1, Some(errno))
                );
            }
            0
        },
    );
    let runtime = crate::sent::start(&place.socket(), "box", &asker.listener);
    // The agent has its own by now.
    runtime.until_closed();
    let Asker {
        mut process,
        listener,
    } = asker;
    drop(listener);
    assert_eq!(process.wait(), 0);
    assert_eq!(events(&place, "call").len(), 9);
}

/// What a service manager hears: with the number of the process, and that it reads its policy anew.
#[test]
fn a_service_manager_is_told() {
    let place = Place::new();
    fs::write(place.file("policy"), NODES).unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind(place.file("notify")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut command = Daemon::command(&place);
    command.env("NOTIFY_SOCKET", place.file("notify"));
    let daemon = Daemon::spawn(command);
    let hear = || {
        let mut text = [0; 200];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let ready = format!("READY=1\nMAINPID={}\n", daemon.child.id());
    assert_eq!(hear(), ready);
    daemon.signal(libc::SIGHUP);
    contains(&hear(), &["RELOADING=1\nMONOTONIC_USEC="]);
    assert_eq!(hear(), ready);
    daemon.signal(libc::SIGTERM);
    assert_eq!(hear(), "STOPPING=1\n");
    daemon.ends_well();
}
