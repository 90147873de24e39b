//! Listeners that are taken from their supervisor, and what becomes of their targets.

use super::event_loop::readable;
use super::scene::{blocks, others_call, runs_on, stop, Left};
use super::stuck::stuck;
use crate::support::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use unotify::*;

const ENOSYS: i64 = -(libc::ENOSYS as i64);

fn answer_one(listener: &Listener, value: i64) {
    let limit = slowed(Duration::from_secs(10));
    let mut notification = listener.receive_timeout(limit).unwrap();
    notification.reply_value(value).unwrap();
}

#[test]
fn a_listener_that_was_taken_serves_its_target_elsewhere() {
    for (max_workers, others) in [(1, 0), (1, 1), (1, 2), (4, 0), (4, 2)] {
        watched(|| {
            let (supervisor, left) = runs_on(max_workers);
            let others = others_call(&supervisor, others);
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 5).unwrap();
            for round in 0..10 {
                target.make_call(round);
                assert_eq!(target.result(), round);
                let listener = supervisor.take_listener(5).unwrap();
                soon(|| left.count() == round as usize + 1);
                target.make_call(round);
                answer_one(&listener, 1000 + round);
                assert_eq!(target.result(), 1000 + round);
                supervisor.add_listener(listener, 5).unwrap();
                others.iter().for_each(|other| other.repeat(10));
            }
            target.end();
            stop(&supervisor);
        });
    }
}

#[test]
fn what_is_pending_stays_with_a_listener_that_is_taken() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let left = Left::of(&supervisor);
        let (target, listener) = Target::calls_once(7);
        supervisor.add_listener(listener, 5).unwrap();
        target.until_waiting();
        let listener = supervisor.take_listener(5).unwrap();
        assert_eq!(left.count(), 1);
        supervisor.run().unwrap();
        answer_one(&listener, 8);
        assert_eq!(target.result(), 8);
    });
}

#[test]
fn what_is_received_of_a_listener_that_was_taken_is_opened_as_in_a_handler() {
    watched(|| {
        let Asker {
            mut process,
            listener,
        } = Asker::start(|| {
            let fd = ask(c"/usr".as_ptr() as u64, libc::AT_FDCWD as u64, 0) as i32;
            let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
            // SAFETY: room for what the call fills in.
            i32::from(fd < 0 || unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0)
        });
        let supervisor = supervisor(workers(1), echo);
        supervisor.add_listener(listener, 5).unwrap();
        let listener = supervisor.take_listener(5).unwrap();
        let mut roots = Roots::new().unwrap();
        roots.add("/usr", Rights::READ).unwrap();
        let limit = slowed(Duration::from_secs(10));
        let mut call = listener.receive_timeout(limit).unwrap();
        let [path, dirfd, ..] = call.request().args;
        let how = OpenHow::new(libc::O_DIRECTORY);
        call.open_within(&roots, dirfd as i32, path, how).unwrap();
        call.reply_open_within(&roots, dirfd as i32, path, how)
            .unwrap();
        assert_eq!(process.wait(), 0);
    });
}

#[test]
fn what_was_received_is_handled_though_its_listener_is_taken() {
    for max_workers in [1, 4] {
        watched(|| {
            let begun = Arc::new(AtomicBool::new(false));
            let begin = Arc::clone(&begun);
            let supervisor = blocks(max_workers, Duration::from_millis(50), move || {
                begin.store(true, SeqCst);
            });
            let left = Left::of(&supervisor);
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 5).unwrap();
            supervisor.start().unwrap();
            target.make_call(7);
            soon(|| begun.load(SeqCst));
            let listener = supervisor.take_listener(5).unwrap();
            assert_eq!(left.count(), 0);
            assert_eq!(target.result(), 7);
            soon(|| left.count() == 1);
            target.make_call(3);
            answer_one(&listener, 4);
            assert_eq!(target.result(), 4);
            stop(&supervisor);
        });
    }
}

#[test]
fn the_targets_of_a_listener_that_was_removed_do_not_wait() {
    for (max_workers, others) in [(1, 0), (1, 1), (4, 0), (4, 1)] {
        watched(|| {
            let (supervisor, left) = runs_on(max_workers);
            let others = others_call(&supervisor, others);
            for round in 1..=20 {
                let (target, listener) = Target::serves();
                supervisor.add_listener(listener, 5).unwrap();
                target.make_call(round);
                assert_eq!(target.result(), round);
                supervisor.remove_listener(5).unwrap();
                target.make_call(round);
                // Handled, if it was just about to be received.
                let result = target.result();
                assert!(result == ENOSYS || result == round, "{result}");
                soon(|| left.count() == round as usize);
                target.make_call(round);
                assert_eq!(target.result(), ENOSYS);
                others.iter().for_each(|other| other.repeat(10));
            }
            stop(&supervisor);
        });
    }
}

