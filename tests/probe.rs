//! Whether it works here, and what is said where it does not.

mod support;

use std::io;
use std::time::{Duration, Instant};
use support::*;
use unotify::*;

const LIMIT: Duration = Duration::from_secs(10);

fn found(probe: &Probe, outcome: ProbeOutcome) -> Vec<&'static str> {
    let parts = probe.parts().iter().filter(|p| p.outcome == outcome);
    parts.map(ProbePart::name).collect()
}

/// Runs a test in a program that is under a filter which refuses this call, as a container's profile
/// would.
fn where_refused(call: &'static str, errno: i32, test: impl FnOnce(&Probe)) {
    let prepare = move || {
        refuse(call, errno, &[]);
        io::Result::Ok(())
    };
    alone_after(prepare, || test(&probe(LIMIT)));
}

/// Whether the process has children, zombies among them.
fn has_children() -> bool {
    // SAFETY: integers and a null pointer only.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) != -1 }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn everything_works_here() {
    if kernel_before(6, 6) {
        return skip("takes Linux 6.6 for all of it");
    }
    watched(|| {
        let probe = probe(LIMIT);
        let none: [&ProbePart; 0] = [];
        let bad: Vec<_> = probe
            .parts()
            .iter()
            .filter(|p| p.outcome != ProbeOutcome::Works)
            .collect();
        assert_eq!(bad, none);
        assert!(probe.basics_work());
    });
}

#[test]
fn the_basics_work_here() {
    watched(|| {
        let probe = probe(LIMIT);
        assert!(probe.basics_work(), "{probe:?}");
        let version = &probe.part("libseccomp").unwrap().detail;
        assert!(version.starts_with("version 2."), "{version}");
        assert_eq!(probe.part("nothing"), None);
    });
}

#[test]
fn nothing_is_left_behind() {
    alone(|| {
        let _ = probe(LIMIT); // what is made once
        let before = (
            open_descriptors(),
            std::fs::read_dir("/proc/self/task").unwrap().count(),
        );
        for _ in 0..10 {
            let _ = probe(LIMIT);
        }
        let after = (
            open_descriptors(),
            std::fs::read_dir("/proc/self/task").unwrap().count(),
        );
        assert_eq!(before, after);
        assert!(!has_children());
    });
}

#[test]
fn the_calling_thread_is_as_before() {
    alone(|| {
        let state = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let lines = status.lines().filter(|l| {
                ["NoNewPrivs", "Seccomp"]
                    .iter()
                    .any(|name| l.starts_with(name))
            });
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = state();
        let _ = probe(LIMIT);
        assert_eq!(state(), before);
    });
}

#[test]
fn where_filters_are_refused_that_is_said_and_the_rest_not_tried() {
    where_refused("seccomp", libc::EPERM, |probe| {
        assert!(!probe.basics_work());
        let kernel = probe.part("kernel").unwrap();
        assert_eq!(found(probe, ProbeOutcome::Works), [""; 0]);
        assert!(
            kernel
                .detail
                .contains("though Linux 5.0 does; a seccomp filter is on this process"),
            "{kernel:?}"
        );
        assert_eq!(probe.part("load").unwrap().outcome, ProbeOutcome::NotTried);
    });
}

#[test]
fn where_ioctls_are_refused_nothing_is_received_and_nobody_hangs() {
    let began = Instant::now();
    where_refused("ioctl", libc::EPERM, |probe| {
        assert!(!probe.basics_work());
        let receive = probe.part("receive").unwrap();
        assert_eq!(
            (receive.outcome, receive.errno),
            (ProbeOutcome::Fails, libc::EPERM)
        );
        assert!(
            receive
                .detail
                .contains("a seccomp filter is on this process"),
            "{receive:?}"
        );
        assert_eq!(probe.part("load").unwrap().outcome, ProbeOutcome::Works);
        assert!(!has_children());
    });
    assert!(began.elapsed() < slowed(LIMIT));
}

#[test]
fn where_descriptors_of_others_are_refused_only_that_is_said() {
    if kernel_before(5, 14) {
        return skip("takes Linux 5.14 for all the rest");
    }
    where_refused("pidfd_getfd", libc::EPERM, |probe| {
        assert!(probe.basics_work());
        let get_fd = probe.part("get_fd").unwrap();
        assert_eq!(
            (get_fd.outcome, get_fd.errno),
            (ProbeOutcome::Fails, libc::EPERM)
        );
        assert!(get_fd.detail.contains("profile"), "{get_fd:?}");
        assert!(found(probe, ProbeOutcome::Works).contains(&"read"));
    });
}

#[test]
fn where_the_memory_of_others_is_refused_one_way_the_other_is_taken() {
    where_refused("process_vm_readv", libc::ENOSYS, |probe| {
        assert_eq!(probe.part("read").unwrap().outcome, ProbeOutcome::Works);
    });
}

#[test]
fn where_pidfds_are_refused_only_what_takes_them_fails() {
    where_refused("pidfd_open", libc::ENOSYS, |probe| {
        assert!(probe.basics_work(), "{probe:?}");
        let pidfd = probe.part("pidfd").unwrap();
        assert_eq!(
            (pidfd.outcome, pidfd.errno),
            (ProbeOutcome::Fails, libc::ENOSYS)
        );
    });
}

#[test]
fn under_a_filter_with_a_listener_it_says_that_there_is_one() {
    alone(|| {
        let filter = notifying(&["getppid"]);
        let _listener = filter.load_listener(LoadFlags::empty()).unwrap();
        let probe = probe(LIMIT);
        let load = probe.part("load").unwrap();
        assert_eq!(
            (load.outcome, load.errno),
            (ProbeOutcome::Fails, libc::EBUSY)
        );
        assert_eq!(probe.part("spawn").unwrap().errno, libc::EBUSY);
    });
}

#[test]
fn without_proc_only_what_takes_it_fails() {
    let without = || {
        let flags = libc::CLONE_NEWNS;
        // SAFETY: integers and strings that end; the process is one of its own.
        unsafe {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            libc::unshare(flags) == 0
                && libc::mount(
                    c"".as_ptr(),
                    c"/".as_ptr(),
                    c"".as_ptr(),
                    private,
                    std::ptr::null(),
                ) == 0
                && libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH) == 0
        }
    };
    alone(|| {
        if !without() {
            return skip("takes the right to unmount /proc");
        }
        let probe = probe(LIMIT);
        assert!(probe.basics_work(), "{probe:?}");
        let identity = probe.part("identity").unwrap();
        assert_eq!(identity.outcome, ProbeOutcome::Fails);
        assert!(identity.detail.contains("/proc"), "{identity:?}");
    });
}

#[test]
fn the_manual_names_the_parts_that_are_tried() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/unotify.7");
    let Ok(manual) = std::fs::read_to_string(path) else {
        return skip("the documentation is not here");
    };
    let chapter = manual.split("\n.Ss Parts of a probe\n").nth(1).unwrap();
    let chapter = chapter.lines().take_while(|line| !line.starts_with(".S"));
    let quoted = chapter.filter_map(|line| line.strip_prefix(".Dq ")?.split(' ').next());
    let named: Vec<_> = quoted.collect();
    let probe = watched(|| probe(LIMIT));
    let tried: Vec<_> = probe.parts().iter().map(ProbePart::name).collect();
    assert_eq!(named, tried);
}
