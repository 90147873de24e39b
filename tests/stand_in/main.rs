//! A process that stands in for the program it supervises: signals, the terminal, the end.

mod early;
#[path = "../support/mod.rs"]
mod support;

use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;
use support::*;
use unotify::*;

/// A process that stands in for a shell, and what that prints.
struct StandIn {
    process: Process,
    output: BufReader<File>,
}

impl StandIn {
    /// It leads a process group. `prepare` runs in it before there is a program.
    fn after(prepare: impl FnOnce(), script: &str) -> StandIn {
        let (reading, writing) = pipe();
        let process = Process::fork(|| {
            // SAFETY: integers only.
            unsafe { libc::setpgid(0, 0) };
            default_signals();
            prepare();
            let status = stand_in_for(script, &writing);
            drop(writing);
            exit_like(status)
        });
        StandIn {
            process,
            output: BufReader::new(reading.into()),
        }
    }

    fn for_shell(script: &str) -> StandIn {
        StandIn::after(|| {}, script)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

fn stand_in_for(script: &str, output: &OwnedFd) -> std::process::ExitStatus {
    let supervisor = supervisor(SupervisorOptions::default(), |call| {
        let _ = call.reply_value(1234);
        Verdict::Handled
    });
    let filter = notifying(&["getppid"]);
    let mut shell = Spawn::new(&filter, "sh");
    // All that the script starts is gone when the test is.
    shell.kill_on_parent_death(true);
    shell.stdout(output).args(["-c", script]);
    // Whatever the folders are where it is looked for.
    shell.env("PATH", "/bin:/usr/bin");
    supervisor.stand_in_for(&mut shell).unwrap()
}

/// Waits in short sleeps, between which the shell looks after its signals.
const WAIT: &str = "while :; do sleep 0.02; done";

/// Of the calling process, which may have been started in the background of a script.
fn default_signals() {
    for signal in [
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGTSTP,
    ] {
        // SAFETY: no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn ignore(signal: i32) {
    // SAFETY: no handler.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

#[test]
fn sigterm_and_sighup_are_for_the_program_to_decide_about() {
    watched(|| {
        for (name, signal) in [("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP)] {
            let script = format!("trap 'echo told; exit 5' {name}; echo ready; {WAIT}");
            let mut stand_in = StandIn::for_shell(&script);
            assert_eq!(stand_in.line(), "ready");
            stand_in.process.signal(signal);
            assert_eq!(stand_in.line(), "told");
            assert_eq!(stand_in.process.wait(), 5);
        }
    });
}

#[test]
fn a_program_that_a_signal_ends_ends_its_stand_in_by_the_same() {
    watched(|| {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
            let mut stand_in = StandIn::for_shell("echo ready; exec sleep 1000");
            assert_eq!(stand_in.line(), "ready");
            stand_in.process.signal(signal);
            assert_eq!(stand_in.process.wait(), -signal);
        }
        assert_eq!(
            StandIn::for_shell("kill -USR1 $$").process.wait(),
            -libc::SIGUSR1
        );
        assert_eq!(
            StandIn::for_shell("kill -KILL $$").process.wait(),
            -libc::SIGKILL
        );
        assert_eq!(StandIn::for_shell("exit 7").process.wait(), 7);
    });
}

#[test]
fn a_second_sigterm_kills_a_program_that_ignores_it_and_does_not_wait_for_others() {
    watched(|| {
        let script = "trap '' TERM; sleep 1000 & echo $!; exec sleep 1000";
        let mut stand_in = StandIn::for_shell(script);
        let left: i32 = stand_in.line().parse().unwrap();
        let pid = stand_in.process.pid;
        stand_in.process.signal(libc::SIGTERM);
        let killer = thread::spawn(move || {
            thread::sleep(MOMENT);
            assert_eq!(state_of(&pid.to_string()), "S", "the first is ignored");
            // On a busy machine the first may be seen late.
            while !matches!(state_of(&pid.to_string()).as_str(), "Z" | "X" | "") {
                thread::sleep(Duration::from_millis(600));
                // SAFETY: integers only; it is a child that is waited for after this, or was just now.
                unsafe { libc::kill(pid, libc::SIGTERM) };
            }
        });
        killer.join().unwrap();
        assert_eq!(stand_in.process.wait(), -libc::SIGKILL);
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::kill(left, libc::SIGKILL) }, 0);
    });
}

#[test]
fn one_sigterm_that_comes_twice_is_one() {
    watched(|| {
        // As timeout(1) sends it: to the process, and to its group.
        let script = format!("trap 'sleep 0.2; echo told; exit 6' TERM; echo ready; {WAIT}");
        let mut stand_in = StandIn::for_shell(&script);
        assert_eq!(stand_in.line(), "ready");
        let pid = stand_in.process.pid;
        stand_in.process.signal(libc::SIGTERM);
        // SAFETY: integers only; the group is the stand-in's.
        unsafe { libc::kill(-pid, libc::SIGTERM) };
        assert_eq!(stand_in.line(), "told");
        assert_eq!(stand_in.process.wait(), 6);
    });
}

#[test]
fn what_is_ignored_stays_so() {
    watched(|| {
        let script = "kill -HUP $$; echo ready; read line </dev/null; sleep 0.3; echo alive";
        let mut stand_in = StandIn::after(|| ignore(libc::SIGHUP), script);
        assert_eq!(stand_in.line(), "ready");
        stand_in.process.signal(libc::SIGHUP);
        assert_eq!(stand_in.line(), "alive");
        assert_eq!(stand_in.process.wait(), 0);
    });
}

#[test]
fn a_program_is_not_sent_what_it_has_sent() {
    watched(|| {
        let mut stand_in = StandIn::for_shell(
            "kill -TERM $(cut -d ' ' -f 4 /proc/$$/stat); sleep 0.3; echo alive",
        );
        assert_eq!(stand_in.line(), "alive");
        assert_eq!(stand_in.process.wait(), 0);
    });
}

#[test]
fn once_the_program_has_ended_a_signal_ends_the_serving() {
    watched(|| {
        let mut stand_in = StandIn::for_shell("sleep 1000 & echo $!; echo $$; exit 3");
        let left: i32 = stand_in.line().parse().unwrap();
        let program = stand_in.line();
        soon(|| matches!(state_of(&program).as_str(), "Z" | "X" | ""));
        stand_in.process.signal(libc::SIGTERM);
        assert_eq!(stand_in.process.wait(), 3);
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::kill(left, libc::SIGKILL) }, 0);
    });
}

