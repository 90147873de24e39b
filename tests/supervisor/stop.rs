//! Stopping: prompt, from anywhere, and without a target that is left waiting.

use crate::support::*;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

/// A supervisor has to end within this time of being stopped.
const PROMPT: Duration = Duration::from_millis(50);

/// So many times each way of stopping is tried.
const TIMES: u32 = 300;

/// Counts the stops that were not prompt. On a machine with other things to do a few are excused;
/// a wake-up that is lost is not, as the test hangs then.
#[derive(Default)]
struct Stopwatch {
    late: u32,
}

impl Stopwatch {
    fn stop(&mut self, supervisor: &Supervisor) {
        let begun = Instant::now();
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        self.late += u32::from(begun.elapsed() > slowed(PROMPT));
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        assert!(self.late <= TIMES / 50, "{} stops were late", self.late);
    }
}

/// Stops a run over and over, at all times after its start from none to a millisecond or so.
fn stops_in_a_loop(options: SupervisorOptions, listeners: usize) {
    let supervisor = supervisor(options, echo);
    let targets: Vec<_> = (0..listeners)
        .map(|_| {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            target
        })
        .collect();
    let mut watch = Stopwatch::default();
    for i in 0..TIMES {
        supervisor.start().unwrap();
        thread::sleep(Duration::from_micros(u64::from(i % 30) * 50));
        watch.stop(&supervisor);
    }
    supervisor.start().unwrap();
    for (i, target) in targets.into_iter().enumerate() {
        target.make_call(i as i64);
        assert_eq!(target.result(), i as i64);
        target.end();
    }
    supervisor.join().unwrap();
}

#[test]
fn a_worker_that_waits_for_the_only_listener_is_stopped() {
    watched(|| stops_in_a_loop(workers(1), 1));
}

#[test]
fn a_worker_that_waits_for_many_listeners_is_stopped() {
    watched(|| stops_in_a_loop(workers(1), 3));
}

#[test]
fn workers_that_may_be_several_are_stopped() {
    watched(|| stops_in_a_loop(workers(8), 1));
}

#[test]
fn a_run_that_waits_for_a_first_listener_is_stopped() {
    watched(|| {
        let options = workers(2).keep_running(true);
        let supervisor = supervisor(options, echo);
        let mut watch = Stopwatch::default();
        for _ in 0..TIMES {
            supervisor.start().unwrap();
            watch.stop(&supervisor);
        }
    });
}

#[test]
fn all_workers_are_stopped_after_they_were_all_at_work() {
    watched(|| {
        const WORKERS: usize = 4;
        let supervisor = Supervisor::new(workers(WORKERS)).unwrap();
        supervisor
            .on_with("getppid", HandlerFlags::BLOCKING, |n| {
                thread::sleep(Duration::from_millis(2));
                echo(n)
            })
            .unwrap();
        let targets: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (target, listener) = Target::serves();
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        let mut watch = Stopwatch::default();
        for i in 0..50 {
            supervisor.start().unwrap();
            targets.iter().for_each(|t| t.make_call(i));
            targets.iter().for_each(|t| assert_eq!(t.result(), i));
            watch.stop(&supervisor);
        }
        assert!(supervisor.stats().workers_max > 1);
    });
}

#[test]
fn a_busy_supervisor_is_stopped() {
    watched(|| {
        let supervisor = supervisor(workers(4), echo);
        let (target, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        // More than it can do in the time of the test; the last calls get ENOSYS.
        target.channel.tell(1 << 40);
        let mut watch = Stopwatch::default();
        for i in 0..TIMES {
            supervisor.start().unwrap();
            thread::sleep(Duration::from_micros(u64::from(i % 30) * 50));
            watch.stop(&supervisor);
        }
        assert!(supervisor.stats().received > 0);
    });
}

#[test]
fn a_stop_before_the_run_ends_it_at_once() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.stop();
        assert_eq!(status(supervisor.run()), Status::Stopped);
        // Only that one.
        supervisor.start().unwrap();
        target.make_call(3);
        assert_eq!(target.result(), 3);
        target.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn several_stops_are_one() {
    watched(|| {
        let supervisor = supervisor(workers(2), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| supervisor.stop());
            }
        });
        assert_eq!(status(supervisor.join()), Status::Stopped);
        drop(target);
    });
}

#[test]
fn a_handler_stops_its_supervisor() {
    watched(|| {
        let supervisor = Arc::new(Supervisor::new(workers(1)).unwrap());
        let me = Arc::downgrade(&supervisor);
        supervisor
            .on("getppid", move |n| {
                me.upgrade().unwrap().stop();
                echo(n)
            })
            .unwrap();
        let (target, listener) = Target::calls_once(3);
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.run()), Status::Stopped);
        assert_eq!(target.result(), 3);
    });
}

static STOPPED_BY_SIGNAL: AtomicPtr<Supervisor> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn stop_it(_signal: libc::c_int) {
    // SAFETY: the supervisor lives for as long as the program, and is shared by reference only.
    unsafe { &*STOPPED_BY_SIGNAL.load(SeqCst) }.stop();
}

