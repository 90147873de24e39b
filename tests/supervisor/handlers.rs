//! Which handler is called, and what becomes of the target whatever it does.

use crate::support::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use unotify::*;

const ENOSYS: i64 = -(libc::ENOSYS as i64);

/// A target that makes these calls and tells what each returned.
fn calling(filter: &[&str], calls: &'static [libc::c_long]) -> (Target, Listener) {
    Target::under(&notifying(filter), LoadFlags::empty(), move |channel| {
        for &nr in calls {
            channel.tell(call(nr, [7, 0, 0]));
        }
    })
}

/// A handler that returns this value.
fn value(value: i64) -> impl Fn(&mut Notification) -> Verdict + Send + Sync + 'static {
    move |notification| {
        let _ = notification.reply_value(value);
        Verdict::Handled
    }
}

/// Runs until the target has ended.
fn run_to_the_end(supervisor: &Supervisor, listener: Listener) {
    supervisor.add_listener(listener, 0).unwrap();
    supervisor.run().unwrap();
}

/// What one call returns under this handler, and a second one which the supervisor still answers.
fn under_handler<F>(handler: F) -> (i64, i64)
where
    F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
{
    let supervisor = supervisor(SupervisorOptions::default(), handler);
    supervisor.on("getuid", value(99)).unwrap();
    let (target, listener) = calling(&["getppid", "getuid"], &[CALL, libc::SYS_getuid]);
    run_to_the_end(&supervisor, listener);
    (target.result(), target.result())
}

#[test]
fn each_call_goes_to_its_handler() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), value(1));
        supervisor.on("getuid", value(2)).unwrap();
        let calls = &[libc::SYS_getuid, CALL, libc::SYS_getuid];
        let (target, listener) = calling(&["getppid", "getuid"], calls);
        run_to_the_end(&supervisor, listener);
        assert_eq!(
            [target.result(), target.result(), target.result()],
            [2, 1, 2]
        );
    });
}

#[test]
fn the_default_handler_gets_calls_without_a_handler() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), value(1));
        supervisor.on_default(value(3)).unwrap();
        let (target, listener) = calling(&["getppid", "getgid"], &[libc::SYS_getgid, CALL]);
        run_to_the_end(&supervisor, listener);
        assert_eq!((target.result(), target.result()), (3, 1));
    });
}

#[test]
fn the_default_handler_gets_what_a_handler_does_not_want() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |_| Verdict::NotHandled);
        supervisor.on_default(value(3)).unwrap();
        let (target, listener) = Target::calls_once(0);
        run_to_the_end(&supervisor, listener);
        assert_eq!(target.result(), 3);
    });
}

#[test]
fn handlers_of_a_call_are_asked_in_order_until_one_handles_it() {
    watched(|| {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let handler = |number: usize, wants: bool| {
            let asked = Arc::clone(&asked);
            move |n: &mut Notification| {
                asked.lock().unwrap().push(number);
                if !wants {
                    return Verdict::NotHandled;
                }
                n.reply_value(number as i64).unwrap();
                Verdict::Handled
            }
        };
        let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
        // Another call's are not asked, nor is one after that which handles it.
        supervisor.on("getpid", handler(9, true)).unwrap();
        for number in 0..2 {
            supervisor.on("getppid", handler(number, false)).unwrap();
        }
        for number in 2..5 {
            supervisor.on_default(handler(number, number == 3)).unwrap();
        }
        let (target, listener) = Target::calls_once(0);
        run_to_the_end(&supervisor, listener);
        assert_eq!(target.result(), 3);
        assert_eq!(*asked.lock().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_handler_that_answered_and_does_not_want_it_has_answered() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |n| {
            n.reply_value(1).unwrap();
            Verdict::NotHandled
        });
        supervisor.on_default(|_| panic!("not for me")).unwrap();
        let (target, listener) = Target::calls_once(0);
        run_to_the_end(&supervisor, listener);
        assert_eq!(target.result(), 1);
        assert_eq!(supervisor.stats().panics, 0);
    });
}

#[test]
fn what_no_handler_wants_gets_enosys() {
    watched(|| {
        assert_eq!(under_handler(|_| Verdict::NotHandled), (ENOSYS, 99));
    });
}

#[test]
fn a_call_without_a_handler_gets_enosys() {
    watched(|| {
        let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
        let (target, listener) = Target::calls_once(0);
        run_to_the_end(&supervisor, listener);
        assert_eq!(target.result(), ENOSYS);
    });
}

#[test]
fn what_no_handler_wants_gets_the_error_chosen() {
    watched(|| {
        let options = SupervisorOptions::default().fallback_error(libc::EPERM);
        let supervisor = Supervisor::new(options).unwrap();
        let (target, listener) = Target::calls_once(0);
        run_to_the_end(&supervisor, listener);
        assert_eq!(target.result(), -i64::from(libc::EPERM));
    });
}

