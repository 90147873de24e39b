//! Getting receives and runs to end from outside: by interrupting, by signals, on a machine that has
//! no room for signals, in a program that resets its own.

mod support;

use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use support::*;
use unotify::*;

/// Long for a wake-up, short for a test.
const LONG: Duration = Duration::from_secs(20);

/// Sends `signal` to a thread of this process again and again until `done`.
fn pester(thread: libc::pid_t, signal: i32, done: &AtomicBool) {
    while !done.load(SeqCst) {
        thread::sleep(Duration::from_millis(5));
        // SAFETY: integers only; the thread waits for this one.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
    }
}

/// Interrupts a receive of `limit` that waits already.
fn a_waiting_receive_is_interrupted(limit: Option<Duration>) {
    let (_target, listener) = Target::serves();
    thread::scope(|scope| {
        let (say, said) = channel();
        let listener = &listener;
        let receiving = scope.spawn(move || {
            say.send(thread_id()).unwrap();
            match limit {
                None => status(listener.receive()),
                Some(limit) => status(listener.receive_timeout(limit)),
            }
        });
        // In RECV, or in the wait before it.
        let path = format!("/proc/self/task/{}/syscall", said.recv().unwrap());
        let waits = [libc::SYS_ioctl, libc::SYS_ppoll].map(|nr| format!("{nr} "));
        soon(|| {
            std::fs::read_to_string(&path)
                .is_ok_and(|call| waits.iter().any(|nr| call.starts_with(nr)))
        });
        listener.set_interrupted(true);
        assert_eq!(receiving.join().unwrap(), Status::Stopped);
    });
}

#[test]
fn a_receive_without_limit_is_interrupted() {
    watched(|| a_waiting_receive_is_interrupted(None));
}

#[test]
fn a_receive_with_a_limit_is_interrupted() {
    watched(|| a_waiting_receive_is_interrupted(Some(LONG)));
}

#[test]
fn a_receive_on_a_kernel_that_is_polled_is_interrupted() {
    alone_after(look_old, || {
        let (_target, listener) = Target::serves();
        thread::scope(|scope| {
            let receiving = scope.spawn(|| status(listener.receive()));
            thread::sleep(MOMENT);
            listener.set_interrupted(true);
            assert_eq!(receiving.join().unwrap(), Status::Stopped);
        });
    });
}

#[test]
fn every_thread_that_waits_is_interrupted() {
    watched(|| {
        let (_target, listener) = Target::serves();
        thread::scope(|scope| {
            let receive = |i: u32| {
                if i % 2 == 0 {
                    status(listener.receive())
                } else {
                    status(listener.receive_timeout(LONG))
                }
            };
            let waiting: Vec<_> = (0..6).map(|i| scope.spawn(move || receive(i))).collect();
            thread::sleep(MOMENT);
            listener.set_interrupted(true);
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), Status::Stopped);
            }
        });
    });
}

#[test]
fn receives_end_at_once_until_it_is_switched_off_and_nothing_is_lost() {
    watched(|| {
        let (target, listener) = Target::serves();
        listener.set_interrupted(true);
        target.make_call(7);
        target.until_waiting();
        for limit in [Duration::ZERO, LONG] {
            assert_eq!(status(listener.receive_timeout(limit)), Status::Stopped);
        }
        assert_eq!(status(listener.receive()), Status::Stopped);
        listener.set_interrupted(false);
        echo(&mut listener.receive().unwrap());
        assert_eq!(target.result(), 7);
        target.end();
    });
}

