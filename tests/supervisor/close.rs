//! Who is told that a listener has left, when, and how often.

use super::scene::{others_call, runs_on, stop, Left};
use super::stuck::stuck;
use crate::support::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use unotify::*;

#[test]
fn a_run_tells_of_each_listener_before_it_ends() {
    for (max_workers, listeners) in [(1, 1), (1, 3), (4, 1), (4, 3)] {
        watched(|| {
            let supervisor = supervisor(workers(max_workers), echo);
            let left = Left::of(&supervisor);
            for tag in 1..=listeners {
                let (_, listener) = Target::calls_once(7);
                supervisor.add_listener(listener, tag).unwrap();
            }
            supervisor.run().unwrap();
            assert_eq!(left.tags(), (1..=listeners).collect::<Vec<_>>());
            drop(supervisor);
            assert_eq!(left.count(), listeners);
        });
    }
}

#[test]
fn a_run_that_goes_on_tells_at_once() {
    for (max_workers, others) in [(1, 0), (1, 1), (1, 2), (4, 0), (4, 2)] {
        watched(|| {
            let (supervisor, left) = runs_on(max_workers);
            let others = others_call(&supervisor, others);
            for tag in 1..20 {
                let (target, listener) = Target::serves();
                supervisor.add_listener(listener, tag).unwrap();
                target.make_call(3);
                assert_eq!(target.result(), 3);
                target.end();
                soon(|| left.tags().last() == Some(&tag));
                others.iter().for_each(|other| other.repeat(10));
            }
            assert_eq!(left.tags(), (1..20).collect::<Vec<_>>());
            stop(&supervisor);
        });
    }
}

#[test]
fn nobody_is_told_before_the_last_handler_is_done() {
    for max_workers in [1, 4] {
        for flags in [HandlerFlags::empty(), HandlerFlags::BLOCKING] {
            watched(|| {
                let supervisor = Supervisor::new(workers(max_workers).keep_running(true)).unwrap();
                let begun = Arc::new(AtomicBool::new(false));
                let done = Arc::new(AtomicBool::new(false));
                let (begin, end) = (Arc::clone(&begun), Arc::clone(&done));
                supervisor
                    .on_with("getppid", flags, move |n| {
                        begin.store(true, SeqCst);
                        thread::sleep(Duration::from_millis(60));
                        end.store(true, SeqCst);
                        echo(n)
                    })
                    .unwrap();
                let left = Left::default();
                let (tell, was_done) = (left.clone(), Arc::clone(&done));
                supervisor
                    .on_close(move |_| {
                        let done = was_done.load(SeqCst);
                        tell.push(usize::from(done));
                    })
                    .unwrap();
                let (mut target, listener) = Target::calls_once(7);
                supervisor.add_listener(listener, 5).unwrap();
                supervisor.start().unwrap();
                soon(|| begun.load(SeqCst));
                target.process.kill();
                soon(|| supervisor.stats().listeners == 0);
                soon(|| left.count() > 0);
                assert_eq!(left.tags(), [1]);
                stop(&supervisor);
            });
        }
    }
}

#[test]
fn nobody_is_told_while_something_waits_in_the_backlog() {
    watched(|| {
        let supervisor = Supervisor::new(workers(1).keep_running(true)).unwrap();
        let handled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&handled);
        supervisor
            .on_with("getppid", HandlerFlags::BLOCKING, move |n| {
                thread::sleep(Duration::from_millis(30));
                count.fetch_add(1, SeqCst);
                echo(n)
            })
            .unwrap();
        let left = Left::default();
        let (tell, so_far) = (left.clone(), Arc::clone(&handled));
        supervisor
            .on_close(move |_| tell.push(so_far.load(SeqCst)))
            .unwrap();
        let many = 5;
        let (mut target, listener) = Target::start(|_| {
            for arg in 0..many {
                thread::spawn(move || call(CALL, [arg, 0, 0]));
            }
            thread::sleep(LIMIT);
        });
        supervisor.add_listener(listener, 5).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().received == many);
        target.process.kill();
        soon(|| left.count() > 0);
        assert_eq!(left.tags(), [many as usize]);
        stop(&supervisor);
    });
}