#[test]
fn a_handler_that_returns_without_answering_leaves_the_fallback_error() {
    watched(|| {
        assert_eq!(under_handler(|_| Verdict::Handled), (ENOSYS, 99));
    });
}

#[test]
fn a_handler_that_panics_leaves_the_fallback_error() {
    alone(|| {
        std::panic::set_hook(Box::new(|_| ()));
        assert_eq!(under_handler(|_| panic!("on purpose")), (ENOSYS, 99));
    });
}

#[test]
fn a_handler_that_panics_after_its_answer_has_answered() {
    alone(|| {
        std::panic::set_hook(Box::new(|_| ()));
        let answered = under_handler(|n| {
            n.reply_value(5).unwrap();
            panic!("on purpose")
        });
        assert_eq!(answered, (5, 99));
    });
}

#[test]
fn a_handler_whose_panic_panics_again_leaves_the_fallback_error() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    alone(|| {
        std::panic::set_hook(Box::new(|_| ()));
        let answered = under_handler(|_| std::panic::panic_any(Bomb));
        assert_eq!(answered, (ENOSYS, 99));
    });
}

#[test]
fn a_handler_that_fails_leaves_the_fallback_error_and_ends_the_run() {
    for max_workers in [1, 4] {
        watched(move || {
            let options = SupervisorOptions::default().max_workers(max_workers);
            let supervisor = supervisor(options, |_| Verdict::Failed);
            let (target, listener) = Target::calls_once(0);
            supervisor.add_listener(listener, 0).unwrap();
            let error = supervisor.run().unwrap_err();
            assert_eq!(error.status(), Status::Handler);
            assert_eq!(target.result(), ENOSYS);
            let stats = supervisor.stats();
            assert_eq!((stats.failed, stats.fallbacks, stats.panics), (1, 1, 0));
        });
    }
}

#[test]
fn a_handler_that_answers_and_fails_has_answered() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |n| {
            n.reply_value(5).unwrap();
            Verdict::Failed
        });
        let (target, listener) = Target::calls_once(0);
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.run()), Status::Handler);
        assert_eq!(target.result(), 5);
    });
}

#[test]
fn after_a_failure_what_comes_waits_for_the_next_run() {
    watched(|| {
        let failing = AtomicBool::new(true);
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            if failing.swap(false, Ordering::SeqCst) {
                return Verdict::Failed;
            }
            n.reply_value(5).unwrap();
            Verdict::Handled
        });
        let (target, listener) = calling(&["getppid"], &[CALL, CALL]);
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.run()), Status::Handler);
        supervisor.run().unwrap();
        assert_eq!((target.result(), target.result()), (ENOSYS, 5));
    });
}

#[test]
fn the_failure_of_a_default_handler_counts_as_well() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |_| Verdict::NotHandled);
        supervisor.on_default(|_| Verdict::Failed).unwrap();
        let (target, listener) = Target::calls_once(0);
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.run()), Status::Handler);
        assert_eq!(target.result(), ENOSYS);
    });
}

#[test]
fn the_failure_of_a_handler_in_the_background_is_told_by_join() {
    for max_workers in [1, 4] {
        watched(move || {
            let options = SupervisorOptions::default()
                .max_workers(max_workers)
                .keep_running(true);
            let supervisor = supervisor(options, |_| Verdict::Failed);
            let (target, listener) = Target::calls_once(0);
            supervisor.add_listener(listener, 0).unwrap();
            supervisor.start().unwrap();
            assert_eq!(target.result(), ENOSYS);
            assert_eq!(status(supervisor.join()), Status::Handler);
        });
    }
}

#[test]
fn a_failure_after_a_stop_is_told_and_stops_no_other_run() {
    watched(|| {
        let supervisor = Arc::new(Supervisor::new(SupervisorOptions::default()).unwrap());
        let stopped = Arc::downgrade(&supervisor);
        let failing = AtomicBool::new(true);
        supervisor
            .on("getppid", move |n| {
                if failing.swap(false, Ordering::SeqCst) {
                    stopped.upgrade().unwrap().stop();
                    return Verdict::Failed;
                }
                n.reply_value(5).unwrap();
                Verdict::Handled
            })
            .unwrap();
        let (target, listener) = calling(&["getppid"], &[CALL, CALL]);
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.run()), Status::Handler);
        supervisor.run().unwrap();
        assert_eq!((target.result(), target.result()), (ENOSYS, 5));
    });
}

#[test]
fn an_event_loop_is_told_of_a_failure() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |_| Verdict::Failed);
        let (target, listener) = Target::calls_once(0);
        supervisor.add_listener(listener, 0).unwrap();
        let failed = loop {
            match supervisor.dispatch() {
                Ok(_) => thread::yield_now(),
                Err(error) => break error.status(),
            }
        };
        assert_eq!(failed, Status::Handler);
        assert_eq!(target.result(), ENOSYS);
    });
}

