//! Targets that make the supervisor's calls last: here by memory whose pages they provide themselves
//! (`userfaultfd(2)`), and never do until the test says so.

use crate::support::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

/// Reads what the first argument points to if it is an address, then answers with the argument.
fn read_and_echo(n: &mut Notification) -> Verdict {
    let address = n.request().args[0];
    if address >= PAGE as u64 {
        let mut byte = [1];
        if n.read(address, &mut byte).is_ok() {
            assert_eq!(byte, [0]);
        }
        let _ = n.reply_value(77);
        return Verdict::Handled;
    }
    echo(n)
}

/// A supervisor that serves a target which withholds a page, and is stuck in it.
pub(super) fn stuck(max_workers: usize, prepare: impl FnOnce(&Supervisor)) -> (Supervisor, Target) {
    let supervisor = supervisor(workers(max_workers), read_and_echo);
    prepare(&supervisor);
    let (target, listener) = withholder();
    supervisor.add_listener(listener, 0).unwrap();
    supervisor.start().unwrap();
    soon(|| supervisor.stats().workers_stuck == 1);
    (supervisor, target)
}

fn others_are_served(max_workers: usize) {
    let (supervisor, target) = stuck(max_workers, |_| ());
    let (other, listener) = Target::repeats();
    supervisor.add_listener(listener, 0).unwrap();
    other.repeat(500);
    other.end();
    assert!(!target.channel.said_something());
    target.channel.tell(0);
    assert_eq!(target.result(), 77);
    target.end();
    supervisor.join().unwrap();
    assert_eq!(supervisor.stats().workers_stuck, 0);
}

#[test]
fn one_target_that_withholds_memory_does_not_stall_the_others() {
    watched(|| {
        if may_withhold() {
            others_are_served(1);
            others_are_served(3);
        }
    });
}

#[test]
fn a_worker_that_was_stuck_goes_on_while_nobody_has_anything_to_do() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        for max_workers in [1, 3] {
            let (supervisor, target) = stuck(max_workers, |_| ());
            // Two that stay, so that whoever receives waits for several.
            let others = [Target::repeats(), Target::repeats()].map(|(other, listener)| {
                supervisor.add_listener(listener, 0).unwrap();
                other
            });
            others.iter().for_each(|other| other.repeat(20));
            target.channel.tell(0);
            assert_eq!(target.result(), 77);
            target.end();
            others.into_iter().for_each(Target::end);
            supervisor.join().unwrap();
        }
    });
}

#[test]
fn several_targets_that_withhold_memory_do_not_stall_the_others() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let (supervisor, first) = stuck(2, |_| ());
        let more: Vec<_> = (0..5)
            .map(|_| {
                let (target, listener) = withholder();
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        soon(|| supervisor.stats().workers_stuck == 6);
        let (other, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        other.repeat(500);
        other.end();
        for target in more.into_iter().chain([first]) {
            target.channel.tell(0);
            assert_eq!(target.result(), 77);
            target.end();
        }
        supervisor.join().unwrap();
    });
}

#[test]
fn a_stop_does_not_wait_for_a_worker_that_is_stuck() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let (supervisor, target) = stuck(1, |_| ());
        let begun = Instant::now();
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        assert!(begun.elapsed() < slowed(Duration::from_secs(2)));
        assert_eq!(supervisor.stats().workers_stuck, 1);
        // It is left to end by itself, and its target is answered.
        target.channel.tell(0);
        assert_eq!(target.result(), 77);
        soon(|| supervisor.stats().workers == 0);
        assert_eq!(supervisor.stats().workers_stuck, 0);
        // The next run is as good as any.
        let (other, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        other.repeat(100);
        other.end();
        target.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn a_worker_that_was_stuck_when_its_run_ended_leads_in_no_other() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        for i in 0..u64::from(fewer(10)) {
            let supervisor = supervisor(workers(1), read_and_echo);
            let (target, listener) = withholder();
            supervisor.add_listener(listener, 0).unwrap();
            let (other, listener) = Target::repeats();
            supervisor.add_listener(listener, 0).unwrap();
            supervisor.start().unwrap();
            soon(|| supervisor.stats().received == 1);
            // Before anybody has seen that it is slow, so that it still leads.
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);
            // It is back in the next run, or between the two.
            target.channel.tell(0);
            thread::sleep(Duration::from_millis(i % 2 * 5));
            supervisor.start().unwrap();
            assert_eq!(target.result(), 77);
            other.repeat(10);
            other.end();
            target.end();
            supervisor.join().unwrap();
        }
    });
}

#[test]
fn a_stop_does_not_wait_for_a_worker_that_has_just_become_stuck() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let supervisor = supervisor(workers(1), read_and_echo);
        let (target, listener) = withholder();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().received == 1);
        let begun = Instant::now();
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        assert!(begun.elapsed() < slowed(Duration::from_secs(2)));
        target.channel.tell(0);
        assert_eq!(target.result(), 77);
    });
}

