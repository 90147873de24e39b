//! Calls of another architecture than the filter's own: none slips past a rule.

#![cfg(target_arch = "x86_64")]

mod support;

use std::arch::asm;
use support::*;
use unotify::*;

/// getppid(2) of 32-bit programs.
const GETPPID_32: i32 = 64;

/// The architecture of 32-bit programs as the kernel tells it.
const AUDIT_ARCH_I386: u32 = 0x4000_0003;

/// Makes a system call the way that 32-bit programs do. A program of 64 bits may.
fn call_32(nr: i32, arg: u32) -> i32 {
    let result: i32;
    // SAFETY: the calls made here take integers. Other registers than the result are kept, but
    // for those named; rbx may not be named, and is put back.
    unsafe {
        asm!(
            "xchg {arg:r}, rbx",
            "int 0x80",
            "xchg {arg:r}, rbx",
            arg = inout(reg) u64::from(arg) => _,
            inlateout("eax") nr => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

/// A target whose calls are of 32 bits.
fn target_32(filter: &ScmpFilterContext) -> (Target, Listener) {
    Target::under(filter, LoadFlags::empty(), |channel| {
        channel.tell(i64::from(call_32(GETPPID_32, 5)));
    })
}

#[test]
fn a_32_bit_call_kills_the_target_of_a_64_bit_filter() {
    watched(|| {
        let (mut target, listener) = target_32(&notifying(&["getppid"]));
        assert_eq!(target.process.wait(), -libc::SIGSYS);
        assert_eq!(status(listener.receive()), Status::Closed);
    });
}

#[test]
fn a_32_bit_call_gets_the_bad_architecture_action_chosen() {
    watched(|| {
        let mut filter = notifying(&["getppid"]);
        filter
            .set_act_badarch(ScmpAction::Errno(libc::EXDEV))
            .unwrap();
        let (target, _listener) = target_32(&filter);
        assert_eq!(target.result(), -i64::from(libc::EXDEV));
    });
}

/// A filter for both.
fn both() -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    filter.add_arch(ScmpArch::X86).unwrap();
    let getppid = ScmpSyscall::from_name("getppid").unwrap();
    filter.add_rule(ScmpAction::Notify, getppid).unwrap();
    filter
}

#[test]
fn a_32_bit_call_is_notified_with_its_own_architecture_and_number() {
    watched(|| {
        let (target, listener) = target_32(&both());
        let mut notification = listener.receive().unwrap();
        let request = notification.request();
        assert_eq!(request.arch, AUDIT_ARCH_I386);
        assert_eq!(request.syscall, GETPPID_32);
        assert_eq!(request.args[0], 5);
        notification.reply_value(6).unwrap();
        assert_eq!(target.result(), 6);
    });
}

#[test]
fn a_32_bit_call_goes_to_the_handler_of_its_name() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::under(&both(), LoadFlags::empty(), |channel| {
            channel.tell(i64::from(call_32(GETPPID_32, 5)));
            channel.tell(call(CALL, [7, 0, 0]));
        });
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.run().unwrap();
        assert_eq!((target.result(), target.result()), (5, 7));
    });
}

/// connect(2) of 32-bit programs, for which there is socketcall(2) as well.
const CONNECT_32: i32 = 362;

#[test]
fn a_32_bit_call_on_sockets_goes_to_its_handler_by_its_own_number() {
    watched(|| {
        let supervisor = Supervisor::new(SupervisorOptions::default()).unwrap();
        supervisor
            .on("connect", |call| {
                let _ = call.reply_value(9);
                Verdict::Handled
            })
            .unwrap();
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
        filter.add_arch(ScmpArch::compat()).unwrap();
        filter.notify_family("connect").unwrap();
        let (target, listener) = Target::under(&filter, LoadFlags::empty(), |channel| {
            channel.tell(i64::from(call_32(CONNECT_32, 5)));
        });
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.run().unwrap();
        assert_eq!(target.result(), 9);
    });
}

#[test]
fn a_call_with_the_x32_bit_kills_the_target() {
    watched(|| {
        let (mut target, _listener) =
            Target::start(|channel| channel.tell(call(CALL | 0x4000_0000, [0; 3])));
        assert_eq!(target.process.wait(), -libc::SIGSYS);
    });
}