#[test]
fn a_handler_of_the_program_that_stands_in_is_its_own() {
    extern "C" fn leave(_: i32) {
        // SAFETY: async-signal-safe.
        unsafe { libc::_exit(42) };
    }
    watched(|| {
        let own = || {
            let handler: extern "C" fn(i32) = leave;
            // SAFETY: an async-signal-safe handler.
            unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
        };
        let mut stand_in = StandIn::after(own, "echo ready; exec sleep 1000");
        assert_eq!(stand_in.line(), "ready");
        stand_in.process.signal(libc::SIGTERM);
        assert_eq!(stand_in.process.wait(), 42);
    });
}

#[test]
fn what_is_not_for_the_program_does_to_its_stand_in_what_it_always_does() {
    extern "C" fn exits(_signal: i32) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(9) };
    }
    watched(|| {
        let script = format!("echo ready; {WAIT}");
        let mut stand_in = StandIn::for_shell(&script);
        assert_eq!(stand_in.line(), "ready");
        stand_in.process.signal(libc::SIGUSR1);
        assert_eq!(stand_in.process.wait(), -libc::SIGUSR1);

        // Also by a handler that comes later.
        let handles = || {
            thread::spawn(|| {
                thread::sleep(MOMENT);
                // Not by this thread.
                // SAFETY: a set of this thread's own.
                unsafe {
                    let mut all = std::mem::zeroed();
                    libc::sigfillset(&mut all);
                    libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
                }
                let handler: extern "C" fn(i32) = exits;
                // SAFETY: a handler that does what is safe in one.
                unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
                // SAFETY: integers only.
                unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
            });
        };
        let mut stand_in = StandIn::after(handles, &script);
        assert_eq!(stand_in.process.wait(), 9);
    });
}

/// The dispositions and the blocked signals of this thread, as the kernel tells them.
fn signals_now() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let lines = status.lines();
    let lines =
        lines.filter(|line| ["SigBlk", "SigIgn", "SigCgt"].contains(&&line[..6.min(line.len())]));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn afterwards_signals_are_as_before() {
    alone(|| {
        let (_reading, writing) = pipe();
        // The first run reserves the signal that is the library's.
        assert_eq!(stand_in_for("exit 4", &writing).code(), Some(4));
        let before = signals_now();
        assert_eq!(stand_in_for("exit 4", &writing).code(), Some(4));
        assert_eq!(signals_now(), before);
        let filter = notifying(&["getppid"]);
        let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
        let mut missing = Spawn::new(&filter, "/no/such/program");
        let error = supervisor.stand_in_for(&mut missing).unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
        assert_eq!(signals_now(), before);
        assert!(before.contains("SigBlk:\t0000000000000000"), "{before}");
    });
}

