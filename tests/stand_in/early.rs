//! Signals that come before the program runs.

use crate::support::*;
use crate::*;
use std::fs;

/// Makes the time long between a process's birth and its `execve`: in it, the program is looked for in
/// all these folders.
fn begin_slowly() {
    let path = format!("{}/bin:/usr/bin", "/x:".repeat(fewer(400_000) as usize));
    let path = std::ffi::CString::new(path).unwrap();
    // SAFETY: strings. Nobody else in this process looks at its environment.
    unsafe { libc::setenv(c"PATH".as_ptr(), path.as_ptr(), 1) };
}

/// Waits until a process has a child, and gives its id.
fn child_of(pid: libc::pid_t) -> libc::pid_t {
    let child = || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        threads.flatten().find_map(|thread| {
            let children = fs::read_to_string(thread.path().join("children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
    };
    soon(|| child().is_some());
    child().unwrap()
}

/// Waits until a process catches a signal.
fn until_caught(pid: libc::pid_t, signal: i32) {
    soon(|| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:\t"));
        let caught = caught.map_or(0, |mask| u64::from_str_radix(mask, 16).unwrap());
        caught & (1 << (signal - 1)) != 0
    });
}

fn signal_group(pid: libc::pid_t, signal: i32) {
    // SAFETY: integers only.
    assert_eq!(unsafe { libc::kill(-pid, signal) }, 0);
}

/// What becomes of a process that does this, while a signal comes to the program's process before it runs.
fn killed_early(signal: i32, body: impl FnOnce(&mut Spawn<'_>) -> i32) -> i32 {
    let mut process = Process::fork(|| {
        default_signals();
        begin_slowly();
        let filter = notifying(&["getppid"]);
        body(Spawn::new(&filter, "sh").args(["-c", "exec sleep 1000"]))
    });
    // SAFETY: integers only; a child that nobody waits for before the signal has come.
    assert_eq!(unsafe { libc::kill(child_of(process.pid), signal) }, 0);
    process.wait()
}

fn getppid_is_answered() -> Supervisor {
    supervisor(SupervisorOptions::default(), echo)
}

#[test]
fn a_program_that_a_signal_kills_before_it_runs_ends_its_stand_in_by_the_same() {
    watched(|| {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            let mut stand_in = StandIn::after(begin_slowly, "exec sleep 1000");
            child_of(stand_in.process.pid);
            signal_group(stand_in.process.pid, signal);
            assert_eq!(stand_in.process.wait(), -signal);
        }
    });
}

#[test]
fn what_is_ignored_does_not_kill_a_program_before_it_runs() {
    watched(|| {
        let prepare = || {
            ignore(libc::SIGINT);
            begin_slowly();
        };
        let mut stand_in = StandIn::after(prepare, "exit 4");
        child_of(stand_in.process.pid);
        signal_group(stand_in.process.pid, libc::SIGINT);
        assert_eq!(stand_in.process.wait(), 4);
    });
}

#[test]
fn serving_a_program_that_is_killed_before_it_runs_tells_how_it_ended() {
    watched(|| {
        let run =
            |spawn: &mut Spawn<'_>| exit_like(getppid_is_answered().run_program(spawn).unwrap());
        assert_eq!(killed_early(libc::SIGKILL, run), -libc::SIGKILL);
        assert_eq!(killed_early(libc::SIGUSR1, run), -libc::SIGUSR1);
    });
}

#[test]
fn starting_a_program_that_is_killed_before_it_runs_fails_and_says_by_what() {
    watched(|| {
        let status = killed_early(libc::SIGUSR2, |spawn| {
            let error = spawn.spawn().unwrap_err();
            assert_eq!(error.errno(), libc::ECANCELED);
            assert!(error.to_string().contains("killed by signal 12"), "{error}");
            assert!(childless());
            7
        });
        assert_eq!(status, 7);
    });
}

#[test]
fn a_program_that_a_filter_of_its_parents_kills_before_it_runs_was_not_started() {
    in_child(|| {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
        for call in ["statx", "faccessat2", "faccessat"] {
            let call = ScmpSyscall::from_name(call).unwrap();
            filter.add_rule(ScmpAction::KillProcess, call).unwrap();
        }
        filter.load().unwrap();
        let notifying = notifying(&["getppid"]);
        let error = getppid_is_answered().run_program(&mut Spawn::new(&notifying, "true"));
        let error = error.unwrap_err();
        assert_eq!(error.errno(), libc::ECANCELED);
        assert!(
            error.to_string().contains("by a filter of this process"),
            "{error}"
        );
        assert!(childless());
    });
}

#[test]
fn what_is_typed_before_there_is_a_program_is_for_it_too() {
    watched(|| {
        for (key, signal) in [(b"\x03", libc::SIGINT), (b"\x1c", libc::SIGQUIT)] {
            let (end, name) = terminal();
            let (_reading, writing) = pipe();
            let mut process = Process::fork(|| {
                let _terminal = begin_session(&name);
                begin_slowly();
                exit_like(stand_in_for("exec sleep 1000", &writing))
            });
            until_caught(process.pid, libc::SIGQUIT);
            write(&end, key);
            assert_eq!(process.wait(), -signal);
        }
    });
}

/// What a job does that is stopped by a key at this moment.
fn stopped_early(moment: fn(libc::pid_t)) {
    watched(|| {
        in_a_session(|end, terminal| {
            let (reading, writing) = pipe();
            let pid = start_job(
                terminal,
                "sleep 0.3; echo runs; exit 3",
                &writing,
                begin_slowly,
            );
            drop(writing);
            moment(pid);
            write(end, b"\x1a");
            assert!(next_change(pid) < 0);
            assert_eq!(state_of(&child_of(pid).to_string()), "T");
            // SAFETY: integers only.
            unsafe { libc::kill(-pid, libc::SIGCONT) };
            assert_eq!(next_change(pid), 3);
            let mut line = String::new();
            BufReader::new(File::from(reading))
                .read_line(&mut line)
                .unwrap();
            assert_eq!(line, "runs\n");
        });
    });
}

#[test]
fn a_job_that_is_stopped_before_its_program_runs_goes_on_later() {
    stopped_early(|pid| {
        child_of(pid);
    });
}

#[test]
fn a_job_that_is_stopped_before_there_is_a_program_goes_on_later() {
    stopped_early(|pid| until_caught(pid, libc::SIGTSTP));
}
