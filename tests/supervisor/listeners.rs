//! The listeners of a supervisor come and go.

use crate::support::*;
use std::os::fd::AsFd;
use std::thread;
use unotify::*;

#[test]
fn a_run_without_listeners_ends_at_once() {
    watched(|| {
        supervisor(workers(1), echo).run().unwrap();
        supervisor(workers(4), echo).run().unwrap();
    });
}

#[test]
fn a_run_ends_when_the_last_listener_closes() {
    for (max_workers, listeners) in [(1, 1), (1, 3), (4, 1), (4, 3)] {
        watched(|| {
            let supervisor = supervisor(workers(max_workers), echo);
            let mut targets = Vec::new();
            for _ in 0..listeners {
                let (target, listener) = Target::serves();
                supervisor.add_listener(listener, 0).unwrap();
                targets.push(target);
            }
            supervisor.start().unwrap();
            for target in targets {
                assert!(supervisor.stats().listeners > 0);
                target.make_call(1);
                assert_eq!(target.result(), 1);
                target.end();
            }
            supervisor.join().unwrap();
            assert_eq!(supervisor.stats().listeners, 0);
        });
    }
}

#[test]
fn a_run_that_keeps_running_waits_for_further_listeners() {
    watched(|| {
        let supervisor = supervisor(workers(1).keep_running(true), echo);
        supervisor.start().unwrap();
        for i in 0..20 {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            target.make_call(i);
            assert_eq!(target.result(), i);
            target.end();
            soon(|| supervisor.stats().listeners == 0);
        }
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
    });
}

#[test]
fn who_is_faster_through_another_descriptor_keeps_no_other_listener_waiting() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let (contested, listener) = Target::serves();
        let same = listener.as_fd().try_clone_to_owned().unwrap();
        let same = Listener::try_from(same).unwrap();
        supervisor.add_listener(listener, 1).unwrap();
        let (other, listener) = Target::serves();
        supervisor.add_listener(listener, 2).unwrap();
        supervisor.start().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(mut notification) = same.receive() {
                    let _ = notification.reply_value(notification.request().args[0] as i64);
                }
            });
            for i in 0..fewer(2000).into() {
                contested.make_call(i);
                assert_eq!(contested.result(), i);
                other.make_call(i);
                assert_eq!(other.result(), i);
            }
            same.set_interrupted(true);
        });
        drop(same);
        contested.end();
        other.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn a_listener_is_added_while_a_worker_waits_for_the_only_one() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let (first, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        let mut targets = vec![first];
        for i in 0..50 {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            target.make_call(i);
            assert_eq!(target.result(), i);
            targets.push(target);
            if i % 2 == 0 {
                // Down to a single one again.
                targets.drain(1..).for_each(Target::end);
                soon(|| supervisor.stats().listeners == 1);
            }
        }
        targets.into_iter().for_each(Target::end);
        supervisor.join().unwrap();
    });
}

#[test]
fn a_busy_listener_does_not_starve_the_others() {
    watched(|| {
        let supervisor = supervisor(workers(1), echo);
        let (busy, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        let (quiet, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        busy.channel.tell(1 << 40);
        for i in 0..200 {
            quiet.make_call(i);
            assert_eq!(quiet.result(), i);
        }
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
    });
}

#[test]
fn a_thousand_listeners_are_served_and_close_while_it_runs() {
    alone(|| {
        let listeners = fewer(1000) as usize;
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: `limit` is ours.
        unsafe {
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
        let before = entries("fd");
        let supervisor = supervisor(workers(1).keep_running(true), echo);
        supervisor.start().unwrap();
        let targets: Vec<_> = (0..listeners)
            .map(|i| {
                let (target, listener) = Target::serves();
                supervisor.add_listener(listener, i).unwrap();
                target
            })
            .collect();
        for (i, target) in targets.iter().enumerate() {
            target.make_call(i as i64);
        }
        for (i, target) in targets.iter().enumerate() {
            assert_eq!(target.result(), i as i64);
        }
        assert_eq!(supervisor.stats().listeners, listeners as u64);
        targets.into_iter().for_each(Target::end);
        soon(|| supervisor.stats().listeners == 0);
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        drop(supervisor);
        assert_eq!(entries("fd"), before);
    });
}

#[test]
fn threads_add_listeners_that_close_while_it_runs() {
    alone(|| {
        let supervisor = supervisor(workers(4).keep_running(true), echo);
        supervisor.start().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..50 {
                        let (target, listener) = Target::serves();
                        supervisor.add_listener(listener, 0).unwrap();
                        target.make_call(i);
                        assert_eq!(target.result(), i);
                        // Half of them die in the middle of a call.
                        if i % 2 == 0 {
                            target.end();
                        } else {
                            target.make_call(i);
                        }
                    }
                });
            }
        });
        soon(|| supervisor.stats().listeners == 0);
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
    });
}
