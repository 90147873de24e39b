//! What can be done to a child that was started.

use crate::support::*;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

fn sleeper() -> Child {
    let filter = notifying(&["uname"]);
    Spawn::new(&filter, "sleep").arg("1000").spawn().unwrap()
}

#[test]
fn the_pidfd_is_readable_when_the_program_has_ended() {
    watched(|| {
        let child = sleeper();
        let pidfd = child.pidfd().unwrap();
        assert_eq!(polled(pidfd, Duration::ZERO), 0);
        child.kill(libc::SIGKILL).unwrap();
        assert_ne!(polled(pidfd, slowed(Duration::from_secs(10))), 0);
        child.wait().unwrap();
    });
}

#[test]
fn waiting_again_gives_the_same_answer() {
    watched(|| {
        let child = Spawn::new(&notifying(&[]), "sh")
            .args(["-c", "exit 7"])
            .spawn()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
    });
}

#[test]
fn trying_to_wait_does_not_wait() {
    watched(|| {
        let child = sleeper();
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    });
}

#[test]
fn a_wait_with_a_time_limit_leaves_the_child_as_it_was() {
    watched(|| {
        let child = sleeper();
        let limit = Duration::from_millis(30);
        let begun = Instant::now();
        for limit in [limit, Duration::ZERO] {
            let error = child.wait_timeout(limit).unwrap_err();
            assert_eq!(error.status(), Status::Timeout);
        }
        assert!(begun.elapsed() >= limit);
        child.kill(libc::SIGKILL).unwrap();
        let ended = child.wait_timeout(slowed(Duration::from_secs(10))).unwrap();
        assert_eq!(ended.signal(), Some(libc::SIGKILL));
        assert_eq!(child.wait_timeout(Duration::ZERO).unwrap(), ended);
    });
}

#[test]
fn a_wait_with_a_time_limit_ends_with_the_child() {
    watched(|| {
        let child = Arc::new(sleeper());
        let waiting = Arc::clone(&child);
        // Longer than anybody waits: no clock goes that far.
        let waiter = thread::spawn(move || waiting.wait_timeout(Duration::MAX).unwrap().signal());
        thread::sleep(Duration::from_millis(20));
        child.kill(libc::SIGKILL).unwrap();
        assert_eq!(waiter.join().unwrap(), Some(libc::SIGKILL));
    });
}

#[test]
fn one_thread_can_kill_while_another_waits() {
    watched(|| {
        let child = Arc::new(sleeper());
        let waiting = Arc::clone(&child);
        let waiter = thread::spawn(move || waiting.wait().unwrap().signal());
        thread::sleep(Duration::from_millis(20));
        child.kill(libc::SIGKILL).unwrap();
        assert_eq!(waiter.join().unwrap(), Some(libc::SIGKILL));
    });
}

#[test]
fn signal_zero_asks_whether_the_child_is_there() {
    watched(|| {
        let child = sleeper();
        child.kill(0).unwrap();
        child.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert_eq!(child.kill(0).unwrap_err().errno(), libc::ESRCH);
    });
}

