//! In the steady state nothing is allocated.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use support::*;
use unotify::*;

/// The system's allocator, with a count of what it is asked for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this process allocates while each target makes a thousand calls, after as many to
/// warm up. The targets are processes of their own, and waiting for them allocates nothing.
fn allocations(targets: &[Target]) -> u64 {
    let calls = fewer(1000).into();
    let round = || {
        targets.iter().for_each(|t| t.channel.tell(calls));
        targets.iter().for_each(|t| assert_eq!(t.result(), calls));
    };
    round();
    let before = ALLOCATIONS.load(SeqCst);
    round();
    ALLOCATIONS.load(SeqCst) - before
}

#[test]
fn receiving_into_a_notification_and_answering_allocates_nothing() {
    alone(|| {
        let (target, listener) = Target::repeats();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut notification = listener.receive().unwrap();
                loop {
                    echo(&mut notification);
                    if let Err(error) = listener.receive_into(&mut notification, None) {
                        assert_eq!(error.status(), Status::Closed);
                        return;
                    }
                }
            });
            assert_eq!(allocations(std::slice::from_ref(&target)), 0);
            target.end();
        });
    });
}

fn a_supervisor_allocates_nothing(max_workers: usize, targets: usize) {
    alone(|| {
        let options = SupervisorOptions::default().max_workers(max_workers);
        let supervisor = supervisor(options, echo);
        let targets: Vec<_> = (0..targets)
            .map(|_| {
                let (target, listener) = Target::repeats();
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        supervisor.start().unwrap();
        // A worker that is added while the machine is busy allocates when it begins; it is a
        // matter of the first calls, and of the machine.
        let least = (0..3).map(|_| allocations(&targets)).min();
        assert_eq!(least, Some(0));
    });
}

#[test]
fn a_supervisor_of_one_worker_allocates_nothing() {
    a_supervisor_allocates_nothing(1, 1);
}

#[test]
fn a_supervisor_of_many_listeners_allocates_nothing() {
    a_supervisor_allocates_nothing(1, 3);
}

#[test]
fn a_supervisor_of_many_workers_allocates_nothing() {
    a_supervisor_allocates_nothing(4, 3);
}

#[test]
fn trying_the_modes_with_a_crowd_of_targets_allocates_nothing() {
    alone(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::start(|channel| loop {
            let times = channel.hear();
            let repeat = || {
                (0..times).for_each(|arg| assert_eq!(call(CALL, [arg as u64, 0, 0]), arg));
                0
            };
            let mut crowd: Vec<_> = (0..4).map(|_| Process::fork(repeat)).collect();
            crowd
                .iter_mut()
                .for_each(|process| assert_eq!(process.wait(), 0));
            channel.tell(times);
        });
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        let targets = [target];
        // 8,000 calls a time, of which the latter half is counted: the modes are tried in some.
        // A worker that is added while the machine is busy allocates.
        let none = (0..6).filter(|_| allocations(&targets) == 0).count();
        assert!(none >= 3, "{none} rounds of 6 without an allocation");
    });
}