#[test]
fn a_copy_of_the_process_takes_its_own_signals() {
    alone(|| {
        let (reading, writing) = pipe();
        let standing = thread::spawn(move || stand_in_for("echo ready; exec sleep 1", &writing));
        let mut line = String::new();
        BufReader::new(File::from(reading))
            .read_line(&mut line)
            .unwrap();
        let mut copy = Process::fork(|| loop {
            thread::sleep(LIMIT);
        });
        copy.signal(libc::SIGTERM);
        assert_eq!(copy.wait(), -libc::SIGTERM);
        assert!(standing.join().unwrap().success());
    });
}

#[test]
fn two_at_a_time_are_refused() {
    alone(|| {
        let (reading, writing) = pipe();
        let first = thread::spawn(move || stand_in_for("echo ready; exec sleep 0.5", &writing));
        let mut line = String::new();
        BufReader::new(File::from(reading))
            .read_line(&mut line)
            .unwrap();
        let filter = notifying(&["getppid"]);
        let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
        let second = supervisor.stand_in_for(&mut Spawn::new(&filter, "true"));
        assert_eq!(status(second), Status::InvalidArgument);
        assert!(first.join().unwrap().success());
    });
}

/// A new terminal: its other end, and its name.
fn terminal() -> (OwnedFd, std::ffi::CString) {
    // SAFETY: integers, and a buffer that is as long as said.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let end = own(libc::posix_openpt(flags));
        assert_eq!(libc::grantpt(end.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(end.as_raw_fd()), 0);
        let mut name = [0; 64];
        assert_eq!(
            libc::ptsname_r(end.as_raw_fd(), name.as_mut_ptr(), name.len()),
            0
        );
        let name = CStr::from_ptr(name.as_ptr()).to_owned();
        (end, name)
    }
}

/// Makes it the terminal of a session that the calling process begins.
fn begin_session(terminal: &CStr) -> OwnedFd {
    default_signals();
    // SAFETY: integers and a string.
    unsafe {
        assert!(libc::setsid() > 0);
        let terminal = own(libc::open(
            terminal.as_ptr(),
            libc::O_RDWR | libc::O_CLOEXEC,
        ));
        assert_eq!(libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0), 0);
        terminal
    }
}

fn write(to: &OwnedFd, bytes: &[u8]) {
    File::from(to.try_clone().unwrap())
        .write_all(bytes)
        .unwrap();
}

#[test]
fn what_is_typed_at_the_terminal_is_for_the_program() {
    watched(|| {
        for (key, name) in [(b"\x03", "INT"), (b"\x1c", "QUIT")] {
            let (end, name_of_terminal) = terminal();
            let (reading, writing) = pipe();
            let script = format!(
                "n=0; trap 'n=$((n+1)); echo told $n; test $n = 2 && exit 6' {name}; echo ready; {WAIT}"
            );
            let mut process = Process::fork(|| {
                let _terminal = begin_session(&name_of_terminal);
                let status = stand_in_for(&script, &writing);
                exit_like(status)
            });
            drop(writing);
            let mut output = BufReader::new(File::from(reading));
            let mut line = || {
                let mut line = String::new();
                output.read_line(&mut line).unwrap();
                line
            };
            assert_eq!(line(), "ready\n");
            write(&end, key);
            // Once, not by way of the stand-in as well.
            assert_eq!(line(), "told 1\n");
            thread::sleep(Duration::from_millis(100));
            write(&end, key);
            assert_eq!(line(), "told 2\n");
            assert_eq!(process.wait(), 6);
        }
    });
}

#[test]
fn a_terminal_that_hangs_up_tells_the_program_though_only_the_stand_in_is_told() {
    watched(|| {
        let (end, name) = terminal();
        let (reading, writing) = pipe();
        let script = format!("trap 'exit 8' HUP; echo ready; {WAIT}");
        let mut process = Process::fork(|| {
            // SAFETY: the copy's own, which nobody uses.
            unsafe { libc::close(end.as_raw_fd()) };
            let _terminal = begin_session(&name);
            exit_like(stand_in_for(&script, &writing))
        });
        let mut line = String::new();
        BufReader::new(File::from(reading))
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        drop(end);
        assert_eq!(process.wait(), 8);
    });
}

