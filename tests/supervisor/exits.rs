//! Notice of the end of a target's process.

use crate::support::*;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use unotify::*;

/// A supervisor that watches every process whose call it handles, and the ends that it is told of.
fn watching(options: SupervisorOptions) -> (Supervisor, Receiver<libc::pid_t>) {
    let supervisor = supervisor(options, |n| {
        // A target that was killed may be gone.
        let _ = n.watch_exit();
        echo(n)
    });
    let ends = told_by(&supervisor);
    (supervisor, ends)
}

fn told_by(supervisor: &Supervisor) -> Receiver<libc::pid_t> {
    let (tell, ends) = channel();
    let tell = Mutex::new(tell);
    supervisor
        .on_exit(move |process| tell.lock().unwrap().send(process).unwrap())
        .unwrap();
    ends
}

fn going_on(max_workers: usize) -> SupervisorOptions {
    workers(max_workers).keep_running(true)
}

fn served(supervisor: &Supervisor) -> Target {
    let (target, listener) = Target::serves();
    supervisor.add_listener(listener, 0).unwrap();
    target
}

fn next(ends: &Receiver<libc::pid_t>) -> libc::pid_t {
    ends.recv_timeout(slowed(Duration::from_secs(10))).unwrap()
}

fn answers(target: &Target, arg: i64) {
    target.make_call(arg);
    assert_eq!(target.result(), arg);
}

fn stop(supervisor: &Supervisor) {
    supervisor.stop();
    assert_eq!(status(supervisor.join()), Status::Stopped);
}

#[test]
fn the_end_of_a_process_is_told_before_the_run_ends_and_once() {
    for max_workers in [1, 4] {
        watched(|| {
            let (supervisor, ends) = watching(workers(max_workers));
            let target = served(&supervisor);
            let pid = target.process.pid;
            supervisor.start().unwrap();
            (0..10).for_each(|i| answers(&target, i));
            target.end();
            supervisor.join().unwrap();
            drop(supervisor);
            assert_eq!(ends.iter().collect::<Vec<_>>(), [pid]);
        });
    }
}

#[test]
fn the_end_of_a_process_is_told_while_nobody_calls() {
    for max_workers in [1, 4] {
        watched(|| {
            let (supervisor, ends) = watching(going_on(max_workers));
            let lives = served(&supervisor);
            supervisor.start().unwrap();
            answers(&lives, 1);
            for i in 0..20 {
                let mut target = served(&supervisor);
                answers(&target, i);
                target.process.signal(libc::SIGKILL);
                assert_eq!(next(&ends), target.process.pid);
                target.process.wait();
            }
            answers(&lives, 2);
            lives.end();
            stop(&supervisor);
        });
    }
}

#[test]
fn a_process_that_nobody_has_asked_for_is_not_told_of() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let ends = told_by(&supervisor);
        let target = served(&supervisor);
        supervisor.start().unwrap();
        answers(&target, 1);
        target.end();
        supervisor.join().unwrap();
        drop(supervisor);
        assert_eq!(ends.iter().count(), 0);
    });
}

#[test]
fn a_process_is_watched_when_another_thread_than_its_leader_calls() {
    watched(|| {
        let (supervisor, ends) = watching(workers(1));
        let (target, listener) = Target::start(|_| {
            let thread = thread::spawn(|| assert_eq!(call(CALL, [5, 0, 0]), 5));
            thread.join().unwrap();
        });
        let pid = target.process.pid;
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        supervisor.join().unwrap();
        assert_eq!(next(&ends), pid);
        target.end();
    });
}

#[test]
fn an_event_loop_is_told_too() {
    watched(|| {
        let (supervisor, ends) = watching(going_on(1));
        let target = served(&supervisor);
        let pid = target.process.pid;
        target.make_call(3);
        let mut told = None;
        while told.is_none() {
            assert_ne!(
                polled(supervisor.as_fd(), slowed(Duration::from_secs(10))),
                0
            );
            if supervisor.dispatch().unwrap() > 0 {
                assert_eq!(target.result(), 3);
                target.process.signal(libc::SIGKILL);
            }
            told = ends.try_recv().ok();
        }
        assert_eq!(told, Some(pid));
    });
}

