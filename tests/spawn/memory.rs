//! What becomes of the memory that a child shares with this process until its program runs.

use crate::support::*;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use unotify::*;

/// A program whose `execve` waits.
fn waiting(arg: &str) -> (Child, Listener) {
    let mut child = Spawn::new(&notifying(&["execve"]), "sh")
        .args(["-c", "exit $0", arg])
        .spawn()
        .unwrap();
    let listener = child.take_listener().unwrap();
    (child, listener)
}

/// [`waiting`] for a program that says its argument, and where to hear it. Before Linux 6.11 who receives
/// reaps it, so without its handle there is nothing else to know it by.
fn waiting_to_say(arg: &str) -> (Child, Listener, OwnedFd) {
    let (reading, writing) = pipe();
    let mut child = Spawn::new(&notifying(&["execve"]), "echo")
        .arg(arg)
        .stdout(writing)
        .spawn()
        .unwrap();
    let listener = child.take_listener().unwrap();
    (child, listener, reading)
}

/// All that was said there.
fn said(reading: OwnedFd) -> String {
    std::io::read_to_string(std::fs::File::from(reading)).unwrap()
}

/// How much this process has mapped, in pages.
fn mapped() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap();
    sizes.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_child_whose_handle_is_gone_executes_what_it_was_told() {
    watched(|| {
        let (child, listener, reading) = waiting_to_say("this");
        drop(child);
        // Others make use of what memory is free.
        for _ in 0..fewer(20) {
            let (other, listener, reading) = waiting_to_say("that");
            continue_all(&listener);
            assert!(other.wait().unwrap().success());
            assert_eq!(said(reading), "that\n");
        }
        continue_all(&listener);
        assert_eq!(said(reading), "this\n");
    });
}

#[test]
fn a_child_outlives_the_thread_that_has_started_it() {
    watched(|| {
        for refuse in [false, true] {
            let (child, listener) = thread::spawn(|| waiting("5")).join().unwrap();
            // Others get that thread's stack.
            for _ in 0..10 {
                thread::spawn(|| std::hint::black_box([1u8; 50_000]))
                    .join()
                    .unwrap();
            }
            if refuse {
                listener.receive().unwrap().reply_error(1).unwrap();
                assert_eq!(child.wait().unwrap().code(), Some(127));
                assert_eq!(child.exec_error(), Some(1));
            } else {
                continue_all(&listener);
                assert_eq!(child.wait().unwrap().code(), Some(5));
            }
        }
    });
}

#[test]
fn a_copy_of_this_process_has_no_part_in_a_child() {
    alone(|| {
        let (child, listener, reading) = waiting_to_say("this");
        in_child(|| {
            drop(child);
            drop(waiting("0"));
        });
        // Its handle is gone, here as well.
        continue_all(&listener);
        assert_eq!(said(reading), "this\n");
    });
}

#[test]
fn what_a_child_has_used_is_given_back() {
    alone(|| {
        let starts = fewer(100);
        let run = |keep: bool| {
            let (child, listener) = waiting("0");
            let pid = child.pid();
            let kept = keep.then_some(child);
            continue_all(&listener);
            drop(listener);
            match kept {
                Some(child) => assert!(child.wait().unwrap().success()),
                // SAFETY: no status is asked for. It may have been reaped.
                None => unsafe {
                    libc::waitpid(pid, std::ptr::null_mut(), 0);
                },
            }
        };
        for keep in [true, false] {
            (0..5).for_each(|_| run(keep));
            let before = mapped();
            (0..starts).for_each(|_| run(keep));
            let more = mapped().saturating_sub(before);
            assert!(more < 100, "{more} pages more after {starts} starts");
        }
    });
}

#[test]
fn a_child_that_dumps_its_core_takes_nobody_along() {
    alone(|| {
        for signal in [libc::SIGABRT, libc::SIGSEGV] {
            // SAFETY: constants only. What ignores it now was there before this process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            let (child, _listener) = waiting("0");
            child.kill(signal).unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(signal));
        }
    });
}

#[test]
fn writing_to_a_child_that_waits_in_execve_writes_nowhere_else() {
    watched(|| {
        let (child, listener) = waiting("0");
        let mut execve = listener.receive().unwrap();
        let path = execve.request().args[0];
        // Whatever is written over, there is an end behind it before anything of this process's.
        let mut page = (path & !4095) + 4096;
        while execve.write(page, &[0]).is_ok() {
            page += 4096;
            assert!(page - path < 1 << 18, "there is no end");
        }
        execve.reply_error(libc::EPERM).unwrap();
        drop((execve, listener));
        assert_eq!(child.wait().unwrap().code(), Some(127));
    });
}

#[test]
fn a_path_that_is_written_over_is_executed() {
    watched(|| {
        let (child, listener) = waiting("0");
        let mut execve = listener.receive().unwrap();
        let argv = execve.request().args[1];
        let mut pointers = [0; 4];
        assert_eq!(execve.read_pointers(argv, &mut pointers).unwrap(), 4);
        execve.write(pointers[3], b"9\0").unwrap();
        execve.reply_continue().unwrap();
        continue_all(&listener);
        assert_eq!(child.wait().unwrap().code(), Some(9));
    });
}

/// Starts a program whose arguments and signals must be as always.
fn starts_as_always() {
    handle(libc::SIGUSR1, nothing, 0);
    let filter = everything();
    let mut spawn = Spawn::new(&filter, "grep");
    let line = text(spawn.args(["SigCgt", "/proc/self/status"]));
    let caught = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(caught & (1 << (libc::SIGUSR1 - 1)), 0);
    let (child, listener) = waiting("8");
    drop(listener);
    assert_eq!(child.wait().unwrap().code(), Some(127));
    assert_eq!(child.exec_error(), Some(libc::ENOSYS));
}

#[test]
fn a_sandbox_without_clone3_starts_programs() {
    alone(|| {
        refuse("clone3", libc::ENOSYS, &[]);
        starts_as_always();
    });
}

#[test]
fn a_sandbox_without_shared_memory_starts_programs() {
    alone(|| {
        refuse("clone3", libc::ENOSYS, &[]);
        let flags = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
        let shares =
            ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(flags), libc::CLONE_VM as u64);
        refuse("clone", libc::EPERM, &[shares]);
        starts_as_always();
    });
}

#[test]
fn a_sandbox_without_threads_of_their_own_tables_starts_programs() {
    alone(|| {
        refuse("clone3", libc::ENOSYS, &[]);
        let flags = (libc::CLONE_FILES | libc::CLONE_THREAD) as u64;
        let own = ScmpArgCompare::new(
            0,
            ScmpCompareOp::MaskedEqual(flags),
            libc::CLONE_THREAD as u64,
        );
        refuse("clone", libc::EPERM, &[own]);
        starts_as_always();
    });
}

#[test]
fn programs_start_while_other_threads_fork() {
    alone(|| {
        let over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        // SAFETY: the child ends at once, or after a while.
                        unsafe {
                            let pid = libc::fork();
                            if pid == 0 {
                                libc::usleep(500);
                                libc::_exit(0);
                            }
                            libc::waitpid(pid, std::ptr::null_mut(), 0);
                        }
                    }
                });
            }
            let run = || {
                for i in 0..fewer(60) {
                    let code = i % 100;
                    let (child, listener) = waiting(&code.to_string());
                    continue_all(&listener);
                    assert_eq!(child.wait().unwrap().code(), Some(code as i32));
                }
            };
            let done = std::panic::catch_unwind(run);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            done.unwrap();
        });
    });
}
