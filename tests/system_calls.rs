//! What the library asks of the kernel for a notification, as strace(1) sees it: no detour.

mod support;

use std::env;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{fs, thread};
use support::*;
use unotify::*;

const CALLS: i64 = 500;

const IOCTL_RECV: &str = "0xc0502100";
const IOCTL_SEND: &str = "0xc0182101";
const IOCTL_SET_FLAGS: &str = "0x40082104";

/// Names the test whose second half is to run, which strace starts.
const TRACED: &str = "UNOTIFY_TEST_TRACED";

/// Runs a test under strace. What each thread asked of the kernel, in order: the call's name and
/// arguments.
fn traced(test: impl FnOnce()) -> Option<Vec<Vec<String>>> {
    if env::var_os(TRACED).is_some() {
        watched(test);
        return None;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: there is no strace(1)");
        return None;
    }
    let name = thread::current().name().unwrap().to_owned();
    let log: PathBuf =
        env::temp_dir().join(format!("unotify-strace-{}-{name}", std::process::id()));
    let output = watched(|| {
        Command::new("timeout")
            .args(["60", "strace", "-f", "-X", "raw", "--seccomp-bpf"])
            .args(["-e", "signal=none", "-e", "trace=all", "-o"])
            .arg(&log)
            .arg(env::current_exe().unwrap())
            .args([&name, "--exact", "--nocapture", "--test-threads=1"])
            .env(TRACED, &name)
            .stdin(Stdio::null())
            .output()
    })
    .unwrap();
    let text = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let mut threads: Vec<(&str, Vec<String>)> = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        // The second half of a call that others came in between, an exit, a signal.
        if call.starts_with(['<', '+', '-']) {
            continue;
        }
        match threads.iter_mut().find(|(t, _)| *t == thread) {
            Some((_, calls)) => calls.push(call.to_owned()),
            None => threads.push((thread, vec![call.to_owned()])),
        }
    }
    Some(threads.into_iter().map(|(_, calls)| calls).collect())
}

fn is(call: &str, request: &str) -> bool {
    call.starts_with("ioctl(") && call.contains(request)
}

fn count(calls: &[String], request: &str) -> usize {
    calls.iter().filter(|c| is(c, request)).count()
}

/// The steady state of the thread that received most: what it did while the middle half of the
/// notifications came in, which are at least so many.
fn steady_state(threads: Vec<Vec<String>>, least: usize) -> Vec<String> {
    let calls = threads
        .into_iter()
        .max_by_key(|calls| count(calls, IOCTL_RECV))
        .unwrap();
    let at: Vec<usize> = (0..calls.len())
        .filter(|&i| is(&calls[i], IOCTL_RECV))
        .collect();
    assert!(at.len() >= least, "{} notifications", at.len());
    calls[at[at.len() / 4]..at[at.len() * 3 / 4]].to_vec()
}

fn assert_receives_and_sends_alone(calls: &[String]) {
    for pair in calls.chunks(2) {
        assert!(is(&pair[0], IOCTL_RECV), "{pair:?}");
        assert!(is(&pair[1], IOCTL_SEND), "{pair:?}");
    }
}

fn supervise(options: SupervisorOptions, targets: usize) {
    let supervisor = supervisor(options, echo);
    let targets: Vec<_> = (0..targets)
        .map(|_| {
            let (target, listener) = Target::repeats();
            supervisor.add_listener(listener, 0).unwrap();
            target
        })
        .collect();
    supervisor.start().unwrap();
    targets.iter().for_each(|t| t.repeat(CALLS));
    targets.into_iter().for_each(Target::end);
    supervisor.join().unwrap();
}

#[test]
fn receiving_and_answering_is_one_recv_and_one_send() {
    let threads = traced(|| {
        let (target, listener) = Target::repeats();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut notification = listener.receive().unwrap();
                loop {
                    echo(&mut notification);
                    if listener.receive_into(&mut notification, None).is_err() {
                        return;
                    }
                }
            });
            target.repeat(CALLS);
            target.end();
        });
    });
    if let Some(threads) = threads {
        assert_receives_and_sends_alone(&steady_state(threads, CALLS as usize));
    }
}

/// How many notifications in a row one thread served with nothing but a `RECV` and a `SEND` each.
fn longest_stretch(threads: &[Vec<String>]) -> usize {
    let stretches = threads
        .iter()
        .flat_map(|calls| calls.split(|call| !is(call, IOCTL_RECV) && !is(call, IOCTL_SEND)));
    stretches.map(|s| count(s, IOCTL_SEND)).max().unwrap_or(0)
}