#[test]
fn a_supervisor_that_is_dropped_leaves_no_target_waiting_for_a_worker_that_is_stuck() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let (supervisor, target) = stuck(1, |_| ());
        let begun = Instant::now();
        drop(supervisor);
        assert!(begun.elapsed() < slowed(Duration::from_secs(2)));
        // Its listener was closed.
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        target.channel.tell(0);
        target.end();
    });
}

#[test]
fn a_listener_that_was_removed_from_under_a_stuck_worker_is_closed_with_its_supervisor() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let (supervisor, target) = stuck(1, |_| ());
        supervisor.remove_listener(0).unwrap();
        supervisor.join().unwrap();
        drop(supervisor);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        target.channel.tell(0);
        target.end();
    });
}

#[test]
fn a_listener_that_was_taken_from_under_a_stuck_worker_and_dropped_is_closed_with_its_supervisor() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let (supervisor, target) = stuck(1, |_| ());
        drop(supervisor.take_listener(0).unwrap());
        supervisor.join().unwrap();
        drop(supervisor);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        target.channel.tell(0);
        target.end();
    });
}

#[test]
fn a_listener_that_was_taken_from_under_a_stuck_worker_is_closed_when_it_is_dropped_last() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let (supervisor, target) = stuck(1, |_| ());
        let taken = supervisor.take_listener(0).unwrap();
        supervisor.join().unwrap();
        drop(supervisor);
        thread::sleep(MOMENT);
        assert!(!target.channel.said_something());
        drop(taken);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        target.channel.tell(0);
        target.end();
    });
}

#[test]
fn a_listener_that_was_taken_from_under_a_stuck_worker_is_served_elsewhere_until_it_is_taken_again()
{
    watched(|| {
        if !may_withhold() {
            return;
        }
        let supervisor = supervisor(workers(1), read_and_echo);
        let other = crate::support::supervisor(workers(1).keep_running(true), echo);
        let (target, listener) = Target::prepared(
            &notifying(&["getppid"]),
            LoadFlags::empty(),
            || Withheld::new().unwrap(),
            |withheld, channel| {
                thread::scope(|scope| {
                    let stuck = scope.spawn(|| call(CALL, [withheld.page, 0, 0]));
                    channel.tell(call(CALL, [channel.hear() as u64, 0, 0]));
                    channel.tell(stuck.join().unwrap());
                    channel.hear();
                    withheld.provide();
                });
            },
        );
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().workers_stuck == 1);
        let taken = supervisor.take_listener(0).unwrap();
        supervisor.join().unwrap();
        other.add_listener(taken, 5).unwrap();
        other.start().unwrap();
        drop(supervisor);
        target.make_call(9);
        assert_eq!(target.result(), 9);
        drop(other.take_listener(5).unwrap());
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        target.channel.tell(0);
        target.end();
        other.stop();
        assert_eq!(status(other.join()), Status::Stopped);
    });
}

#[test]
fn a_supervisor_that_is_dropped_leaves_no_target_waiting_for_one_that_is_stuck_and_one_that_is_kept(
) {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let kept = Arc::new(Mutex::new(None));
        let keeps = Arc::clone(&kept);
        let supervisor = supervisor(workers(2), move |n| {
            if n.request().args[0] == 7 {
                *keeps.lock().unwrap() = Some(n.take().unwrap());
                return Verdict::Handled;
            }
            read_and_echo(n)
        });
        let (target, listener) = withholder();
        supervisor.add_listener(listener, 0).unwrap();
        let (other, listener) = Target::calls_once(7);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().workers_stuck == 1);
        soon(|| supervisor.stats().deferred_outstanding == 1);
        drop(supervisor);
        // What was kept can be answered still, and after that nobody has a right to a listener.
        let mut notification = kept.lock().unwrap().take().unwrap();
        notification.reply_value(70).unwrap();
        assert_eq!(other.result(), 70);
        drop(notification);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        target.channel.tell(0);
        target.end();
        other.end();
    });
}

#[test]
fn handlers_of_one_worker_take_turns_also_with_one_that_was_stuck() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let busy = Arc::new(AtomicBool::new(false));
        let overlapped = Arc::new(AtomicBool::new(false));
        let (b, o) = (Arc::clone(&busy), Arc::clone(&overlapped));
        let supervisor = supervisor(workers(1), move |n| {
            let enter = || o.fetch_or(b.swap(true, SeqCst), SeqCst);
            enter();
            thread::sleep(Duration::from_micros(50));
            // Only within the library's call may others run.
            b.store(false, SeqCst);
            let verdict = read_and_echo(n);
            enter();
            thread::sleep(Duration::from_micros(50));
            b.store(false, SeqCst);
            verdict
        });
        let stuck: Vec<_> = (0..4)
            .map(|_| {
                let (target, listener) = withholder();
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        let (other, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().workers_stuck == 4);
        other.channel.tell(1000);
        for target in &stuck {
            thread::sleep(Duration::from_millis(10));
            target.channel.tell(0);
        }
        assert_eq!(other.result(), 1000);
        for target in stuck {
            assert_eq!(target.result(), 77);
            target.end();
        }
        other.end();
        supervisor.join().unwrap();
        assert!(!overlapped.load(SeqCst));
    });
}
