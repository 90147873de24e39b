//! A program from its start to its end, in one call.

mod support;

use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};
use support::*;
use unotify::*;

fn sh<'a>(filter: &'a ScmpFilterContext, script: &str) -> Spawn<'a> {
    let mut spawn = Spawn::new(filter, "sh");
    spawn.args(["-c", script]);
    spawn
}

/// Answers getppid(2) with 1234.
fn answering(options: SupervisorOptions) -> Supervisor {
    supervisor(options, |call| {
        let _ = call.reply_value(1234);
        Verdict::Handled
    })
}

/// Whether the process has children, zombies among them.
fn has_children() -> bool {
    // SAFETY: integers and null pointers only.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) != -1 }
}

#[test]
fn a_program_is_served_and_its_status_told() {
    watched(|| {
        let supervisor = answering(SupervisorOptions::default());
        for expected in [0, 7] {
            let filter = notifying(&["getppid"]);
            let script = format!("test $PPID = 1234 && exit {expected}");
            let status = supervisor.run_program(&mut sh(&filter, &script)).unwrap();
            assert_eq!(status.code(), Some(expected));
        }
        assert_eq!(supervisor.stats().values, 2);
        assert_eq!(supervisor.stats().listeners, 0);
    });
}

#[test]
fn what_the_program_leaves_behind_is_served_to_its_end() {
    watched(|| {
        let supervisor = answering(SupervisorOptions::default());
        let filter = notifying(&["getppid"]);
        let out = file("left-behind", "", 0o644);
        let script = format!(
            "(sleep 0.3; exec sh -c 'echo $PPID >\"{}\"') & exit 3",
            out.display()
        );
        let status = supervisor.run_program(&mut sh(&filter, &script)).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(fs::read_to_string(out).unwrap(), "1234\n");
    });
}

#[test]
fn a_program_that_is_not_there_is_an_error_and_the_supervisor_as_before() {
    watched(|| {
        let supervisor = answering(SupervisorOptions::default());
        let filter = notifying(&["getppid"]);
        let error = supervisor
            .run_program(&mut Spawn::new(&filter, "/no/such/program"))
            .unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
        let status = supervisor.run_program(&mut sh(&filter, "exit 5")).unwrap();
        assert_eq!(status.code(), Some(5));
    });
}

#[test]
fn an_execve_that_a_handler_refuses_is_an_error() {
    watched(|| {
        let supervisor = answering(SupervisorOptions::default());
        supervisor
            .on("execve", |call| {
                let _ = call.reply_error(libc::EXDEV);
                Verdict::Handled
            })
            .unwrap();
        let filter = notifying(&["execve"]);
        let error = supervisor.run_program(&mut sh(&filter, "")).unwrap_err();
        assert_eq!(error.errno(), libc::EXDEV);
    });
}

#[test]
fn a_run_that_is_stopped_leaves_no_program_behind() {
    alone(|| {
        let supervisor = Arc::new(answering(SupervisorOptions::default()));
        let stopping = Arc::clone(&supervisor);
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            stopping.stop();
        });
        let filter = notifying(&["getppid"]);
        let stopped = supervisor.run_program(&mut sh(&filter, "exec sleep 1000"));
        assert_eq!(status(stopped), Status::Stopped);
        assert!(!has_children());
        stopper.join().unwrap();
    });
}

#[test]
fn a_supervisor_that_keeps_running_tells_the_status_when_it_is_stopped() {
    watched(|| {
        let options = SupervisorOptions::default().keep_running(true);
        let supervisor = Arc::new(answering(options));
        let stopping = Arc::clone(&supervisor);
        let stopper = thread::spawn(move || {
            while stopping.stats().values == 0 || stopping.stats().listeners != 0 {
                thread::sleep(Duration::from_millis(1));
            }
            // Its listener may close a moment before it can be waited for.
            thread::sleep(Duration::from_millis(200));
            stopping.stop();
        });
        let filter = notifying(&["getppid"]);
        let status = supervisor.run_program(&mut sh(&filter, "test $PPID = 1234"));
        assert!(status.unwrap().success());
        stopper.join().unwrap();
    });
}

#[test]
fn a_supervisor_that_runs_already_kills_the_program_that_it_cannot_serve() {
    alone(|| {
        let options = SupervisorOptions::default().keep_running(true);
        let supervisor = answering(options);
        supervisor.start().unwrap();
        let filter = notifying(&["getppid"]);
        let refused = supervisor.run_program(&mut sh(&filter, "exec sleep 1000"));
        assert_eq!(status(refused), Status::InvalidArgument);
        assert!(!has_children());
    });
}