#[test]
fn thousands_of_interruptions_at_random_lose_nothing() {
    watched(|| {
        let times = fewer(4000);
        let (target, listener) = Target::repeats();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let receiving = scope.spawn(|| {
                let (mut stopped, mut round) = (0, 0u32);
                let mut notification = None;
                while !done.load(SeqCst) {
                    round += 1;
                    let limit = (round % 2 == 0).then_some(LONG);
                    let received = match (&mut notification, limit) {
                        (Some(n), limit) => listener.receive_into(n, limit),
                        (None, _) => listener.receive().map(|n| notification = Some(n)),
                    };
                    match status(received) {
                        Status::Ok => drop(echo(notification.as_mut().unwrap())),
                        Status::Stopped => {
                            stopped += 1;
                            listener.set_interrupted(false);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                stopped
            });
            let interrupting = scope.spawn(|| {
                for i in 0..times {
                    listener.set_interrupted(true);
                    thread::sleep(Duration::from_micros(u64::from(i * 7919 % 200)));
                }
            });
            while !interrupting.is_finished() {
                target.repeat(100);
            }
            interrupting.join().unwrap();
            done.store(true, SeqCst);
            listener.set_interrupted(true);
            assert!(receiving.join().unwrap() > times / 100);
        });
        listener.set_interrupted(false);
        thread::scope(|scope| {
            scope.spawn(|| target.repeat(1));
            echo(&mut listener.receive().unwrap());
        });
        target.end();
    });
}

static INTERRUPTED: AtomicPtr<Listener> = AtomicPtr::new(ptr::null_mut());

extern "C" fn interrupt_it(_: i32) {
    // SAFETY: the test keeps the listener alive while the timer runs.
    if let Some(listener) = unsafe { INTERRUPTED.load(SeqCst).as_ref() } {
        listener.set_interrupted(true);
    }
}

#[test]
fn a_signal_handler_interrupts_the_receive_of_its_own_thread() {
    alone(|| {
        let (_target, listener) = Target::serves();
        INTERRUPTED.store(ptr::from_ref(&listener).cast_mut(), SeqCst);
        let thread = thread_id();
        for flags in [0, libc::SA_RESTART] {
            handle(libc::SIGUSR1, interrupt_it, flags);
            for limit in [None, Some(LONG)] {
                let done = AtomicBool::new(false);
                thread::scope(|scope| {
                    scope.spawn(|| pester(thread, libc::SIGUSR1, &done));
                    let received = match limit {
                        None => status(listener.receive()),
                        Some(limit) => status(listener.receive_timeout(limit)),
                    };
                    assert_eq!(received, Status::Stopped);
                    done.store(true, SeqCst);
                });
                listener.set_interrupted(false);
            }
        }
    });
}

#[test]
fn a_handled_signal_ends_a_receive_that_asks_for_it() {
    alone(|| {
        let (target, listener) = Target::serves();
        let thread = thread_id();
        for flags in [0, libc::SA_RESTART] {
            handle(libc::SIGUSR1, nothing, flags);
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| pester(thread, libc::SIGUSR1, &done));
                for limit in [None, Some(LONG)] {
                    let mut n = receive_one(&target, &listener);
                    let received =
                        listener.receive_with(&mut n, limit, ReceiveFlags::RETURN_ON_SIGNAL);
                    assert_eq!(status(received), Status::Interrupted);
                }
                done.store(true, SeqCst);
            });
        }
        target.end();
    });
}

/// Serves one call, and gives the notification to be used again.
fn receive_one(target: &Target, listener: &Listener) -> Notification {
    target.make_call(1);
    let mut notification = listener.receive().unwrap();
    echo(&mut notification);
    assert_eq!(target.result(), 1);
    notification
}

#[test]
fn a_handled_signal_does_not_end_a_receive_that_does_not_ask_for_it() {
    alone(|| {
        let (target, listener) = Target::serves();
        let thread = thread_id();
        handle(libc::SIGUSR1, nothing, 0);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| pester(thread, libc::SIGUSR1, &done));
            let limit = Duration::from_millis(100);
            assert_eq!(status(listener.receive_timeout(limit)), Status::Timeout);
            scope.spawn(|| {
                thread::sleep(MOMENT);
                target.make_call(3);
            });
            echo(&mut listener.receive().unwrap());
            done.store(true, SeqCst);
        });
        assert_eq!(target.result(), 3);
        target.end();
    });
}

#[test]
fn a_handled_signal_ends_a_run_that_asks_for_it() {
    alone(|| {
        let thread = thread_id();
        for (flags, max_workers) in [(0, 1), (libc::SA_RESTART, 1), (libc::SA_RESTART, 3)] {
            handle(libc::SIGUSR1, nothing, flags);
            let options = SupervisorOptions::default()
                .return_on_signal(true)
                .max_workers(max_workers);
            let supervisor = supervisor(options, |n| {
                // The others lead meanwhile, so that the caller's thread sleeps elsewhere.
                thread::sleep(Duration::from_millis(1));
                echo(n)
            });
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            target.make_call(4);
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(target.result(), 4);
                    pester(thread, libc::SIGUSR1, &done);
                });
                assert_eq!(status(supervisor.run()), Status::Interrupted);
                done.store(true, SeqCst);
            });
            supervisor.start().unwrap();
            target.make_call(5);
            assert_eq!(target.result(), 5);
            target.end();
            supervisor.join().unwrap();
        }
    });
}

/// As another process of the same user does that has queued all the signals it may.
fn no_room_for_signals() -> std::io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is ours.
    match unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &none) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[test]
fn a_receive_is_interrupted_though_no_signal_can_be_queued() {
    alone_after(no_room_for_signals, || {
        a_waiting_receive_is_interrupted(None)
    });
}

#[test]
fn a_run_is_stopped_though_no_signal_can_be_queued() {
    alone_after(no_room_for_signals, || {
        for _ in 0..50 {
            let supervisor = supervisor(SupervisorOptions::default(), echo);
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            supervisor.start().unwrap();
            target.make_call(1);
            assert_eq!(target.result(), 1);
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);
        }
    });
}