#[test]
fn idle_workers_keep_no_listener_open_that_was_removed() {
    watched(|| {
        let supervisor = blocks(4, Duration::from_millis(5), || ());
        supervisor.start().unwrap();
        let (target, listener) = Target::start(|channel| {
            let several = || {
                let calls: Vec<_> = (0..4)
                    .map(|arg| thread::spawn(move || call(CALL, [arg, 0, 0])))
                    .collect();
                calls.into_iter().map(|c| c.join().unwrap()).sum::<i64>()
            };
            channel.tell(several());
            channel.hear();
            channel.tell(several());
        });
        supervisor.add_listener(listener, 5).unwrap();
        assert_eq!(target.result(), 6);
        supervisor.remove_listener(5).unwrap();
        thread::sleep(MOMENT);
        target.channel.tell(0);
        assert_eq!(target.result(), 4 * ENOSYS);
        stop(&supervisor);
    });
}

#[test]
fn a_worker_keeps_no_listener_open_that_was_removed_before_it_handled() {
    watched(|| {
        let supervisor = blocks(1, Duration::from_millis(50), || ());
        let left = Left::of(&supervisor);
        supervisor.start().unwrap();
        let (first, listener) = Target::calls_once(1);
        supervisor.add_listener(listener, 1).unwrap();
        soon(|| supervisor.stats().received == 1);
        // Received by the other thread, it waits for the handler.
        let (second, listener) = Target::serves();
        supervisor.add_listener(listener, 2).unwrap();
        second.make_call(2);
        soon(|| supervisor.stats().received == 2);
        supervisor.remove_listener(2).unwrap();
        assert_eq!((first.result(), second.result()), (1, 2));
        soon(|| left.count() >= 1);
        second.make_call(2);
        assert_eq!(second.result(), ENOSYS);
        stop(&supervisor);
    });
}

#[test]
fn a_handler_may_remove_its_own_listener() {
    for max_workers in [1, 4] {
        watched(|| {
            let supervisor = Arc::new(Supervisor::new(workers(max_workers)).unwrap());
            let remover = Arc::downgrade(&supervisor);
            supervisor
                .on("getppid", move |n| {
                    remover.upgrade().unwrap().remove_listener(n.tag()).unwrap();
                    echo(n)
                })
                .unwrap();
            let left = Left::of(&supervisor);
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 5).unwrap();
            target.make_call(7);
            supervisor.run().unwrap();
            assert_eq!(target.result(), 7);
            assert_eq!(left.count(), 1);
            target.make_call(7);
            assert_eq!(target.result(), ENOSYS);
        });
    }
}

#[test]
fn an_event_loop_is_told_that_its_last_listener_was_taken() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let left = Left::of(&supervisor);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 5).unwrap();
        assert_eq!(supervisor.dispatch().unwrap(), 0);
        supervisor.remove_listener(5).unwrap();
        assert_eq!(left.count(), 1);
        assert!(readable(&supervisor, 10_000));
        assert_eq!(status(supervisor.dispatch()), Status::Closed);
        target.make_call(1);
        assert_eq!(target.result(), ENOSYS);
    });
}

#[test]
fn of_two_that_were_added_alike_the_first_is_taken_first() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let targets = [0, 1].map(|_| {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 5).unwrap();
            target
        });
        for target in &targets {
            let listener = supervisor.take_listener(5).unwrap();
            target.make_call(1);
            answer_one(&listener, 2);
            assert_eq!(target.result(), 2);
        }
        assert_eq!(status(supervisor.take_listener(5)), Status::Closed);
    });
}

#[test]
fn what_is_not_served_cannot_be_taken() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        assert_eq!(status(supervisor.take_listener(5)), Status::Closed);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 5).unwrap();
        assert_eq!(status(supervisor.remove_listener(6)), Status::Closed);
        target.end();
        supervisor.run().unwrap();
        assert_eq!(status(supervisor.remove_listener(5)), Status::Closed);
    });
}

#[test]
fn a_listener_with_a_stuck_worker_can_be_taken() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        for max_workers in [1, 3] {
            let left = Mutex::new(None);
            let (supervisor, target) = stuck(max_workers, |supervisor| {
                *left.lock().unwrap() = Some(Left::of(supervisor));
            });
            let left = left.into_inner().unwrap().unwrap();
            let listener = supervisor.take_listener(0).unwrap();
            supervisor.join().unwrap();
            assert_eq!(left.count(), 0);
            // It is back in its handler, answers, and is done.
            target.channel.tell(0);
            assert_eq!(target.result(), 77);
            soon(|| left.count() == 1);
            drop((supervisor, listener));
            assert_eq!(left.count(), 1);
        }
    });
}

#[test]
fn no_call_is_lost_while_a_listener_goes_to_and_fro() {
    for max_workers in [1, 4] {
        watched(|| {
            let (supervisor, left) = runs_on(max_workers);
            let (busy, listener) = Target::repeats();
            supervisor.add_listener(listener, 5).unwrap();
            let calls = i64::from(fewer(4_000));
            busy.channel.tell(calls);
            let mut times = 0;
            while !busy.channel.said_something() {
                let listener = supervisor.take_listener(5).unwrap();
                times += 1;
                supervisor.add_listener(listener, 5).unwrap();
                thread::sleep(Duration::from_micros(100 + times % 7 * 300));
            }
            assert_eq!(busy.channel.hear(), calls);
            busy.end();
            soon(|| left.count() == times as usize + 1);
            stop(&supervisor);
            assert_eq!(supervisor.stats().values, calls as u64);
        });
    }
}
