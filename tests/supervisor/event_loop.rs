//! A supervisor driven by somebody else's event loop.

use crate::support::*;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use unotify::*;

/// Whether the supervisor's descriptor becomes readable within so many milliseconds.
pub(super) fn readable(supervisor: &Supervisor, limit: u64) -> bool {
    polled(supervisor.as_fd(), slowed(Duration::from_millis(limit))) != 0
}

/// Dispatches whenever there is something until the last listener closes; how much was handled.
fn drive(supervisor: &Supervisor) -> usize {
    let mut handled = 0;
    loop {
        assert!(readable(supervisor, 10_000));
        match supervisor.dispatch() {
            Ok(n) => handled += n,
            Err(error) => {
                assert_eq!(error.status(), Status::Closed, "{error}");
                return handled;
            }
        }
    }
}

#[test]
fn the_descriptor_is_readable_when_there_is_something_to_do() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        for i in 0..10 {
            assert!(!readable(&supervisor, 0));
            target.make_call(i);
            assert!(readable(&supervisor, 10_000));
            assert_eq!(supervisor.dispatch().unwrap(), 1);
            assert_eq!(target.result(), i);
        }
    });
}

#[test]
fn the_descriptor_tells_of_a_listener_that_a_run_had_to_itself() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        for i in 0..3 {
            supervisor.start().unwrap();
            target.make_call(i);
            assert_eq!(target.result(), i);
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);

            target.make_call(i + 100);
            let mut handled = 0;
            while handled == 0 {
                // Once perhaps for the stop, if that came to its end after the run had.
                assert!(readable(&supervisor, 10_000));
                handled = supervisor.dispatch().unwrap();
            }
            assert_eq!(target.result(), i + 100);
        }
    });
}

#[test]
fn dispatching_with_nothing_to_do_does_not_wait() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (_target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(supervisor.dispatch().unwrap(), 0);
        }
        assert!(begun.elapsed() < slowed(Duration::from_secs(1)));
    });
}

#[test]
fn an_event_loop_serves_several_targets_to_their_end() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let targets: Vec<_> = (0..4)
            .map(|_| {
                let (target, listener) = Target::start(|_| {
                    for i in 0..100 {
                        assert_eq!(call(CALL, [i, 0, 0]), i as i64);
                    }
                });
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        assert_eq!(drive(&supervisor), 400);
        targets.into_iter().for_each(Target::end);
    });
}

#[test]
fn targets_that_die_do_not_make_dispatching_wait() {
    watched(|| {
        let options = SupervisorOptions::default().keep_running(true);
        let supervisor = supervisor(options, echo);
        let (lives, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        let mut slowest = Duration::ZERO;
        for i in 0..200 {
            let (mut dies, listener) = Target::calls_once(0);
            dies.until_waiting();
            supervisor.add_listener(listener, 0).unwrap();
            dies.process.signal(libc::SIGKILL);
            if i % 2 == 0 {
                dies.process.wait();
            }
            let begun = Instant::now();
            supervisor.dispatch().unwrap();
            slowest = slowest.max(begun.elapsed());
        }
        assert!(slowest < slowed(Duration::from_secs(1)), "{slowest:?}");
        lives.make_call(1);
        while !lives.channel.said_something() {
            supervisor.dispatch().unwrap();
        }
        assert_eq!(lives.result(), 1);
    });
}

#[test]
fn listeners_that_have_ended_do_not_hide_a_notification() {
    watched(|| {
        // More than the kernel reports at once.
        const ENDED: usize = 100;
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        for _ in 0..ENDED {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            target.end();
        }
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        target.make_call(7);
        target.until_waiting();
        assert_eq!(supervisor.dispatch().unwrap(), 1);
        assert_eq!(target.result(), 7);
        assert_eq!(supervisor.stats().listeners, 1);
    });
}

#[test]
fn stopping_is_told_once() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.stop();
        assert!(readable(&supervisor, 0));
        assert_eq!(status(supervisor.dispatch()), Status::Stopped);
        assert!(!readable(&supervisor, 0));
        target.make_call(5);
        assert!(readable(&supervisor, 10_000));
        assert_eq!(supervisor.dispatch().unwrap(), 1);
        assert_eq!(target.result(), 5);
    });
}

#[test]
fn a_stop_from_another_thread_wakes_the_event_loop() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (_target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(MOMENT);
                supervisor.stop();
            });
            assert!(readable(&supervisor, 10_000));
            assert_eq!(status(supervisor.dispatch()), Status::Stopped);
        });
    });
}

#[test]
fn a_flood_does_not_keep_dispatching_from_returning() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        target.channel.tell(1 << 40);
        assert!(readable(&supervisor, 10_000));
        for _ in 0..10 {
            assert!(supervisor.dispatch().unwrap() <= 64);
        }
    });
}
