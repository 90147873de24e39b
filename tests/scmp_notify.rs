//! libseccomp's notification types beside the safe ones.

mod support;

use std::os::fd::AsRawFd;
use support::*;
use unotify::scmp::{
    ScmpArch, ScmpNotifData, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall,
};
use unotify::{Notification, Request, Status};

const NONE: ScmpNotifRespFlags = ScmpNotifRespFlags::empty();

/// Runs a test with a notification whose first argument is 7, and gives what the call returned.
fn with_notification(test: impl FnOnce(&mut Notification)) -> i64 {
    watched(|| {
        let (target, listener) = Target::calls_once(7);
        let mut notification = listener.receive().unwrap();
        test(&mut notification);
        drop(notification);
        target.result()
    })
}

#[test]
fn a_request_is_the_same_in_libseccomps_terms() {
    with_notification(|n| {
        let request = ScmpNotifReq::try_from(n.request()).unwrap();
        assert_eq!(request.id, n.request().id);
        assert_eq!(request.pid as libc::pid_t, n.request().pid);
        assert_eq!(request.data.syscall, ScmpSyscall::from(CALL as i32));
        assert_eq!(request.data.arch, ScmpArch::native());
        assert_eq!(request.data.args[0], 7);
        assert_ne!(request.data.instr_pointer, 0);
        assert_eq!(ScmpNotifData::try_from(n.request()).unwrap(), request.data);
    });
}

#[test]
fn a_request_comes_back_as_it_was() {
    with_notification(|n| {
        let request = ScmpNotifReq::try_from(n.request()).unwrap();
        assert_eq!(Request::from(&request), *n.request());
    });
}

#[test]
fn what_was_received_by_number_is_the_same_request_in_both_terms() {
    watched(|| {
        let (target, listener) = Target::calls_once(7);
        let received = ScmpNotifReq::receive(listener.as_raw_fd()).unwrap();
        let request = Request::from(&received);
        assert_eq!(request.syscall, CALL as i32);
        assert_eq!(request.args[0], 7);
        assert_eq!(ScmpNotifReq::try_from(&request).unwrap(), received);
        ScmpNotifResp::new_val(received.id, 1, NONE)
            .respond(listener.as_raw_fd())
            .unwrap();
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn an_architecture_of_no_name_is_an_error() {
    let request = Request {
        arch: 12345,
        ..Request::default()
    };
    let error = ScmpNotifReq::try_from(&request).unwrap_err();
    assert_eq!(error.raw_ffi_value(), Some(12345));
}

#[test]
fn a_response_with_a_value_answers() {
    let result = with_notification(|n| {
        let response = ScmpNotifResp::new_val(n.request().id, 42, NONE);
        n.respond(response).unwrap();
        assert_eq!(status(n.respond(response)), Status::Answered);
    });
    assert_eq!(result, 42);
}

#[test]
fn a_response_with_an_error_answers() {
    let result = with_notification(|n| {
        let response = ScmpNotifResp::new_error(n.request().id, -libc::EROFS, NONE);
        n.respond(response).unwrap();
    });
    assert_eq!(result, -i64::from(libc::EROFS));
}

#[test]
fn a_response_that_continues_lets_the_kernel_answer() {
    let result = with_notification(|n| {
        let response = ScmpNotifResp::new_continue(n.request().id, NONE);
        n.respond(response).unwrap();
    });
    assert_eq!(result, i64::from(std::process::id()));
}

#[test]
fn a_response_to_another_notification_answers_nobody() {
    let result = with_notification(|n| {
        let id = n.request().id;
        let other = ScmpNotifResp::new_val(id ^ 1, 42, NONE);
        assert_eq!(status(n.respond(other)), Status::InvalidArgument);
        n.check_valid().unwrap();
        n.respond(ScmpNotifResp::new_val(id, 5, NONE)).unwrap();
    });
    assert_eq!(result, 5);
}

#[test]
fn a_response_that_the_kernel_would_not_take_answers_nobody() {
    let result = with_notification(|n| {
        let id = n.request().id;
        let go_on = ScmpNotifRespFlags::CONTINUE.bits();
        for (val, error, flags) in [
            (0, libc::EPERM, 0),
            (0, -4096, 0),
            (0, i32::MIN, 0),
            (0, 0, 1 << 31),
            (1, 0, go_on),
            (0, -libc::EPERM, go_on),
        ] {
            let response = ScmpNotifResp::new(id, val, error, flags);
            let outcome = status(n.respond(response));
            assert_eq!(outcome, Status::InvalidArgument, "{response:?}");
            n.check_valid().unwrap();
        }
        n.reply_value(5).unwrap();
    });
    assert_eq!(result, 5);
}

#[test]
fn an_error_comes_before_a_value_as_in_the_kernel() {
    let result = with_notification(|n| {
        let response = ScmpNotifResp::new(n.request().id, 42, -libc::EROFS, 0);
        n.respond(response).unwrap();
    });
    assert_eq!(result, -i64::from(libc::EROFS));
}