#[test]
fn an_event_loop_is_told_of_all_before_it_is_closed() {
    watched(|| {
        let (supervisor, ends) = watching(workers(1));
        let target = served(&supervisor);
        let pid = target.process.pid;
        target.make_call(3);
        while supervisor.dispatch().unwrap() == 0 {}
        target.end();
        while supervisor.dispatch().is_ok() {}
        assert_eq!(ends.try_recv(), Ok(pid));
    });
}

#[test]
fn it_is_never_told_while_the_only_worker_is_in_a_handler() {
    watched(|| {
        let busy = Arc::new(AtomicBool::new(false));
        let (handling, overlaps) = (Arc::clone(&busy), Arc::new(AtomicUsize::new(0)));
        let supervisor = supervisor(going_on(1), move |n| {
            handling.store(true, SeqCst);
            n.watch_exit().unwrap();
            if n.request().args[0] == 1 {
                thread::sleep(Duration::from_millis(300));
            }
            handling.store(false, SeqCst);
            echo(n)
        });
        let (tell, ends) = channel();
        let (counted, tell) = (Arc::clone(&overlaps), Mutex::new(tell));
        supervisor
            .on_exit(move |process| {
                counted.fetch_add(usize::from(busy.load(SeqCst)), SeqCst);
                tell.lock().unwrap().send(process).unwrap();
            })
            .unwrap();
        let (slow, mut dies) = (served(&supervisor), served(&supervisor));
        supervisor.start().unwrap();
        answers(&dies, 0);
        slow.make_call(1);
        thread::sleep(Duration::from_millis(50));
        dies.process.signal(libc::SIGKILL);
        assert_eq!(next(&ends), dies.process.pid);
        assert_eq!(slow.result(), 1);
        assert_eq!(overlaps.load(SeqCst), 0);
        dies.process.wait();
        slow.end();
        stop(&supervisor);
    });
}

#[test]
fn what_ends_between_two_runs_is_told_in_the_next() {
    watched(|| {
        let (supervisor, ends) = watching(going_on(1));
        let mut target = served(&supervisor);
        supervisor.start().unwrap();
        answers(&target, 1);
        stop(&supervisor);
        target.process.signal(libc::SIGKILL);
        target.process.wait();
        assert!(ends.try_recv().is_err());
        supervisor.start().unwrap();
        assert_eq!(next(&ends), target.process.pid);
        stop(&supervisor);
    });
}

#[test]
fn the_process_of_a_deferred_notification_is_watched() {
    watched(|| {
        let (keep, kept) = channel();
        let keep = Mutex::new(keep);
        let supervisor = supervisor(going_on(1), move |n| {
            keep.lock().unwrap().send(n.take().unwrap()).unwrap();
            Verdict::Handled
        });
        let ends = told_by(&supervisor);
        let mut target = served(&supervisor);
        supervisor.start().unwrap();
        target.make_call(1);
        let mut n = kept.recv().unwrap();
        assert_eq!(n.watch_exit().unwrap(), target.process.pid);
        n.reply_value(1).unwrap();
        assert_eq!(target.result(), 1);
        target.process.signal(libc::SIGKILL);
        assert_eq!(next(&ends), target.process.pid);
        target.process.wait();
        stop(&supervisor);
    });
}

#[test]
fn a_process_that_is_dead_is_not_watched() {
    watched(|| {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let supervisor = supervisor(going_on(1), move |n| {
            // By its parent, which is this process.
            let pid = n.identity().unwrap().tgid;
            // SAFETY: integers only; the target waits for its answer, so the number is its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            while n.check_valid().is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
            tell.lock().unwrap().send(status(n.watch_exit())).unwrap();
            Verdict::Handled
        });
        let ends = told_by(&supervisor);
        let mut target = served(&supervisor);
        supervisor.start().unwrap();
        target.make_call(1);
        assert_eq!(told.recv().unwrap(), Status::Gone);
        target.process.wait();
        stop(&supervisor);
        assert!(ends.try_recv().is_err());
    });
}

