//! How many handlers run at the same time, and who is not held up by whom.

use crate::support::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use unotify::*;

/// Lets several targets make calls at the same time under a handler that takes a moment. The most
/// handlers that ran at once.
fn most_at_once(max_workers: usize, targets: usize, flags: HandlerFlags) -> usize {
    let now = AtomicUsize::new(0);
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let supervisor = Supervisor::new(workers(max_workers)).unwrap();
    supervisor
        .on_with("getppid", flags, move |n| {
            seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, SeqCst);
            echo(n)
        })
        .unwrap();
    let targets: Vec<_> = (0..targets)
        .map(|_| {
            let (target, listener) = Target::repeats();
            supervisor.add_listener(listener, 0).unwrap();
            target
        })
        .collect();
    supervisor.start().unwrap();
    targets.iter().for_each(|t| t.channel.tell(20));
    targets.iter().for_each(|t| assert_eq!(t.result(), 20));
    // And one that receives what they have no time for.
    assert!(supervisor.stats().workers_max <= max_workers as u64 + 1);
    targets.into_iter().for_each(Target::end);
    supervisor.join().unwrap();
    assert_eq!(supervisor.stats().workers, 0);
    most.load(SeqCst)
}

#[test]
fn with_one_worker_handlers_never_overlap() {
    watched(|| {
        assert_eq!(most_at_once(1, 4, HandlerFlags::empty()), 1);
        assert_eq!(most_at_once(1, 4, HandlerFlags::BLOCKING), 1);
    });
}

#[test]
fn blocking_handlers_overlap_up_to_the_number_of_workers() {
    watched(|| assert_eq!(most_at_once(3, 6, HandlerFlags::BLOCKING), 3));
}

#[test]
fn handlers_that_turn_out_to_be_slow_overlap() {
    watched(|| assert_eq!(most_at_once(3, 6, HandlerFlags::empty()), 3));
}

/// The argument of the call that is held.
const HELD: u64 = 1 << 40;

/// Holds one target in its handler while another one makes calls.
fn others_go_on(flags: HandlerFlags, max_workers: usize, listeners: usize) {
    let (enter, entered) = channel();
    let (let_go, go) = channel::<()>();
    let go = Mutex::new(go);
    let supervisor = Supervisor::new(workers(max_workers)).unwrap();
    supervisor
        .on_with("getppid", flags, move |n| {
            if n.request().args[0] == HELD {
                enter.send(()).unwrap();
                go.lock().unwrap().recv().unwrap();
            }
            echo(n)
        })
        .unwrap();
    let (target, listener) = Target::under(&notifying(&["getppid"]), LoadFlags::empty(), |c| {
        // Of one listener, if there is but one.
        let mut child = Process::fork(|| {
            c.hear();
            for i in 100..200 {
                assert_eq!(call(CALL, [i, 0, 0]), i as i64);
            }
            c.tell(0);
            0
        });
        let held = call(CALL, [HELD, 0, 0]);
        assert_eq!(child.wait(), 0);
        c.tell(held);
    });
    supervisor.add_listener(listener, 0).unwrap();
    let others: Vec<_> = (1..listeners)
        .map(|_| {
            let (target, listener) = Target::repeats();
            supervisor.add_listener(listener, 0).unwrap();
            target
        })
        .collect();
    supervisor.start().unwrap();
    entered.recv().unwrap();
    target.channel.tell(0);
    assert_eq!(target.result(), 0);
    others.iter().for_each(|t| t.repeat(100));
    let_go.send(()).unwrap();
    assert_eq!(target.result(), HELD as i64);
}

#[test]
fn a_handler_known_to_block_does_not_hold_up_the_others() {
    watched(|| others_go_on(HandlerFlags::BLOCKING, 2, 1));
    watched(|| others_go_on(HandlerFlags::BLOCKING, 2, 3));
}

#[test]
fn a_handler_that_is_stuck_does_not_hold_up_the_others() {
    watched(|| others_go_on(HandlerFlags::empty(), 2, 1));
    watched(|| others_go_on(HandlerFlags::empty(), 4, 3));
}