/// A shell, of sorts: starts a stand-in as a job in the foreground.
fn start_job(terminal: &OwnedFd, script: &str, output: &OwnedFd, prepare: fn()) -> libc::pid_t {
    // SAFETY: the copy has one thread, as this process has, and does not return.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::setpgid(0, 0);
            // The terminal is given to it before it may use it.
            thread::sleep(Duration::from_millis(50));
            prepare();
            let status = stand_in_for(script, output);
            exit_like(status)
        }
        libc::setpgid(pid, pid);
        assert_eq!(libc::tcsetpgrp(terminal.as_raw_fd(), pid), 0);
        pid
    }
}

/// The next change of a job: the signal it was stopped by, made negative, or its exit status.
fn next_change(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: the status is ours.
    let changed = unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) };
    assert_eq!(changed, pid);
    match libc::WIFSTOPPED(status) {
        true => -libc::WSTOPSIG(status),
        false if libc::WIFEXITED(status) => libc::WEXITSTATUS(status),
        false => panic!("{status:#x}"),
    }
}

/// As `/proc/PID/stat` tells it; empty when it is gone.
fn state_of(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let after_name = stat.rfind(')').map(|at| &stat[at + 2..at + 3]);
    after_name.unwrap_or_default().to_owned()
}

fn in_a_session(test: impl FnOnce(&OwnedFd, &OwnedFd)) {
    let (end, name) = terminal();
    let mut shell = Process::fork(|| {
        let terminal = begin_session(&name);
        test(&end, &terminal);
        0
    });
    assert_eq!(shell.wait(), 0);
}

#[test]
fn a_job_that_is_stopped_from_the_terminal_goes_on_later() {
    watched(|| {
        in_a_session(|end, terminal| {
            let (reading, writing) = pipe();
            let pid = start_job(terminal, "echo $$; exec sleep 0.5", &writing, || {});
            let mut program = String::new();
            BufReader::new(File::from(reading))
                .read_line(&mut program)
                .unwrap();
            write(end, b"\x1a");
            assert!(next_change(pid) < 0);
            assert_eq!(state_of(&program), "T");
            // SAFETY: integers only.
            unsafe { libc::kill(-pid, libc::SIGCONT) };
            assert_eq!(next_change(pid), 0);
        });
    });
}

#[test]
fn a_program_that_stops_in_its_own_time_is_served_until_then() {
    watched(|| {
        in_a_session(|end, terminal| {
            let (reading, writing) = pipe();
            // What is done on ^Z makes a notified call, and takes its time. Nothing is started before
            // that: a child that is stopped between vfork(2) and execve(2) would hold the shell.
            let script =
                "trap 'sleep 0.3; sh -c \"echo \\$PPID\"; kill -STOP $$; exit 9' TSTP; echo $$; \
                          while :; do :; done";
            let pid = start_job(terminal, script, &writing, || {});
            let mut output = BufReader::new(File::from(reading));
            let mut program = String::new();
            output.read_line(&mut program).unwrap();
            write(end, b"\x1a");
            assert!(next_change(pid) < 0);
            assert_eq!(state_of(&program), "T");
            let mut answered = String::new();
            output.read_line(&mut answered).unwrap();
            assert_eq!(answered, "1234\n");
            // To the stand-in alone, as `kill -CONT` does.
            // SAFETY: integers only.
            unsafe { libc::kill(pid, libc::SIGCONT) };
            assert_eq!(next_change(pid), 9);
        });
    });
}

#[test]
fn a_program_that_ends_while_its_stand_in_is_stopped_too_ends_that() {
    watched(|| {
        for _ in 0..fewer(100) {
            let mut stand_in = StandIn::for_shell("echo $$; exec sleep 1000");
            let program = stand_in.line();
            let pid = stand_in.process.pid;
            // As the terminal does when one of the background reads from it.
            // SAFETY: integers only.
            unsafe { libc::kill(-pid, libc::SIGTTIN) };
            assert!(next_change(pid) < 0);
            soon(|| state_of(&program) == "T");
            // SAFETY: integers only.
            unsafe { libc::kill(program.parse().unwrap(), libc::SIGKILL) };
            soon(|| state_of(&program) == "Z");
            stand_in.process.signal(libc::SIGCONT);
            assert_eq!(stand_in.process.wait(), -libc::SIGKILL);
        }
    });
}