#[test]
fn a_signal_handler_stops_a_run_at_any_moment() {
    alone(|| {
        let supervisor = Box::leak(Box::new(supervisor(workers(4), echo)));
        STOPPED_BY_SIGNAL.store(supervisor, SeqCst);
        let supervisor: &Supervisor = supervisor;
        handle(libc::SIGUSR1, stop_it, libc::SA_RESTART);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        let runner = thread_id();
        let (begin, begun) = channel::<u64>();
        let (time, sent) = channel();
        thread::spawn(move || {
            for delay in begun {
                thread::sleep(Duration::from_micros(delay));
                time.send(Instant::now()).unwrap();
                // SAFETY: integers only.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), runner, libc::SIGUSR1) };
            }
        });
        let mut watch = Stopwatch::default();
        for i in 0..u64::from(TIMES) {
            begin.send(i % 30 * 20).unwrap();
            assert_eq!(status(supervisor.run()), Status::Stopped);
            let sent: Instant = sent.recv().unwrap();
            watch.late += u32::from(sent.elapsed() > slowed(PROMPT));
        }
        drop(target);
    });
}

#[test]
fn what_is_pending_stays_for_the_next_run() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.stop();
        target.make_call(4);
        target.until_waiting();
        assert_eq!(status(supervisor.run()), Status::Stopped);
        assert!(!target.channel.said_something());
        supervisor.start().unwrap();
        assert_eq!(target.result(), 4);
    });
}

#[test]
fn what_is_pending_gets_the_fallback_error_if_chosen() {
    watched(|| {
        let options = workers(1).drain_on_stop(true).fallback_error(libc::EDOM);
        let supervisor = supervisor(options, |_| panic!("it is not to be asked"));
        let targets: Vec<_> = (0..3)
            .map(|_| {
                let (target, listener) = Target::calls_once(1);
                target.until_waiting();
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        supervisor.stop();
        assert_eq!(status(supervisor.run()), Status::Stopped);
        for target in &targets {
            assert_eq!(target.result(), -i64::from(libc::EDOM));
        }
        assert_eq!(supervisor.stats().fallbacks, 3);
    });
}

#[test]
fn what_was_received_is_answered_before_the_run_ends() {
    for max_workers in [1, 4] {
        watched(|| {
            let (here, in_handler) = channel();
            let supervisor = supervisor(workers(max_workers), move |n| {
                here.send(()).unwrap();
                thread::sleep(MOMENT);
                echo(n)
            });
            let (target, listener) = Target::calls_once(8);
            supervisor.add_listener(listener, 0).unwrap();
            supervisor.start().unwrap();
            in_handler.recv().unwrap();
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);
            assert_eq!(supervisor.stats().values, 1);
            assert_eq!(target.result(), 8);
        });
    }
}

#[test]
fn freeing_a_supervisor_stops_it_and_its_targets_get_enosys() {
    watched(|| {
        let supervisor = supervisor(workers(2), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        target.make_call(1);
        assert_eq!(target.result(), 1);
        drop(supervisor);
        target.make_call(1);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
    });
}

#[test]
fn one_run_at_a_time() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let (_target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.join()), Status::InvalidArgument);
        supervisor.start().unwrap();
        assert_eq!(status(supervisor.start()), Status::InvalidArgument);
        assert_eq!(status(supervisor.run()), Status::InvalidArgument);
        assert_eq!(status(supervisor.dispatch()), Status::InvalidArgument);
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        assert_eq!(status(supervisor.join()), Status::InvalidArgument);
    });
}

#[test]
fn a_hundred_runs_leave_no_thread_and_no_descriptor() {
    alone(|| {
        let before = (entries("task"), entries("fd"));
        for _ in 0..fewer(100) {
            let supervisor = supervisor(workers(4), echo);
            let (target, listener) = Target::repeats();
            supervisor.add_listener(listener, 0).unwrap();
            supervisor.start().unwrap();
            target.repeat(10);
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);
        }
        // A thread that was joined may still be listed for a moment.
        soon(|| (entries("task"), entries("fd")) == before);
    });
}

#[test]
fn a_join_with_a_time_limit_leaves_the_run_as_it_was() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        let limit = Duration::from_millis(30);
        let begun = Instant::now();
        for limit in [limit, Duration::ZERO] {
            assert_eq!(status(supervisor.join_timeout(limit)), Status::Timeout);
        }
        assert!(begun.elapsed() >= limit);
        target.make_call(7);
        assert_eq!(target.result(), 7);
        assert_eq!(status(supervisor.start()), Status::InvalidArgument);
        supervisor.stop();
        let ended = supervisor.join_timeout(slowed(Duration::from_secs(10)));
        assert_eq!(status(ended), Status::Stopped);
        let nothing = supervisor.join_timeout(Duration::ZERO);
        assert_eq!(status(nothing), Status::InvalidArgument);
    });
}

#[test]
fn of_several_that_join_one_is_told() {
    watched(|| {
        let options = SupervisorOptions::default().keep_running(true);
        let supervisor = Supervisor::new(options).unwrap();
        supervisor.start().unwrap();
        let mut told = thread::scope(|scope| {
            let joining = || scope.spawn(|| status(supervisor.join_timeout(Duration::MAX)));
            let joining: Vec<_> = (0..4).map(|_| joining()).collect();
            thread::sleep(Duration::from_millis(20));
            supervisor.stop();
            joining
                .into_iter()
                .map(|j| j.join().unwrap())
                .collect::<Vec<_>>()
        });
        told.retain(|status| *status != Status::InvalidArgument);
        assert_eq!(told, [Status::Stopped]);
    });
}