/// Sets every signal to this, as daemons do at their start, and stops a run that began before.
fn a_run_is_stopped_after_all_signals_are(disposition: usize) {
    let supervisor = supervisor(SupervisorOptions::default(), echo);
    let (target, listener) = Target::serves();
    supervisor.add_listener(listener, 0).unwrap();
    supervisor.start().unwrap();
    target.make_call(1);
    assert_eq!(target.result(), 1);
    thread::sleep(MOMENT);
    for signal in 1..=64 {
        // SAFETY: neither has a handler.
        unsafe { libc::signal(signal, disposition) };
    }
    supervisor.stop();
    assert_eq!(status(supervisor.join()), Status::Stopped);
    // Whose end the test waits for.
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

#[test]
fn a_run_is_stopped_in_a_program_that_has_reset_its_signals() {
    alone(|| a_run_is_stopped_after_all_signals_are(libc::SIG_DFL));
}

#[test]
fn a_run_is_stopped_in_a_program_that_ignores_its_signals() {
    alone(|| a_run_is_stopped_after_all_signals_are(libc::SIG_IGN));
}

#[test]
fn a_program_that_has_the_signal_can_interrupt_and_stop_all_the_same() {
    alone(|| {
        handle(libc::SIGSTKFLT, nothing, 0);
        let (target, listener) = Target::serves();
        thread::scope(|scope| {
            let receiving = scope.spawn(|| status(listener.receive()));
            thread::sleep(MOMENT);
            listener.set_interrupted(true);
            assert_eq!(receiving.join().unwrap(), Status::Stopped);
        });
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        target.make_call(1);
        assert_eq!(target.result(), 1);
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
    });
}

#[test]
fn a_handlers_own_system_calls_are_not_interrupted_by_a_stop() {
    watched(|| {
        static INTERRUPTED: AtomicU32 = AtomicU32::new(0);
        let (enter, entered) = channel();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            enter.send(()).unwrap();
            let nap = libc::timespec {
                tv_sec: 0,
                tv_nsec: 2_000_000,
            };
            // SAFETY: the time is ours.
            let slept = unsafe { libc::nanosleep(&nap, ptr::null_mut()) };
            INTERRUPTED.fetch_add(u32::from(slept != 0), SeqCst);
            echo(n)
        });
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        for i in 0..100 {
            supervisor.start().unwrap();
            target.make_call(i);
            entered.recv().unwrap();
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);
            assert_eq!(target.result(), i);
        }
        assert_eq!(INTERRUPTED.load(SeqCst), 0);
        target.end();
    });
}

#[test]
fn interrupting_takes_no_time_to_speak_of() {
    watched(|| {
        let (_target, listener) = Target::serves();
        let begun = Instant::now();
        (0..1000).for_each(|i| listener.set_interrupted(i % 2 == 0));
        assert!(begun.elapsed() < slowed(Duration::from_secs(1)));
    });
}

/// Runs `while_it_is` while the lock that the kernel has around a listener is in demand, and signals
/// come to the threads that are told to it.
fn in_demand(listener: &Listener, while_it_is: impl FnOnce(&dyn Fn())) {
    let done = AtomicBool::new(false);
    let pestered = AtomicI32::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    polled(listener, Duration::ZERO);
                }
            });
        }
        scope.spawn(|| {
            while !done.load(SeqCst) {
                // Between two of them, the thread has to get on.
                thread::sleep(slowed(Duration::from_micros(20)));
                let thread = pestered.load(SeqCst);
                if thread != 0 {
                    // SAFETY: integers only; the thread lives until this is done.
                    unsafe {
                        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR1)
                    };
                }
            }
        });
        let _done = AtTheEnd(&done);
        while_it_is(&|| pestered.store(thread_id(), SeqCst));
    });
}

/// Sets something when it is dropped, also after a panic.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// How long a moment is waited for: longer on a slow machine, but not as much as that is slower.
fn a_while() -> Duration {
    Duration::from_secs(slowness().min(3).into())
}

#[test]
fn a_signal_in_the_middle_of_a_look_at_a_supervisors_listener_is_not_its_end() {
    alone(|| {
        handle(libc::SIGUSR1, nothing, libc::SA_RESTART);
        let (target, listener) = Target::repeats();
        // Looked at through another descriptor, and beside another listener.
        let look = Listener::from_fd(listener.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let (other, beside) = Target::serves();
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.add_listener(beside, 0).unwrap();
        in_demand(&look, |pester_this_thread| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let until = Instant::now() + a_while();
                    while Instant::now() < until {
                        target.repeat(10);
                    }
                    supervisor.stop();
                });
                pester_this_thread();
                assert_eq!(status(supervisor.run()), Status::Stopped);
            });
        });
        assert_eq!(supervisor.stats().listeners, 2);
        drop((target, other));
    });
}

#[test]
fn a_signal_in_the_middle_of_a_look_at_the_listener_is_not_its_end() {
    alone(|| {
        handle(libc::SIGUSR1, nothing, libc::SA_RESTART);
        let (target, listener) = Target::serves();
        let until = Instant::now() + a_while();
        in_demand(&listener, |pester_this_thread| {
            pester_this_thread();
            let mut notification = None;
            while Instant::now() < until {
                target.make_call(7);
                let n = match &mut notification {
                    None => notification.insert(listener.receive_timeout(LONG).unwrap()),
                    Some(n) => {
                        listener.receive_into(n, Some(LONG)).unwrap();
                        n
                    }
                };
                echo(n);
                assert_eq!(target.result(), 7);
            }
        });
        target.end();
    });
}
