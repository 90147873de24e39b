//! Signals that the supervisor's thread takes while it gives a target a descriptor.

mod support;

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use support::*;
use unotify::{LoadFlags, Notification};

/// Between two signals.
const EVERY: Duration = Duration::from_micros(100);

/// For how long a test tries, and how often at least.
const TRIES: Duration = Duration::from_secs(4);
const ENOUGH: i64 = 100;

/// Signals to the thread that made it, until it is dropped.
struct Signals(libc::timer_t);

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: our timer.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Has the calling thread take signals.
fn take_signals(flags: libc::c_int) -> Signals {
    handle(libc::SIGALRM, nothing, flags);
    // SAFETY: plain structures, for which zero is a value.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = thread_id();
        let mut timer = std::mem::zeroed();
        assert_eq!(
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer),
            0
        );
        let every = libc::timespec {
            tv_sec: 0,
            tv_nsec: EVERY.as_nanos() as i64,
        };
        let period = libc::itimerspec {
            it_interval: every,
            it_value: every,
        };
        assert_eq!(
            libc::timer_settime(timer, 0, &period, std::ptr::null_mut()),
            0
        );
        Signals(timer)
    }
}

/// The argument of a call that asks for no descriptor, and ends the test.
const LAST: u64 = 1;

/// Asks again and again for a descriptor, which comes at the same number each time, and tells how
/// often it asked, and how often it got something else.
fn ask_for_descriptors(channel: &Channel) {
    let first = call(CALL, [0; 3]);
    assert!(first > 2);
    let (mut asked, mut wrong) = (1, 0);
    while !channel.said_something() {
        // SAFETY: it was given to us.
        unsafe { libc::close(first as i32) };
        asked += 1;
        wrong += i64::from(call(CALL, [0; 3]) != first);
    }
    call(CALL, [LAST, 0, 0]);
    channel.tell(asked);
    channel.tell(wrong);
}

/// Answers a target's calls with `reply` on a thread that takes signals with these flags.
fn try_for_seconds(flags: libc::c_int, mut reply: impl FnMut(&mut Notification, &File)) {
    alone(|| {
        let filter = notifying(&["getppid"]);
        let (target, listener) = Target::under(&filter, LoadFlags::empty(), ask_for_descriptors);
        let file = File::open("/proc/self/status").unwrap();
        let mut notification = listener.receive().unwrap();
        let signals = take_signals(flags);
        let (mut answered, mut told) = (0, false);
        let begun = Instant::now();
        while notification.request().args[0] != LAST {
            reply(&mut notification, &file);
            answered += 1;
            if !told && begun.elapsed() > briefly(TRIES) && answered > ENOUGH {
                target.channel.tell(0);
                told = true;
            }
            listener.receive_into(&mut notification, None).unwrap();
        }
        notification.reply_value(0).unwrap();
        drop(signals);
        let (asked, wrong) = (target.channel.hear(), target.channel.hear());
        assert_eq!((asked, wrong), (answered, 0));
    });
}

fn reply_fd(notification: &mut Notification, file: &File) {
    notification.reply_fd(file.as_fd(), true).unwrap();
}

fn add_fd_and_reply(notification: &mut Notification, file: &File) {
    let number = notification.add_fd(file.as_fd(), None, true).unwrap();
    notification.reply_value(number.into()).unwrap();
}

#[test]
fn no_signal_comes_between_a_descriptor_and_the_answer() {
    try_for_seconds(0, reply_fd);
}

#[test]
fn no_signal_with_restart_comes_between_a_descriptor_and_the_answer() {
    try_for_seconds(libc::SA_RESTART, reply_fd);
}

#[test]
fn a_descriptor_is_added_once_whatever_signals_come() {
    try_for_seconds(0, add_fd_and_reply);
}

#[test]
fn a_descriptor_is_added_once_whatever_signals_with_restart_come() {
    try_for_seconds(libc::SA_RESTART, add_fd_and_reply);
}