#[test]
fn with_one_worker_it_is_told_beside_no_handler() {
    watched(|| {
        let supervisor = Supervisor::new(workers(1).keep_running(true)).unwrap();
        let inside = Arc::new(AtomicUsize::new(0));
        let overlaps = Arc::new(AtomicUsize::new(0));
        let (handler_inside, handler_overlaps) = (Arc::clone(&inside), Arc::clone(&overlaps));
        let alone = move || {
            if handler_inside.fetch_add(1, SeqCst) != 0 {
                handler_overlaps.fetch_add(1, SeqCst);
            }
            thread::sleep(Duration::from_millis(1));
            handler_inside.fetch_sub(1, SeqCst);
        };
        let told = Arc::new(AtomicUsize::new(0));
        let (also_alone, count) = (alone.clone(), Arc::clone(&told));
        supervisor
            .on("getppid", move |n| {
                alone();
                echo(n)
            })
            .unwrap();
        supervisor
            .on_close(move |_| {
                also_alone();
                count.fetch_add(1, SeqCst);
            })
            .unwrap();
        supervisor.start().unwrap();
        let (busy, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        for _ in 0..20 {
            busy.channel.tell(10);
            let (target, listener) = Target::calls_once(7);
            supervisor.add_listener(listener, 1).unwrap();
            assert_eq!(target.result(), 7);
            target.end();
            assert_eq!(busy.channel.hear(), 10);
        }
        busy.end();
        soon(|| told.load(SeqCst) == 21);
        assert_eq!(overlaps.load(SeqCst), 0);
        stop(&supervisor);
    });
}

#[test]
fn a_supervisor_that_is_dropped_tells_of_what_is_left() {
    for run_before in [false, true] {
        watched(|| {
            let supervisor = supervisor(workers(1), echo);
            let left = Left::of(&supervisor);
            let targets: Vec<_> = (1..=3)
                .map(|tag| {
                    let (target, listener) = Target::serves();
                    supervisor.add_listener(listener, tag).unwrap();
                    target
                })
                .collect();
            if run_before {
                supervisor.start().unwrap();
                targets[0].make_call(4);
                assert_eq!(targets[0].result(), 4);
            }
            assert!(left.tags().is_empty());
            drop(supervisor);
            assert_eq!(left.tags(), [1, 2, 3]);
            // And they are closed.
            targets[1].make_call(4);
            assert_eq!(targets[1].result(), -i64::from(libc::ENOSYS));
        });
    }
}

#[test]
fn a_supervisor_that_is_dropped_tells_of_a_listener_with_a_stuck_worker() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        for max_workers in [1, 3] {
            let left = Left::default();
            let tell = left.clone();
            let (supervisor, mut target) = stuck(max_workers, move |supervisor| {
                let told = move |tag| tell.push(tag);
                supervisor.on_close(told).unwrap();
            });
            stop(&supervisor);
            assert!(left.tags().is_empty());
            drop(supervisor);
            assert_eq!(left.tags(), [0]);
            target.process.kill();
        }
    });
}

#[test]
fn what_a_handler_has_taken_is_not_waited_for() {
    watched(|| {
        let taken = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&taken);
        let supervisor = supervisor(workers(1), move |n| {
            *keep.lock().unwrap() = Some(n.take().unwrap());
            Verdict::Handled
        });
        let left = Left::of(&supervisor);
        let (mut target, listener) = Target::calls_once(7);
        supervisor.add_listener(listener, 5).unwrap();
        supervisor.start().unwrap();
        soon(|| taken.lock().unwrap().is_some());
        target.process.kill();
        supervisor.join().unwrap();
        assert_eq!(left.tags(), [5]);
        assert_eq!(taken.lock().unwrap().as_ref().unwrap().tag(), 5);
    });
}

#[test]
fn an_event_loop_is_told_in_its_dispatch() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let left = Left::default();
        let (tell, here) = (left.clone(), thread::current().id());
        supervisor
            .on_close(move |tag| {
                assert_eq!(thread::current().id(), here);
                tell.push(tag);
            })
            .unwrap();
        for tag in [1, 2] {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, tag).unwrap();
            target.end();
        }
        let closed = loop {
            match supervisor.dispatch() {
                Ok(_) => thread::yield_now(),
                Err(error) => break error.status(),
            }
        };
        assert_eq!(closed, Status::Closed);
        assert_eq!(left.tags(), [1, 2]);
        assert_eq!(supervisor.stats().panics, 0);
    });
}

#[test]
fn a_panic_of_who_is_told_is_counted_and_ends_nothing() {
    alone(|| {
        std::panic::set_hook(Box::new(|_| ()));
        let supervisor = supervisor(workers(1), echo);
        supervisor.on_close(|_| panic!("on purpose")).unwrap();
        for tag in [1, 2] {
            let (_, listener) = Target::calls_once(7);
            supervisor.add_listener(listener, tag).unwrap();
        }
        supervisor.run().unwrap();
        assert_eq!(supervisor.stats().panics, 2);
    });
}

#[test]
fn who_is_told_may_add_a_listener() {
    watched(|| {
        let supervisor = Arc::new(supervisor(workers(1), echo));
        let again = Arc::downgrade(&supervisor);
        let targets = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&targets);
        supervisor
            .on_close(move |tag| {
                if tag < 5 {
                    let (target, listener) = Target::calls_once(7);
                    keep.lock().unwrap().push(target);
                    let supervisor = again.upgrade().unwrap();
                    supervisor.add_listener(listener, tag + 1).unwrap();
                }
            })
            .unwrap();
        let (_target, listener) = Target::calls_once(7);
        supervisor.add_listener(listener, 0).unwrap();
        while supervisor.stats().listeners > 0 {
            supervisor.run().unwrap();
        }
        assert_eq!(supervisor.stats().values, 6);
    });
}

#[test]
fn each_of_many_listeners_is_told_of_once() {
    for max_workers in [1, 4] {
        watched(|| {
            let (supervisor, left) = runs_on(max_workers);
            let per_thread = fewer(40) as usize;
            thread::scope(|scope| {
                for thread in 0..4 {
                    let supervisor = &supervisor;
                    scope.spawn(move || {
                        for i in 0..per_thread {
                            let (target, listener) = Target::repeats();
                            let tag = thread * per_thread + i;
                            supervisor.add_listener(listener, tag).unwrap();
                            target.repeat(i as i64);
                            target.end();
                        }
                    });
                }
            });
            soon(|| left.count() >= 4 * per_thread);
            stop(&supervisor);
            drop(supervisor);
            assert_eq!(left.tags(), (0..4 * per_thread).collect::<Vec<_>>());
        });
    }
}

#[test]
fn who_is_told_is_not_changed_while_it_runs() {
    watched(|| {
        let supervisor = supervisor(workers(1).keep_running(true), echo);
        supervisor.start().unwrap();
        assert_eq!(status(supervisor.on_close(|_| ())), Status::InvalidArgument);
    });
}
