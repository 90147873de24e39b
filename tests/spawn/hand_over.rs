//! How the listener comes to the caller, and what the child does until its program runs.

use crate::support::*;
use std::thread;
use unotify::*;

#[test]
fn a_filter_may_notify_every_call_and_the_first_is_execve() {
    watched(|| {
        let mut child = Spawn::new(&everything(), "true").spawn().unwrap();
        let calls = continue_all(&child.take_listener().unwrap());
        assert_eq!(calls[0], libc::SYS_execve);
        assert_eq!(calls.iter().filter(|&&c| c == libc::SYS_execve).count(), 1);
        assert_eq!(calls.last(), Some(&libc::SYS_exit_group));
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_program_with_children_and_threads_runs_with_every_call_notified() {
    watched(|| {
        let filter = everything();
        // Not dash, whose calls fail when SIGCHLD comes before they are received.
        let mut spawn = Spawn::new(&filter, "bash");
        spawn.args(["-c", "echo a | cat | tr a b; (sleep 0.01 & wait); true"]);
        assert_eq!(text(&mut spawn), "b");
    });
}

#[test]
fn a_filter_that_notifies_nothing_yields_a_listener_that_closes() {
    watched(|| {
        let child = Spawn::new(&notifying(&[]), "true").spawn().unwrap();
        let error = child.listener().unwrap().receive().unwrap_err();
        assert_eq!(error.status(), Status::Closed);
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn the_listener_can_be_taken_once() {
    watched(|| {
        let mut child = Spawn::new(&notifying(&[]), "true").spawn().unwrap();
        assert!(child.listener().is_some());
        assert!(child.take_listener().is_some());
        assert!(child.take_listener().is_none() && child.listener().is_none());
        child.wait().unwrap();
    });
}

#[test]
fn dropping_the_listener_ends_an_execve_that_waits() {
    watched(|| {
        let mut child = Spawn::new(&everything(), "true").spawn().unwrap();
        drop(child.take_listener());
        assert!(!child.wait().unwrap().success());
        assert_eq!(child.exec_error(), Some(libc::ENOSYS));
    });
}

#[test]
fn a_child_whose_execve_waits_can_be_killed() {
    watched(|| {
        let child = Spawn::new(&everything(), "true").spawn().unwrap();
        child.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        let error = child.listener().unwrap().receive().unwrap_err();
        assert_eq!(error.status(), Status::Closed);
        assert_eq!(child.exec_error(), None);
    });
}

#[test]
fn an_unprivileged_user_can_start_programs() {
    alone(|| {
        become_nobody();
        let filter = everything();
        assert_eq!(text(Spawn::new(&filter, "id").arg("-u")).parse(), Ok(id()));
    });
}

fn id() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::getuid() }
}

#[test]
fn keeping_privileges_takes_privileges() {
    // SAFETY: integers only.
    if unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } == 1 {
        return eprintln!("skipped: this process cannot do without no_new_privs any more");
    }
    alone(|| {
        become_nobody();
        let error = Spawn::new(&everything(), "true")
            .load_flags(LoadFlags::KEEP_PRIVS)
            .spawn()
            .unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Permission, libc::EACCES)
        );
        assert!(childless());
    });
}

#[test]
fn no_new_privs_is_set_for_the_child_and_not_for_the_caller() {
    alone(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "grep");
        spawn.args(["NoNewPrivs", "/proc/self/status"]);
        assert_eq!(text(&mut spawn), "NoNewPrivs:\t1");
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = |name: &str| own.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        let privileges = u64::from_str_radix(line("CapEff:").trim(), 16).unwrap();
        let may_load = privileges & (1 << 21) != 0; // CAP_SYS_ADMIN
        if may_load && line("NoNewPrivs:").ends_with('0') {
            spawn.load_flags(LoadFlags::KEEP_PRIVS);
            assert_eq!(text(&mut spawn), "NoNewPrivs:\t0");
        }
    });
}

#[test]
fn tsync_is_refused() {
    watched(|| {
        let error = Spawn::new(&everything(), "true")
            .load_flags(LoadFlags::TSYNC)
            .spawn()
            .unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
    });
}

#[test]
fn a_caller_with_a_listener_on_its_filters_is_told_so() {
    alone(|| {
        let filter = notifying(&["uname"]);
        let _listener = filter.load_listener(LoadFlags::empty()).unwrap();
        let error = Spawn::new(&filter, "true").spawn().unwrap_err();
        assert_eq!(error.status(), Status::Busy, "{error}");
        assert_eq!(error.errno(), libc::EBUSY);
        assert!(childless());
    });
}

#[test]
fn a_caller_with_a_filter_without_a_listener_can_start_programs() {
    alone(|| {
        let mut own = notifying(&[]);
        // What many a container refuses altogether.
        for name in ["unshare", "faccessat2", "statx"] {
            let call = ScmpSyscall::from_name(name).unwrap();
            own.add_rule(ScmpAction::Errno(libc::EPERM), call).unwrap();
        }
        own.load().unwrap();
        let filter = everything();
        // `true` needs none of them.
        let mut child = Spawn::new(&filter, "true").spawn().unwrap();
        continue_all(&child.take_listener().unwrap());
        assert!(child.wait().unwrap().success());
        let error = Spawn::new(&filter, "no-such-program").spawn().unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
        assert!(childless());
    });
}

#[test]
fn many_threads_can_start_programs_at_once() {
    watched(|| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                thread::spawn(move || {
                    let filter = everything();
                    for turn in 0..10 {
                        let word = format!("{thread}-{turn}");
                        assert_eq!(text(Spawn::new(&filter, "echo").arg(&word)), word);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_listener_closes_although_another_child_is_on_its_way() {
    watched(|| {
        let filter = everything();
        let mut first = Spawn::new(&filter, "true").spawn().unwrap();
        // Its execve waits: it is a copy of this process so far.
        let mut second = Spawn::new(&filter, "true").spawn().unwrap();
        drop(first.take_listener());
        assert!(!first.wait().unwrap().success());
        continue_all(&second.take_listener().unwrap());
        assert!(second.wait().unwrap().success());
    });
}
