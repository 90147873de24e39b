//! Signals, as the program gets them.

use crate::support::*;
use unotify::*;

/// What /proc says of the program's signals under `key`, as a bit for each.
fn signals(key: &str) -> u64 {
    let filter = everything();
    let mut spawn = Spawn::new(&filter, "grep");
    let line = text(spawn.args([key, "/proc/self/status"]));
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

extern "C" fn handler(_: i32) {}

#[test]
fn ignored_signals_stay_ignored_but_for_sigpipe() {
    alone(|| {
        // SAFETY: constants only.
        unsafe {
            libc::signal(libc::SIGUSR1, libc::SIG_IGN);
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        }
        let ignored = signals("SigIgn");
        assert_ne!(ignored & bit(libc::SIGUSR1), 0);
        assert_eq!(ignored & bit(libc::SIGPIPE), 0);
        assert_eq!(ignored & bit(libc::SIGUSR2), 0);
    });
}

#[test]
fn caught_signals_get_their_default() {
    alone(|| {
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
        assert_eq!(signals("SigIgn") & bit(libc::SIGUSR1), 0);
        assert_eq!(signals("SigCgt") & bit(libc::SIGUSR1), 0);
    });
}

#[test]
fn the_callers_mask_is_the_programs_and_stays_the_callers() {
    alone(|| {
        // SAFETY: zero is a value of a set, and the sets are ours.
        let masked = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
            let blocked = signals("SigBlk");
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut set);
            (1..=64)
                .filter(|&s| libc::sigismember(&set, s) == 1)
                .count()
                == 1
                && blocked == bit(15)
        };
        assert!(masked);
    });
}

#[test]
fn a_handler_of_the_callers_never_runs_in_the_child() {
    alone(|| {
        static PID: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);
        extern "C" fn note(_: i32) {
            // SAFETY: no arguments; may be called in a handler.
            let pid = unsafe { libc::getpid() };
            PID.store(pid, std::sync::atomic::Ordering::Relaxed);
        }
        // SAFETY: the handler stores an integer.
        unsafe { libc::signal(libc::SIGTERM, note as *const () as libc::sighandler_t) };
        let child = Spawn::new(&everything(), "true").spawn().unwrap();
        child.kill(libc::SIGTERM).unwrap();
        soon(|| {
            let Ok(mut n) = child.listener().unwrap().receive() else {
                return true;
            };
            let _ = n.reply_continue();
            false
        });
        child.wait().unwrap();
        assert_eq!(PID.load(std::sync::atomic::Ordering::Relaxed), 0);
    });
}
