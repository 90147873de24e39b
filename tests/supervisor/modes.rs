//! Several targets of one listener: whatever way of receiving is tried, nothing is lost, and the
//! supervisor can be stopped and given more to do.

use crate::support::*;
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

/// How many processes call at the same time: enough to try every way of receiving.
const CROWD: usize = 4;

/// A target of several processes that make so many calls each, all at the same time, and check
/// that each returns its argument.
fn crowd(calls: u64) -> (Target, Listener) {
    Target::start(move |_| {
        let repeat = || {
            (0..calls).for_each(|arg| assert_eq!(call(CALL, [arg, 0, 0]), arg as i64));
            0
        };
        let mut processes: Vec<_> = (0..CROWD).map(|_| Process::fork(repeat)).collect();
        processes.iter_mut().for_each(|p| assert_eq!(p.wait(), 0));
    })
}

#[test]
fn every_call_of_a_crowd_is_answered_while_the_mode_changes() {
    for max_workers in [1, 2, 8] {
        watched(|| {
            let supervisor = supervisor(workers(max_workers), echo);
            let calls = u64::from(fewer(10_000));
            let (target, listener) = crowd(calls);
            supervisor.add_listener(listener, 0).unwrap();
            supervisor.run().unwrap();
            target.end();
            let stats = supervisor.stats();
            assert_eq!(stats.values, calls * CROWD as u64);
            assert_eq!(stats.received, stats.values);
            let processors = thread::available_parallelism().unwrap().get();
            if max_workers.min(processors) > 1 {
                assert!(stats.workers_max > 1, "a second receiver was not tried");
            }
        });
    }
}

#[test]
fn a_crowds_supervisor_is_stopped_and_started_at_any_moment() {
    watched(|| {
        let supervisor = supervisor(workers(4), echo);
        let calls = u64::from(fewer(5_000));
        let (target, listener) = crowd(calls);
        supervisor.add_listener(listener, 0).unwrap();
        let mut late: u64 = 0;
        let mut stops = 0;
        loop {
            supervisor.start().unwrap();
            thread::sleep(Duration::from_micros(200 + stops % 20 * 500));
            let begun = Instant::now();
            supervisor.stop();
            let ended = supervisor.join();
            late += u64::from(begun.elapsed() > slowed(Duration::from_millis(50)));
            stops += 1;
            match ended {
                Ok(()) => break, // the last target ended before the stop
                Err(error) => assert_eq!(error.status(), Status::Stopped),
            }
            if supervisor.stats().listeners == 0 {
                break;
            }
        }
        target.end();
        assert_eq!(supervisor.stats().values, calls * CROWD as u64);
        // Some are where others want the processor; if stopping took long, all would be.
        assert!(
            late <= u64::from(slowness()) + stops / 4,
            "{late} of {stops} stops were late"
        );
    });
}

#[test]
fn listeners_come_while_a_crowd_is_served() {
    watched(|| {
        let supervisor = supervisor(workers(2), echo);
        let calls = u64::from(fewer(10_000));
        let (target, listener) = crowd(calls);
        supervisor.add_listener(listener, 0).unwrap();
        // One that outlives the others: without a listener the run would be over.
        let (last, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        for i in 0..20 {
            let (other, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            other.make_call(i);
            assert_eq!(other.result(), i);
            other.end();
        }
        target.end();
        last.end();
        supervisor.join().unwrap();
        assert_eq!(supervisor.stats().values, 20 + calls * CROWD as u64);
    });
}

#[test]
fn a_crowd_that_is_killed_ends_the_run() {
    watched(|| {
        let supervisor = supervisor(workers(2), echo);
        let (mut target, listener) = crowd(u64::MAX);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().values > fewer(5_000).into());
        target.process.kill(); // and with it its children
        supervisor.join().unwrap();
    });
}
