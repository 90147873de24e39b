//! A listener that all notifications come from for a while, beside others: each of them is served.

use crate::support::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use unotify::*;

/// More than it takes to be received from alone.
const BURST: i64 = 2000;

/// Lets `target` call all the time while `meanwhile` is done.
fn while_calling(target: &Target, meanwhile: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                target.repeat(BURST);
            }
        });
        // Also when it panics, for the scope to end.
        let _done = Defer(&done);
        thread::sleep(Duration::from_millis(30));
        meanwhile();
    });
}

struct Defer<'a>(&'a AtomicBool);

impl Drop for Defer<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A supervisor that serves two targets, of which the first is to be hot.
fn serving(options: SupervisorOptions) -> (Supervisor, Target, Target) {
    let supervisor = supervisor(options, echo);
    let (hot, listener) = Target::repeats();
    supervisor.add_listener(listener, 1).unwrap();
    let (other, listener) = Target::serves();
    supervisor.add_listener(listener, 2).unwrap();
    supervisor.start().unwrap();
    (supervisor, hot, other)
}

fn others_are_served(options: SupervisorOptions) {
    watched(|| {
        let (supervisor, hot, other) = serving(options);
        while_calling(&hot, || {
            for i in 0..100 {
                other.make_call(i);
                assert_eq!(other.result(), i);
                thread::sleep(Duration::from_millis(i as u64 % 8));
            }
        });
        hot.end();
        other.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn others_are_served_beside_one_that_calls_all_the_time() {
    others_are_served(workers(1));
}

#[test]
fn others_are_served_beside_one_that_calls_all_the_time_with_many_workers() {
    others_are_served(workers(4));
}

#[test]
fn others_that_come_after_a_pause_are_served() {
    watched(|| {
        let (supervisor, hot, other) = serving(workers(1));
        for i in 0..4 {
            hot.repeat(BURST);
            // Once until nobody watches any more.
            thread::sleep(Duration::from_millis(if i == 2 { 300 } else { 20 }));
            other.make_call(i);
            assert_eq!(other.result(), i);
        }
        hot.end();
        other.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn the_end_of_the_one_that_called_is_noticed() {
    watched(|| {
        let (supervisor, hot, other) = serving(workers(1));
        hot.repeat(BURST);
        hot.end();
        soon(|| supervisor.stats().listeners == 1);
        other.make_call(1);
        assert_eq!(other.result(), 1);
        other.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn the_end_of_another_one_is_noticed() {
    watched(|| {
        let (supervisor, hot, other) = serving(workers(1));
        while_calling(&hot, || {
            other.end();
            soon(|| supervisor.stats().listeners == 1);
        });
        hot.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn one_that_is_added_meanwhile_is_served() {
    watched(|| {
        let (supervisor, hot, other) = serving(workers(1));
        while_calling(&hot, || {
            for i in 0..20 {
                let (added, listener) = Target::serves();
                supervisor.add_listener(listener, 3).unwrap();
                added.make_call(i);
                assert_eq!(added.result(), i);
                added.end();
                thread::sleep(Duration::from_millis(5));
            }
        });
        hot.end();
        other.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn the_one_that_calls_can_be_taken_away() {
    watched(|| {
        let (supervisor, hot, other) = serving(workers(2));
        let elsewhere = self::supervisor(workers(1), echo);
        thread::scope(|scope| {
            scope.spawn(|| hot.repeat(BURST * i64::from(fewer(20))));
            thread::sleep(Duration::from_millis(30));
            let taken = supervisor.take_listener(1).unwrap();
            other.make_call(1);
            assert_eq!(other.result(), 1);
            elsewhere.add_listener(taken, 0).unwrap();
            elsewhere.start().unwrap();
            other.make_call(2);
            assert_eq!(other.result(), 2);
        });
        hot.end();
        other.end();
        elsewhere.join().unwrap();
        supervisor.join().unwrap();
    });
}

#[test]
fn a_stop_comes_through_and_the_next_run_serves_all() {
    watched(|| {
        let (supervisor, hot, other) = serving(workers(1));
        while_calling(&hot, || {
            for i in 0..10 {
                supervisor.stop();
                assert_eq!(status(supervisor.join()), Status::Stopped);
                supervisor.start().unwrap();
                thread::sleep(Duration::from_millis(10));
                other.make_call(i);
                assert_eq!(other.result(), i);
            }
        });
        hot.end();
        other.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn others_are_served_when_its_handler_becomes_slow() {
    watched(|| {
        let slow = Arc::new(AtomicU64::new(0));
        let naps = Arc::clone(&slow);
        let supervisor = supervisor(workers(2), move |n| {
            if n.tag() == 1 {
                thread::sleep(Duration::from_millis(naps.load(SeqCst)));
            }
            echo(n)
        });
        let (hot, listener) = Target::repeats();
        supervisor.add_listener(listener, 1).unwrap();
        let (other, listener) = Target::serves();
        supervisor.add_listener(listener, 2).unwrap();
        supervisor.start().unwrap();
        hot.repeat(BURST);
        slow.store(300, SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| hot.repeat(4));
            for i in 0..50 {
                other.make_call(i);
                assert_eq!(other.result(), i);
            }
        });
        hot.end();
        other.end();
        supervisor.join().unwrap();
    });
}
