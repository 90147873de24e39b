//! That nothing is left over, whatever happens.

use crate::support::*;
use unotify::*;

#[test]
fn a_thousand_children_leave_no_descriptor_no_zombie_and_no_thread() {
    alone(|| {
        let filter = notifying(&["execve"]);
        let run = || {
            let mut child = Spawn::new(&filter, "true").spawn().unwrap();
            continue_all(&child.take_listener().unwrap());
            assert!(child.wait().unwrap().success());
        };
        run();
        let before = (entries("fd"), entries("task"));
        for _ in 0..fewer(1000) {
            run();
        }
        assert_eq!((entries("fd"), entries("task")), before);
        assert!(childless());
    });
}

#[test]
fn failures_leave_no_descriptor_no_zombie_and_no_thread() {
    alone(|| {
        let unknown = file("no-format-again", "nothing", 0o755);
        let filter = notifying(&["uname"]);
        let before = (entries("fd"), entries("task"));
        for _ in 0..50 {
            let mut spawn = Spawn::new(&filter, "true");
            assert!(spawn.current_dir("/no/such").spawn().is_err());
            assert!(Spawn::new(&filter, "no-such-program").spawn().is_err());
            assert!(Spawn::new(&filter, &unknown).spawn().is_err());
            assert!(Spawn::new(&filter, "true")
                .fd(-1, Stdio::Null)
                .spawn()
                .is_err());
            assert!(Spawn::new(&filter, "true")
                .kill_on_parent_death(true)
                .fd(9999, Stdio::Inherit)
                .spawn()
                .is_err());
        }
        assert_eq!((entries("fd"), entries("task")), before);
        assert!(childless());
    });
}

#[test]
fn running_out_of_descriptors_at_any_point_leaves_nothing() {
    alone(|| {
        let filter = everything();
        let before = entries("fd");
        let (mut failed, mut started) = (0, 0);
        // SAFETY: zero is a value of both fields, and the structure is ours.
        let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
        let all = limit.rlim_cur;
        for room in 0..24 {
            limit.rlim_cur = room;
            // SAFETY: as above.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
            let outcome = Spawn::new(&filter, "true").spawn();
            limit.rlim_cur = all;
            // SAFETY: as above.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
            match outcome {
                Ok(child) => {
                    started += 1;
                    child.kill(libc::SIGKILL).unwrap();
                    child.wait().unwrap();
                }
                Err(error) => {
                    failed += 1;
                    assert_eq!(error.errno(), libc::EMFILE, "{error}");
                }
            }
            assert_eq!(entries("fd"), before, "with room for {room}");
            assert!(childless(), "with room for {room}");
        }
        assert!(
            failed > 3 && started > 3,
            "{failed} failed, {started} started"
        );
    });
}
