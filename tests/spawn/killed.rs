//! What becomes of a child when the process that starts it is killed meanwhile.

use crate::support::*;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use unotify::*;

/// How often to kill, and how long at most: more with a number in the environment, as far as the
/// watchdog allows.
fn kills() -> (u64, Duration) {
    let number = std::env::var("UNOTIFY_TEST_KILLS").map(|number| number.parse().unwrap());
    number.map_or((300, briefly(Duration::from_secs(8))), |n| {
        (n, Duration::MAX)
    })
}

/// A pipe that the programs that are started here inherit.
fn inherited_pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [-1; 2];
    // SAFETY: room for two numbers, which are new descriptors then.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Whether every process that has the other end is gone, or is soon.
fn all_gone(end: &OwnedFd) -> bool {
    polled(end, slowed(Duration::from_secs(10))) != 0
}

/// Kills who has the other end, so that a test that has failed ends.
fn kill_all(end: &OwnedFd) {
    let name = |path: &str| std::fs::read_link(path).ok();
    let own = name(&format!("/proc/self/fd/{}", end.as_raw_fd()));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().to_string_lossy().parse::<u32>();
        let Ok(fds) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let has_it = fds
            .flatten()
            .any(|fd| name(&fd.path().to_string_lossy()) == own);
        match pid {
            // SAFETY: integers only.
            Ok(pid) if has_it && pid != std::process::id() => unsafe {
                libc::kill(pid as libc::pid_t, libc::SIGKILL);
            },
            _ => {}
        }
    }
}

/// How long it takes to start a program here.
fn time_to_start(filter: impl Fn() -> ScmpFilterContext) -> Duration {
    let mut times = [(); 5].map(|()| {
        let begun = Instant::now();
        let child = Spawn::new(&filter(), "true").spawn().unwrap();
        let took = begun.elapsed();
        child.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        took
    });
    times.sort();
    times[2]
}

/// Kills processes at any moment from when they begin to start programs whose `execve` nobody
/// answers to a little after that. All that is left of them must end: each inherits a pipe.
fn kills_at_random_moments(filter: impl Fn() -> ScmpFilterContext + Sync, threads: usize) {
    let mut within = time_to_start(&filter) * (1 + threads as u32);
    let mut random = u64::from(std::process::id()) | 1;
    let (kills, limit) = kills();
    let first = Instant::now();
    let (mut spawned, mut killed) = (0, 0);
    while killed < kills && first.elapsed() < limit {
        let (end, held) = inherited_pipe();
        let (told, tells) = inherited_pipe();
        // SAFETY: the child goes on as the one thread of a copy of this process, whose other thread
        // sleeps and holds no lock.
        let parent = unsafe { libc::fork() };
        if parent == 0 {
            drop((end, told));
            std::thread::scope(|scope| {
                let start = || {
                    let child = Spawn::new(&filter(), "true").spawn();
                    // SAFETY: one byte that lives across the call; no arguments.
                    unsafe {
                        libc::write(tells.as_raw_fd(), [1u8].as_ptr().cast(), 1);
                        while child.is_ok() {
                            libc::pause();
                        }
                        libc::_exit(1);
                    }
                };
                (1..threads).for_each(|_| {
                    scope.spawn(start);
                });
                start();
            });
            unreachable!("it waits to be killed");
        }
        drop((held, tells));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = Duration::from_nanos(random % within.as_nanos() as u64);
        let begun = Instant::now();
        while begun.elapsed() < moment {
            std::hint::spin_loop();
        }
        let mut status = 0;
        // SAFETY: a child of ours; `status` is ours.
        unsafe {
            libc::kill(parent, libc::SIGKILL);
            libc::waitpid(parent, &mut status, 0);
        }
        assert_eq!(status, libc::SIGKILL, "it could not start the program");
        spawned += u64::from(polled(&told, Duration::ZERO) & libc::POLLIN != 0);
        let gone = all_gone(&end);
        if !gone {
            kill_all(&end);
        }
        assert!(gone, "a child is left after {killed} others");
        killed += 1;
        // A machine that has other things to do now, or had then, takes another time to start one.
        if killed % 20 == 0 && spawned == 0 {
            within *= 2;
        } else if killed % 20 == 0 && spawned == killed {
            within /= 2;
        }
    }
    // The moments were neither all too early nor all too late.
    eprintln!("{spawned} of {killed} had started their program");
    assert!(spawned > 0 && spawned < killed);
}

#[test]
fn killing_the_process_while_it_starts_a_program_leaves_nothing_whose_execve_waits() {
    alone(|| kills_at_random_moments(|| notifying(&["execve"]), 1));
}

#[test]
fn killing_it_leaves_nothing_under_a_filter_that_notifies_everything() {
    alone(|| kills_at_random_moments(everything, 1));
}

#[test]
fn killing_it_leaves_nothing_of_programs_that_start_at_the_same_time() {
    alone(|| kills_at_random_moments(everything, 3));
}
