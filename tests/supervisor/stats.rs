//! What a supervisor counts.

use crate::support::*;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use unotify::*;

#[test]
fn nothing_has_happened_at_first() {
    let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
    assert_eq!(supervisor.stats(), Stats::default());
}

#[test]
fn answers_are_counted_by_kind() {
    alone(|| {
        std::panic::set_hook(Box::new(|_| ()));
        let supervisor = supervisor(SupervisorOptions::default(), |n| {
            match n.request().args[0] {
                0 => n.reply_value(1).unwrap(),
                1 | 2 => n.reply_error(libc::EDOM).unwrap(),
                3..=5 => n.reply_continue().unwrap(),
                6 => panic!("on purpose"),
                7 => return Verdict::NotHandled,
                8 => drop(n.take().unwrap()),
                _ => {}
            }
            Verdict::Handled
        });
        let (target, listener) = Target::start(|_| {
            for i in 0..10 {
                call(CALL, [i, 0, 0]);
            }
        });
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(supervisor.stats().listeners, 1);
        supervisor.run().unwrap();
        target.end();
        let stats = supervisor.stats();
        assert_eq!(stats.received, 10);
        assert_eq!((stats.values, stats.errors, stats.continued), (1, 2, 3));
        // One of them was deferred first.
        assert_eq!((stats.fallbacks, stats.panics, stats.deferred), (4, 1, 1));
        assert_eq!(
            (stats.gone, stats.fds, stats.deferred_outstanding),
            (0, 0, 0)
        );
        assert_eq!((stats.listeners, stats.workers), (0, 0));
        assert!((1..=2).contains(&stats.workers_max));
    });
}

#[test]
fn an_answer_with_a_descriptor_is_counted() {
    watched(|| {
        let file = std::fs::File::open("/dev/null").unwrap();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            n.reply_fd(std::os::fd::AsFd::as_fd(&file), true).unwrap();
            Verdict::Handled
        });
        let (target, listener) = Target::calls_once(0);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.run().unwrap();
        assert!(target.result() >= 0);
        assert_eq!(supervisor.stats().fds, 1);
    });
}

#[test]
fn what_becomes_of_a_deferred_notification_is_counted_when_it_is_answered() {
    watched(|| {
        let (keep, kept) = channel();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            keep.send(n.take().unwrap()).unwrap();
            Verdict::Handled
        });
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        let answers: [fn(&mut Notification); 4] = [
            |n| n.reply_value(1).unwrap(),
            |n| n.reply_error(libc::EPERM).unwrap(),
            |n| n.reply_continue().unwrap(),
            |_| (),
        ];
        let counted = |stats: Stats| {
            [
                stats.values,
                stats.errors,
                stats.continued,
                stats.fallbacks,
                stats.deferred_outstanding,
            ]
        };
        for (i, answer) in answers.into_iter().enumerate() {
            target.make_call(0);
            let mut notification = kept.recv().unwrap();
            soon(|| supervisor.stats().deferred == i as u64 + 1);
            let mut expected = [0; 5];
            expected[..i].fill(1);
            expected[4] = 1;
            assert_eq!(counted(supervisor.stats()), expected);
            answer(&mut notification);
            if i < 3 {
                // Before it is dropped.
                expected[i] = 1;
                assert_eq!(counted(supervisor.stats()), expected);
            }
            drop(notification);
            expected[i] = 1;
            expected[4] = 0;
            assert_eq!(counted(supervisor.stats()), expected);
            target.result();
        }
        target.end();
        supervisor.join().unwrap();
    });
}

#[test]
fn a_deferred_notification_whose_target_dies_is_counted_as_gone() {
    watched(|| {
        let (keep, kept) = channel();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            keep.send(n.take().unwrap()).unwrap();
            Verdict::Handled
        });
        let (mut target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        target.make_call(0);
        let mut notification = kept.recv().unwrap();
        target.process.kill();
        assert_eq!(status(notification.reply_value(1)), Status::Gone);
        assert_eq!(supervisor.stats().gone, 1);
        drop(notification);
        assert_eq!(supervisor.stats().gone, 1);
        supervisor.join().unwrap();
    });
}

#[test]
fn deferred_notifications_are_outstanding_until_they_are_dropped() {
    watched(|| {
        let (keep, kept) = channel();
        let supervisor = supervisor(SupervisorOptions::default(), move |n| {
            keep.send(n.take().unwrap()).unwrap();
            Verdict::Handled
        });
        let targets: Vec<_> = (0..3)
            .map(|i| {
                let (target, listener) = Target::calls_once(i);
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        supervisor.start().unwrap();
        let mut held: Vec<Notification> = kept.iter().take(3).collect();
        soon(|| supervisor.stats().deferred == 3);
        // Taken twice, it is still one.
        let again = held[0].take().unwrap();
        held[0] = again;
        assert_eq!(supervisor.stats().deferred_outstanding, 3);
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in held.iter_mut().rev() {
                    n.reply_value(n.request().args[0] as i64).unwrap();
                }
            });
        });
        for (i, target) in targets.iter().enumerate() {
            assert_eq!(target.result(), i as i64);
        }
        for left in (0..3).rev() {
            held.pop();
            assert_eq!(supervisor.stats().deferred_outstanding, left);
        }
        supervisor.join().unwrap();
    });
}

#[test]
fn the_slowest_handler_is_told() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |n| {
            if n.request().args[0] == 3 {
                thread::sleep(Duration::from_millis(20));
            }
            echo(n)
        });
        let (target, listener) = Target::repeats();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        target.repeat(10);
        let slowest = supervisor.stats().slowest_handler;
        assert!(slowest >= Duration::from_millis(20), "{slowest:?}");
        assert!(slowest < slowed(Duration::from_secs(5)), "{slowest:?}");
    });
}

#[test]
fn what_is_taken_when_it_is_answered_is_counted_as_answered() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), |n| {
            let _ = n.reply_value(1);
            drop(n.take().unwrap());
            Verdict::Handled
        });
        let (target, listener) = Target::calls_once(0);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.run().unwrap();
        assert_eq!(target.result(), 1);
        let stats = supervisor.stats();
        assert_eq!((stats.received, stats.values, stats.deferred), (1, 1, 1));
        assert_eq!(stats.deferred_outstanding, 0);
    });
}