#[test]
fn without_a_function_nothing_is_watched() {
    watched(|| {
        let supervisor = supervisor(workers(1), |n| {
            assert_eq!(status(n.watch_exit()), Status::InvalidArgument);
            echo(n)
        });
        let target = served(&supervisor);
        supervisor.start().unwrap();
        answers(&target, 1);
        target.end();
        supervisor.join().unwrap();
        assert_eq!(supervisor.stats().panics, 0);

        let (target, listener) = Target::calls_once(1);
        let mut n = listener.receive().unwrap();
        assert_eq!(status(n.watch_exit()), Status::InvalidArgument);
        n.reply_value(1).unwrap();
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn a_function_that_panics_is_counted_and_the_run_goes_on() {
    watched(|| {
        let supervisor = supervisor(going_on(1), |n| {
            n.watch_exit().unwrap();
            echo(n)
        });
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        supervisor
            .on_exit(move |_| {
                tell.lock().unwrap().send(()).unwrap();
                std::panic::resume_unwind(Box::new(()));
            })
            .unwrap();
        supervisor.start().unwrap();
        for i in 0..3 {
            let target = served(&supervisor);
            answers(&target, i);
            target.end();
            told.recv_timeout(slowed(Duration::from_secs(10))).unwrap();
        }
        stop(&supervisor);
        assert_eq!(supervisor.stats().panics, 3);
    });
}

#[test]
fn a_function_that_does_not_return_holds_nobody_else_up() {
    watched(|| {
        let supervisor = supervisor(going_on(2), |n| {
            n.watch_exit().unwrap();
            echo(n)
        });
        let (tell, told) = channel();
        let (go_on, until) = channel::<()>();
        let (tell, until) = (Mutex::new(tell), Mutex::new(until));
        supervisor
            .on_exit(move |process| {
                tell.lock().unwrap().send(process).unwrap();
                let _ = until.lock().unwrap().recv();
            })
            .unwrap();
        let (lives, mut dies) = (served(&supervisor), served(&supervisor));
        supervisor.start().unwrap();
        answers(&dies, 0);
        dies.process.signal(libc::SIGKILL);
        assert_eq!(next(&told), dies.process.pid);
        (0..5).for_each(|i| answers(&lives, i));
        drop(go_on);
        (0..5).for_each(|i| answers(&lives, i));
        dies.process.wait();
        lives.end();
        stop(&supervisor);
    });
}

#[test]
fn it_is_set_before_the_run() {
    watched(|| {
        let (supervisor, _ends) = watching(going_on(1));
        supervisor.start().unwrap();
        assert_eq!(status(supervisor.on_exit(|_| ())), Status::InvalidArgument);
        stop(&supervisor);
    });
}

#[test]
fn each_of_many_processes_that_come_and_go_is_told_of_once() {
    for max_workers in [1, 4] {
        watched(|| {
            let processes = 5 * fewer(12);
            let (supervisor, ends) = watching(going_on(max_workers));
            supervisor.start().unwrap();
            let mut expected = HashMap::new();
            let mut alive = Vec::new();
            for i in 0..processes {
                let target = served(&supervisor);
                answers(&target, i as i64);
                *expected.entry(target.process.pid).or_insert(0) += 1;
                alive.push(target);
                if alive.len() == 5 {
                    for (j, mut target) in alive.drain(..).enumerate() {
                        if j % 2 == 0 {
                            target.process.signal(libc::SIGKILL);
                            target.process.wait();
                        } else {
                            target.end();
                        }
                    }
                }
            }
            alive.into_iter().for_each(Target::end);
            let mut told = HashMap::new();
            for _ in 0..processes {
                *told.entry(next(&ends)).or_insert(0) += 1;
            }
            assert_eq!(told, expected);
            stop(&supervisor);
            assert!(ends.try_recv().is_err());
            assert_eq!(supervisor.stats().panics, 0);
        });
    }
}