#[test]
fn a_handler_that_answers_twice_has_answered_once() {
    watched(|| {
        let answered = under_handler(|n| {
            n.reply_value(5).unwrap();
            assert_eq!(status(n.reply_value(6)), Status::Answered);
            assert_eq!(status(n.reply_error(7)), Status::Answered);
            Verdict::Handled
        });
        assert_eq!(answered, (5, 99));
    });
}

#[test]
fn a_notification_taken_away_is_answered_later_by_another_thread() {
    watched(|| {
        let (keep, kept) = channel();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            keep.send(n.take().unwrap()).unwrap();
            Verdict::Handled
        });
        supervisor.on("getuid", value(99)).unwrap();
        let (target, listener) = Target::under(
            &notifying(&["getppid", "getuid"]),
            LoadFlags::empty(),
            |c| {
                let waits = thread::spawn(|| call(CALL, [0; 3]));
                c.hear();
                c.tell(call(libc::SYS_getuid, [0; 3]));
                c.tell(waits.join().unwrap());
            },
        );
        thread::scope(|scope| {
            let run = scope.spawn(|| run_to_the_end(&supervisor, listener));
            let mut notification: Notification = kept.recv().unwrap();
            assert_eq!(supervisor.stats().deferred_outstanding, 1);
            target.channel.tell(0);
            assert_eq!(target.result(), 99);
            notification.reply_value(5).unwrap();
            assert_eq!(target.result(), 5);
            run.join().unwrap();
            drop(notification);
        });
        assert_eq!(supervisor.stats().deferred, 1);
        assert_eq!(supervisor.stats().deferred_outstanding, 0);
    });
}

#[test]
fn a_notification_taken_away_and_dropped_gets_the_fallback_error() {
    watched(|| {
        let answered = under_handler(|n| {
            drop(n.take().unwrap());
            Verdict::Handled
        });
        assert_eq!(answered, (ENOSYS, 99));
    });
}

#[test]
fn a_notification_taken_away_outlives_the_supervisor() {
    watched(|| {
        let (keep, kept) = channel();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            keep.send(n.take().unwrap()).unwrap();
            Verdict::Handled
        });
        let (target, listener) = Target::calls_once(0);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        let mut notification: Notification = kept.recv().unwrap();
        drop(supervisor);
        notification.reply_value(5).unwrap();
        assert_eq!(target.result(), 5);
    });
}

#[test]
fn a_notification_shows_the_tag_of_its_listener() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |n| {
            let tag = n.tag() as i64;
            n.reply_value(tag).unwrap();
            Verdict::Handled
        });
        let (one, of_one) = Target::calls_once(0);
        let (two, of_two) = Target::calls_once(0);
        supervisor.add_listener(of_one, 11).unwrap();
        supervisor.add_listener(of_two, 22).unwrap();
        supervisor.run().unwrap();
        assert_eq!((one.result(), two.result()), (11, 22));
    });
}

#[test]
fn a_target_killed_while_its_handler_runs_leaves_the_supervisor_running() {
    watched(|| {
        let (mut dies, of_dying) = Target::calls_once(0);
        let (lives, of_living) = Target::serves();
        let pid = dies.process.pid;
        let seen = Arc::new(Mutex::new(None));
        let see = Arc::clone(&seen);
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            if n.request().pid == pid {
                // SAFETY: integers only. It is waited for below, so it is a zombie at most.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                soon(|| n_is_gone(pid));
                *see.lock().unwrap() = Some(status(n.reply_value(1)));
                return Verdict::Handled;
            }
            echo(n)
        });
        supervisor.add_listener(of_dying, 0).unwrap();
        supervisor.add_listener(of_living, 0).unwrap();
        supervisor.start().unwrap();
        assert_eq!(dies.process.wait(), -libc::SIGKILL);
        lives.make_call(3);
        assert_eq!(lives.result(), 3);
        lives.end();
        supervisor.join().unwrap();
        assert_eq!(*seen.lock().unwrap(), Some(Status::Gone));
        assert_eq!(supervisor.stats().gone, 1);
    });

    fn n_is_gone(pid: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
            stat.rsplit(')').next().unwrap().starts_with(" Z")
        })
    }
}

#[test]
fn an_unknown_system_call_is_refused_by_name() {
    watched(|| {
        let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
        let error = supervisor.on("opennat", value(0)).unwrap_err();
        assert_eq!(error.status(), Status::UnknownSyscall);
        assert!(error.to_string().contains("opennat"), "{error}");
    });
}

#[test]
fn handlers_cannot_be_set_while_the_supervisor_runs() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        let set = supervisor.on("getuid", value(0));
        assert_eq!(status(set), Status::InvalidArgument);
        let set = supervisor.on_default(value(0));
        assert_eq!(status(set), Status::InvalidArgument);
        target.end();
        supervisor.join().unwrap();
        supervisor.on("getuid", value(0)).unwrap();
    });
}
