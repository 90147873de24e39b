//! A pid namespace for a program and all it starts.

use crate::support::*;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::thread;
use unotify::*;

/// Whether this process may begin one.
fn may() -> bool {
    can("CAP_SYS_ADMIN", || {
        // SAFETY: integers only.
        unsafe { libc::unshare(libc::CLONE_NEWPID) == 0 }
    })
}

fn shell<'a>(filter: &'a ScmpFilterContext, script: &str) -> Spawn<'a> {
    let mut spawn = Spawn::new(filter, "sh");
    spawn.args(["-c", script]).pid_namespace(true);
    spawn
}

#[test]
fn a_whole_tree_dies_with_the_process() {
    if !may() {
        return;
    }
    alone(|| {
        let (reading, writing) = pipe();
        let mut parent = Process::fork(|| {
            // An orphan in a session of its own, and the program.
            let script =
                "(setsid sh -c 'echo ready; exec sleep 1000' &); echo ready; exec sleep 1000";
            // On a thread that ends before the process does.
            let _child = thread::scope(|scope| {
                let starter = scope.spawn(|| {
                    let filter = notifying(&["sethostname"]);
                    let child = shell(&filter, script).stdout(&writing).spawn();
                    child.unwrap()
                });
                starter.join().unwrap()
            });
            loop {
                thread::sleep(LIMIT);
            }
        });
        drop(writing);
        let mut lines = BufReader::new(std::fs::File::from(reading)).lines();
        for _ in 0..2 {
            assert_eq!(lines.next().unwrap().unwrap(), "ready");
        }
        thread::sleep(MOMENT);
        parent.kill();
        // Nobody has the other end any more.
        assert!(lines.next().is_none());
    });
}

#[test]
fn the_program_is_an_ordinary_child_that_signals_end() {
    if !may() {
        return;
    }
    alone(|| {
        let filter = notifying(&["sethostname"]);
        let (reading, writing) = pipe();
        let mut spawn = shell(&filter, "echo $$; exec sleep 1000");
        let child = spawn.stdout(&writing).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(std::fs::File::from(reading))
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "2\n");
        child.kill(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        soon(childless);
    });
}

#[test]
fn what_is_left_behind_is_served_and_reaped_and_then_nothing_is_left() {
    if !may() {
        return;
    }
    alone(|| {
        let filter = notifying(&["getppid"]);
        let supervisor = supervisor(SupervisorOptions::default(), |call| {
            let _ = call.reply_value(1234);
            Verdict::Handled
        });
        let (reading, writing) = pipe();
        let script = "(setsid sh -c 'sleep 0.3; exec sh -c \"echo \\$PPID\"' &); exit 3";
        let mut spawn = shell(&filter, script);
        let status = supervisor.run_program(spawn.stdout(&writing)).unwrap();
        assert_eq!(status.code(), Some(3));
        drop(spawn);
        drop(writing);
        let line = BufReader::new(std::fs::File::from(reading)).lines().next();
        assert_eq!(line.unwrap().unwrap(), "1234");
        soon(childless);
        soon(|| std::fs::read_dir("/proc/self/task").unwrap().count() == 3);
    });
}

#[test]
fn a_program_that_is_not_there_leaves_nothing_behind() {
    if !may() {
        return;
    }
    alone(|| {
        let filter = notifying(&["sethostname"]);
        let mut spawn = Spawn::new(&filter, "/no/such/program");
        let error = spawn.pid_namespace(true).spawn().unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
        assert!(childless());
    });
}

#[test]
fn it_takes_a_privilege() {
    if !is_root() {
        return skip("takes root, to be without the privilege");
    }
    in_child(|| {
        // SAFETY: integers only, and the copy of this process is given up.
        assert_eq!(unsafe { libc::setuid(65534) }, 0);
        let filter = notifying(&["sethostname"]);
        let refused = Spawn::new(&filter, "true").pid_namespace(true).spawn();
        assert_eq!(status(refused), Status::Permission);
    });
}