/// Leaders change now and then, and more often than not while strace and a busy machine hold them
/// up. But a call that the supervisor made for each notification would end every stretch at once.
fn makes_one_recv_and_one_send(max_workers: usize, targets: usize) {
    const RUNS: usize = 20;
    const STRETCH: usize = 10;
    let mut longest = 0;
    for _ in 0..RUNS {
        let Some(threads) = traced(|| supervise(workers(max_workers), targets)) else {
            return;
        };
        longest = longest.max(longest_stretch(&threads));
        if longest >= STRETCH {
            return;
        }
    }
    panic!("{longest} notifications in a row");
}

#[test]
fn a_supervisor_of_one_worker_makes_one_recv_and_one_send() {
    makes_one_recv_and_one_send(1, 1);
}

#[test]
fn a_supervisor_of_many_workers_makes_one_recv_and_one_send() {
    makes_one_recv_and_one_send(4, 1);
}

#[test]
fn a_target_that_calls_many_times_in_a_row_beside_others_takes_one_recv_and_one_send() {
    makes_one_recv_and_one_send(1, 3);
}

/// Marks a place in what strace(1) writes.
fn mark() {
    // SAFETY: takes an integer.
    unsafe { libc::getsid(0) };
}

#[test]
fn opening_asks_the_kernel_for_nothing_twice() {
    let threads = traced(|| {
        let target = Asker::start(|| {
            let directory = libc::AT_FDCWD as u64;
            ask(c"/usr/bin/env".as_ptr() as u64, directory, 0) as i32
        });
        let mut n = target.receive();
        let path = n.request().args[0];
        let mut roots = Roots::new().unwrap();
        roots.add("/usr/bin", Rights::READ).unwrap();
        let look = OpenHow::new(libc::O_PATH);
        // What is kept open is opened the first time.
        drop(n.open(libc::AT_FDCWD, path, look).unwrap());
        mark();
        let found = n.open(libc::AT_FDCWD, path, look).unwrap();
        mark();
        let opened = n.reopen(found.as_fd(), libc::O_RDONLY, 0).unwrap();
        mark();
        let within = n.open_within(&roots, libc::AT_FDCWD, path, OpenHow::new(libc::O_RDONLY));
        mark();
        drop((found, opened, within.unwrap()));
        target.finish(n);
    });
    let Some(threads) = threads else {
        return;
    };
    let name = |call: &String| call.split('(').next().unwrap().to_owned();
    let calls = threads
        .iter()
        .map(|calls| {
            // Before it closes something, a debug build looks whether it is open (F_GETFD).
            let looks = |call: &&String| call.starts_with("fcntl(") && call.contains(", 0x1)");
            let calls = calls.iter().filter(|call| !looks(call));
            calls.map(name).collect::<Vec<_>>()
        })
        .find(|calls| calls.iter().any(|call| call == "getsid"))
        .unwrap();
    let parts: Vec<_> = calls.split(|call| call == "getsid").collect();
    let begins = ["process_vm_readv", "openat", "ioctl", "openat2"];
    assert_eq!(parts[1], [&begins[..], &["fstatfs", "close"]].concat());
    // On a file system without a disk it is looked at whether that is a procfs.
    let reopened: Vec<_> = parts[2].iter().filter(|call| *call != "fstatfs").collect();
    assert_eq!(reopened, ["statx", "openat", "fcntl"]);
    let within: Vec<_> = parts[3].iter().filter(|call| *call != "fstatfs").collect();
    let begins = ["process_vm_readv", "statx", "ioctl", "openat2"];
    assert_eq!(within, [&begins[..], &["statx", "fcntl"]].concat());
}

/// What the wake-up mode of a run of one target was switched to, in order.
fn switches(wake_up: WakeUp) -> Option<Vec<char>> {
    let threads = traced(|| {
        let options = SupervisorOptions::default().wake_up(wake_up);
        supervise(options, 1);
    })?;
    // The library's own process comes first and switches before it starts any thread; the target
    // switches on what it sends over.
    let first = threads
        .into_iter()
        .find(|calls| calls.iter().any(|c| c.starts_with("recvmsg(")))
        .unwrap();
    Some(
        first
            .iter()
            .filter(|c| is(c, IOCTL_SET_FLAGS))
            .map(|c| {
                let flags = c.split(", ").nth(2).unwrap();
                flags.trim_start_matches("0x").chars().next().unwrap()
            })
            .collect(),
    )
}

#[test]
fn the_wake_up_mode_of_one_target_is_synchronous() {
    if let Some(switches) = switches(WakeUp::Auto) {
        assert_eq!(switches, ['1']);
    }
}

#[test]
fn the_wake_up_mode_is_fixed_on() {
    if let Some(switches) = switches(WakeUp::Sync) {
        assert_eq!(switches, ['1']);
    }
}

#[test]
fn the_wake_up_mode_is_fixed_off() {
    if let Some(switches) = switches(WakeUp::Async) {
        assert_eq!(switches, ['1', '0']);
    }
}
