//! Copies of the supervising process: what they inherit is the parent's.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use support::{alone, echo, slowed, status, supervisor, Process, Target, MOMENT};
use unotify::{Status, Supervisor, SupervisorOptions, Verdict};

/// Runs `body` in a copy of this process, to its end.
fn in_a_copy(body: impl FnOnce()) {
    let mut copy = Process::fork(|| {
        body();
        0
    });
    assert_eq!(copy.wait(), 0);
}

/// How much processor time this process has used.
fn processor_time() -> Duration {
    // SAFETY: plain numbers, for which zero is a value; the call fills them in.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut used), 0);
        used
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(used.ru_utime) + time(used.ru_stime)
}

#[test]
fn a_notification_that_a_copy_drops_is_answered_by_the_parent() {
    alone(|| {
        let (target, listener) = Target::calls_once(7);
        let (mut notification, mut listener) = (Some(listener.receive().unwrap()), Some(listener));
        in_a_copy(|| {
            drop(notification.take());
            drop(listener.take());
        });
        notification.unwrap().reply_value(77).unwrap();
        assert_eq!(target.result(), 77);
    });
}

#[test]
fn a_notification_that_a_copy_receives_into_is_answered_by_the_parent() {
    alone(|| {
        let (target, listener) = Target::calls_once(7);
        let mut notification = listener.receive().unwrap();
        in_a_copy(|| {
            let nothing = listener.receive_into(&mut notification, Some(Duration::ZERO));
            assert_eq!(status(nothing), Status::Timeout);
        });
        notification.reply_value(77).unwrap();
        assert_eq!(target.result(), 77);
    });
}

#[test]
fn what_a_copy_answers_is_answered() {
    alone(|| {
        let (target, listener) = Target::calls_once(7);
        let mut notification = listener.receive().unwrap();
        in_a_copy(|| notification.reply_value(55).unwrap());
        assert_eq!(target.result(), 55);
        assert_eq!(status(notification.reply_value(77)), Status::Gone);
    });
}

#[test]
fn a_copy_answers_what_it_receives_and_drops() {
    alone(|| {
        let (target, listener) = Target::serves();
        in_a_copy(|| {
            target.make_call(1);
            listener.receive().unwrap().reply_value(5).unwrap();
            assert_eq!(target.result(), 5);
            target.make_call(2);
            drop(listener.receive().unwrap());
            assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        });
        target.make_call(3);
        listener.receive().unwrap().reply_value(6).unwrap();
        assert_eq!(target.result(), 6);
    });
}

#[test]
fn a_copy_does_not_wait_for_a_receiving_thread_that_it_does_not_have() {
    alone(|| {
        let (target, listener) = Target::serves();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut copy = std::thread::scope(|scope| {
            let receiver = scope.spawn(|| listener.receive().unwrap().reply_value(6));
            std::thread::sleep(MOMENT);
            let copy = Process::fork(|| {
                (&theirs).read_exact(&mut [0]).unwrap();
                let received = listener.receive_timeout(Duration::from_secs(5));
                received.unwrap().reply_value(9).unwrap();
                0
            });
            target.make_call(1);
            receiver.join().unwrap().unwrap();
            copy
        });
        assert_eq!(target.result(), 6);
        target.make_call(2);
        (&ours).write_all(&[0]).unwrap();
        assert_eq!(target.result(), 9);
        assert_eq!(copy.wait(), 0);
    });
}

#[test]
fn receiving_is_interrupted_in_a_copy_too() {
    alone(|| {
        let (_target, listener) = Target::serves();
        // What a thread once did in the parent is not to be taken for done in the copy.
        let nothing = listener.receive_timeout(Duration::ZERO);
        assert_eq!(status(nothing), Status::Timeout);
        in_a_copy(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(MOMENT);
                    listener.set_interrupted(true);
                });
                assert_eq!(status(listener.receive()), Status::Stopped);
            });
        });
        listener.set_interrupted(true);
        in_a_copy(|| assert_eq!(status(listener.receive()), Status::Stopped));
    });
}

/// A supervisor that was started, seen from a copy of its process. It waits for two listeners, with
/// epoll, as what it waits for there is shared with the copy.
fn with_a_running_supervisor(max_workers: usize, in_the_copy: impl Fn(&mut Option<Supervisor>)) {
    alone(|| {
        let (target, listener) = Target::serves();
        let (idle, of_idle) = Target::serves();
        let options = SupervisorOptions::default().max_workers(max_workers);
        let mut supervisor = Some(supervisor(options, echo));
        let running = supervisor.as_ref().unwrap();
        running.add_listener(listener, 0).unwrap();
        running.add_listener(of_idle, 0).unwrap();
        running.start().unwrap();
        target.make_call(1);
        assert_eq!(target.result(), 1);
        in_a_copy(|| in_the_copy(&mut supervisor));
        let before = processor_time();
        std::thread::sleep(10 * MOMENT);
        let used = processor_time() - before;
        assert!(used < slowed(MOMENT), "idle, it used {used:?}");
        target.make_call(2);
        assert_eq!(target.result(), 2);
        target.end();
        idle.end();
        supervisor.unwrap().join().unwrap();
    });
}

#[test]
fn a_copy_that_stops_a_supervisor_stops_nothing() {
    with_a_running_supervisor(1, |supervisor| supervisor.as_ref().unwrap().stop());
}

#[test]
fn a_copy_that_drops_a_supervisor_stops_nothing() {
    with_a_running_supervisor(1, |supervisor| drop(supervisor.take()));
}

#[test]
fn a_copy_that_drops_a_supervisor_of_several_workers_stops_nothing() {
    with_a_running_supervisor(4, |supervisor| drop(supervisor.take()));
}

#[test]
fn a_copy_cannot_run_a_supervisor_nor_add_to_it() {
    with_a_running_supervisor(1, |supervisor| {
        let supervisor = supervisor.as_ref().unwrap();
        let (target, listener) = Target::serves();
        let added = supervisor.add_listener(listener, 0);
        drop(target);
        let set = supervisor.on("getpid", |_| Verdict::Handled);
        for refused in [
            added,
            set,
            supervisor.run(),
            supervisor.start(),
            supervisor.join(),
            supervisor.dispatch().map(drop),
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.to_string().contains("forked"), "{error}");
        }
    });
}

#[test]
fn a_copy_makes_a_supervisor_of_its_own() {
    with_a_running_supervisor(1, |inherited| {
        let (target, listener) = Target::serves();
        let own = supervisor(SupervisorOptions::default(), echo);
        own.add_listener(listener, 0).unwrap();
        own.start().unwrap();
        target.make_call(3);
        assert_eq!(target.result(), 3);
        drop(inherited.take());
        target.make_call(4);
        assert_eq!(target.result(), 4);
        own.stop();
        assert_eq!(status(own.join()), Status::Stopped);
    });
}