#[test]
fn a_handler_that_is_stuck_after_thousands_of_fast_calls_does_not_hold_up_the_others() {
    watched(|| {
        let (let_go, go) = channel::<()>();
        let go = Mutex::new(go);
        let supervisor = supervisor(workers(2), move |n| {
            if n.request().args[0] == HELD {
                go.lock().unwrap().recv().unwrap();
            }
            echo(n)
        });
        let (fast, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        let (stuck, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        fast.repeat(5000);
        // Long enough for the watcher to have gone to sleep.
        thread::sleep(MOMENT);
        stuck.make_call(HELD as i64);
        stuck.until_waiting();
        fast.repeat(5000);
        assert!(!stuck.channel.said_something());
        let_go.send(()).unwrap();
        assert_eq!(stuck.result(), HELD as i64);
    });
}

#[test]
fn more_stuck_handlers_than_workers_wait_for_each_other_only() {
    watched(|| {
        let supervisor = Supervisor::new(workers(2)).unwrap();
        supervisor
            .on_with("getppid", HandlerFlags::BLOCKING, |n| {
                thread::sleep(Duration::from_millis(1));
                echo(n)
            })
            .unwrap();
        let (target, listener) = Target::start(|channel| {
            let threads: Vec<_> = (0..16)
                .map(|i| thread::spawn(move || call(CALL, [i, 0, 0])))
                .collect();
            for thread in threads {
                channel.tell(thread.join().unwrap());
            }
        });
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.run().unwrap();
        for i in 0..16 {
            assert_eq!(target.result(), i);
        }
    });
}

#[test]
fn a_fast_handler_is_served_by_few_workers_of_many() {
    watched(|| {
        let supervisor = supervisor(workers(16), echo);
        let (target, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        target.repeat(5000);
        target.end();
        supervisor.join().unwrap();
        // One, and another when the machine is so busy that a fast handler looks stuck.
        assert!(supervisor.stats().workers_max <= u64::from(4 * slowness()).min(15));
    });
}

#[test]
fn a_handler_that_panics_leaves_its_worker_at_work() {
    alone(|| {
        std::panic::set_hook(Box::new(|_| ()));
        let supervisor = Supervisor::new(workers(2)).unwrap();
        supervisor
            .on_with("getppid", HandlerFlags::BLOCKING, |n| {
                assert_ne!(n.request().args[0] % 2, 0, "on purpose");
                echo(n)
            })
            .unwrap();
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        for i in 0..100 {
            target.make_call(i);
            let expected = if i % 2 == 0 {
                -i64::from(libc::ENOSYS)
            } else {
                i
            };
            assert_eq!(target.result(), expected);
        }
        target.end();
        supervisor.join().unwrap();
        assert_eq!(supervisor.stats().panics, 50);
    });
}

#[test]
fn every_wake_up_mode_serves_several_targets() {
    for wake_up in [WakeUp::Auto, WakeUp::Sync, WakeUp::Async] {
        for max_workers in [1, 4] {
            watched(|| {
                let options = workers(max_workers).wake_up(wake_up);
                let supervisor = supervisor(options, echo);
                let targets: Vec<_> = (0..4)
                    .map(|_| {
                        let (target, listener) = Target::repeats();
                        supervisor.add_listener(listener, 0).unwrap();
                        target
                    })
                    .collect();
                supervisor.start().unwrap();
                let calls = fewer(2000).into();
                targets.iter().for_each(|t| t.channel.tell(calls));
                targets.iter().for_each(|t| assert_eq!(t.result(), calls));
                targets.into_iter().for_each(Target::end);
                supervisor.join().unwrap();
                assert_eq!(supervisor.stats().values, 4 * calls as u64);
            });
        }
    }
}

#[test]
fn a_number_of_workers_out_of_range_is_refused() {
    for max_workers in [0, 1025, usize::MAX] {
        let made = Supervisor::new(workers(max_workers));
        assert_eq!(status(made), Status::InvalidArgument);
    }
}

#[test]
fn a_caller_that_a_signal_ends_receives_from_the_listener_that_another_worker_had_to_itself() {
    watched(|| {
        let options = workers(2).return_on_signal(true);
        let supervisor = supervisor(options, |n| {
            // Long enough for another worker to take the lead.
            thread::sleep(Duration::from_millis(n.request().args[0]));
            echo(n)
        });
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| supervisor.run().unwrap());
            for i in 0..60 {
                let took = if i % 3 == 2 { 0 } else { 20 };
                target.make_call(took);
                assert_eq!(target.result(), took);
            }
            target.end();
        });
    });
}