#[test]
fn killing_after_waiting_reaches_nobody() {
    watched(|| {
        let child = Spawn::new(&notifying(&[]), "true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(child.kill(libc::SIGKILL).unwrap_err().errno(), libc::ESRCH);
    });
}

#[test]
fn a_number_that_is_no_signal_is_refused() {
    watched(|| {
        let child = sleeper();
        let error = child.kill(1000).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        child.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn a_child_that_was_waited_for_elsewhere_is_lost() {
    watched(|| {
        let child = Spawn::new(&notifying(&[]), "true").spawn().unwrap();
        // SAFETY: no status is asked for.
        let reaped = unsafe { libc::waitpid(child.pid(), std::ptr::null_mut(), 0) };
        assert_eq!(reaped, child.pid());
        assert_eq!(child.wait().unwrap_err().errno(), libc::ECHILD);
        assert_eq!(child.kill(libc::SIGKILL).unwrap_err().errno(), libc::ESRCH);
    });
}

/// The kernel's `struct clone_args`, as long as it must be to choose an id.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Makes a child with this id, which ends with this status. The error number if that may not be.
fn child_with_id(pid: libc::pid_t, status: i32) -> Result<(), i32> {
    let args = CloneArgs {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: (&raw const pid) as u64,
        set_tid_size: 1,
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM the child runs on in a copy, and only ends.
    let made = unsafe {
        let made = libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>());
        if made == 0 {
            libc::syscall(libc::SYS_exit_group, status);
        }
        made
    };
    match made {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap()),
        _ => Ok(()),
    }
}

#[test]
fn the_status_of_another_child_with_the_same_id_is_not_taken() {
    alone(|| {
        // The caller's own id is taken: who may choose one is told that.
        match child_with_id(std::process::id() as libc::pid_t, 0) {
            Err(libc::EEXIST) => {}
            error => {
                eprintln!("skipped: this user may not choose a process's id: {error:?}");
                return;
            }
        }
        let child = Spawn::new(&notifying(&[]), "true").spawn().unwrap();
        let reap = || {
            let mut status = 0;
            // SAFETY: `status` is ours.
            let reaped = unsafe { libc::waitpid(child.pid(), &mut status, 0) };
            assert_eq!(reaped, child.pid());
            status
        };
        assert_eq!(reap(), 0);
        child_with_id(child.pid(), 9).unwrap();
        assert_eq!(child.wait().unwrap_err().errno(), libc::ECHILD);
        assert_eq!(child.kill(libc::SIGKILL).unwrap_err().errno(), libc::ESRCH);
        assert_eq!(libc::WEXITSTATUS(reap()), 9);
    });
}

#[test]
fn a_caller_that_ignores_sigchld_can_start_programs() {
    alone(|| {
        // SAFETY: constants only.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let filter = everything();
        let mut child = Spawn::new(&filter, "true").spawn().unwrap();
        continue_all(&child.take_listener().unwrap());
        assert_eq!(child.wait().unwrap_err().errno(), libc::ECHILD);
        let error = Spawn::new(&filter, "no-such-program").spawn().unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
        assert!(childless());
    });
}

/// A process that starts a sleeper and waits to be killed. Gives both ids.
fn parent_of_a_sleeper(filter: ScmpFilterContext, kill: bool) -> (libc::pid_t, libc::pid_t) {
    let (reads, writes) = std::os::unix::net::UnixDatagram::pair().unwrap();
    // SAFETY: the child goes on as the one thread of a copy of this process, whose other threads
    // sleep and hold no lock.
    let parent = unsafe { libc::fork() };
    if parent == 0 {
        // On a thread that ends before the process does.
        let starter = thread::spawn(move || {
            let mut spawn = Spawn::new(&filter, "sleep");
            spawn.arg("1000").kill_on_parent_death(kill);
            spawn.spawn().unwrap()
        });
        let child = starter.join().unwrap();
        writes.send(&child.pid().to_ne_bytes()).unwrap();
        loop {
            // SAFETY: no arguments.
            unsafe { libc::pause() };
        }
    }
    let mut pid = [0; 4];
    reads
        .set_read_timeout(Some(slowed(Duration::from_secs(10))))
        .unwrap();
    assert_eq!(reads.recv(&mut pid).unwrap(), 4);
    (parent, libc::pid_t::from_ne_bytes(pid))
}

fn end(parent: libc::pid_t) {
    // SAFETY: a child of ours.
    unsafe {
        libc::kill(parent, libc::SIGKILL);
        libc::waitpid(parent, std::ptr::null_mut(), 0);
    }
}

#[test]
fn a_child_can_be_made_to_die_with_the_process_but_not_with_the_thread() {
    alone(|| {
        let (parent, child) = parent_of_a_sleeper(notifying(&["uname"]), true);
        thread::sleep(Duration::from_millis(50));
        assert!(runs(child), "the child has died with the thread");
        end(parent);
        soon(|| !runs(child));
    });
}

#[test]
fn a_child_whose_execve_waits_can_be_made_to_die_with_the_process() {
    alone(|| {
        let (parent, child) = parent_of_a_sleeper(everything(), true);
        assert!(runs(child));
        end(parent);
        soon(|| !runs(child));
    });
}

#[test]
fn a_child_outlives_the_process_unless_told_otherwise() {
    alone(|| {
        let (parent, child) = parent_of_a_sleeper(notifying(&["uname"]), false);
        end(parent);
        thread::sleep(Duration::from_millis(50));
        assert!(runs(child));
        // SAFETY: a process of ours.
        unsafe { libc::kill(child, libc::SIGKILL) };
    });
}

#[test]
fn the_thread_that_kills_on_parent_death_ends_with_the_child() {
    alone(|| {
        let (threads, fds) = (entries("task"), entries("fd"));
        let filter = notifying(&["uname"]);
        let mut spawn = Spawn::new(&filter, "sleep");
        let child = spawn
            .arg("1000")
            .kill_on_parent_death(true)
            .spawn()
            .unwrap();
        assert_eq!(entries("task"), threads + 1);
        child.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        drop(child);
        soon(|| entries("task") == threads);
        assert_eq!(entries("fd"), fds);
    });
}
