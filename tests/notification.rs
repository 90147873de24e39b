//! Notifications: what they tell, the ways to answer, and what becomes of them.

mod support;

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;
use support::*;
use unotify::*;

const ENOSYS: i64 = -(libc::ENOSYS as i64);

#[test]
fn a_request_tells_the_call() {
    watched(|| {
        let (target, listener) = Target::start(|channel| {
            channel.tell(call(CALL, [u64::MAX, 0x0123_4567_89ab_cdef, 3]));
        });
        let mut notification = listener.receive().unwrap();
        let request = *notification.request();
        assert_eq!(libc::c_long::from(request.syscall), CALL);
        assert_eq!(request.args[..3], [u64::MAX, 0x0123_4567_89ab_cdef, 3]);
        assert_eq!(request.pid, target.process.pid);
        const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
        assert!(!cfg!(target_arch = "x86_64") || request.arch == AUDIT_ARCH_X86_64);
        assert_ne!(request.arch, 0);
        assert_eq!(request.flags, 0);
        assert_ne!(request.instruction_pointer, 0);
        notification.reply_value(0).unwrap();
        target.result();
    });
}

#[test]
fn a_value_is_returned() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        notification.reply_value(0x12_3456_789a).unwrap();
        assert_eq!(target.result(), 0x12_3456_789a);
    });
}

#[test]
fn an_error_is_returned() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        notification.reply_error(libc::EPERM).unwrap();
        assert_eq!(target.result(), -i64::from(libc::EPERM));
    });
}

#[test]
fn an_error_out_of_range_leaves_the_target_waiting() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        for errnum in [0, -libc::EPERM, 4096, i32::MIN, i32::MAX] {
            let replied = notification.reply_error(errnum);
            assert_eq!(status(replied), Status::InvalidArgument);
            notification.check_valid().unwrap();
        }
        notification.reply_error(4095).unwrap();
        assert_eq!(target.result(), -4095);
    });
}

#[test]
fn a_continued_call_is_carried_out() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        listener.receive().unwrap().reply_continue().unwrap();
        assert_eq!(target.result(), i64::from(std::process::id()));
    });
}

#[test]
fn a_second_answer_is_refused() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        notification.reply_value(1).unwrap();
        assert_eq!(status(notification.reply_value(2)), Status::Answered);
        assert_eq!(status(notification.reply_error(1)), Status::Answered);
        assert_eq!(status(notification.reply_continue()), Status::Answered);
        assert_eq!(status(notification.check_valid()), Status::Answered);
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn an_answer_through_another_copy_of_the_listener_counts() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        let id = notification.request().id;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&listener);
        ScmpNotifResp::new_val(id, 8, ScmpNotifRespFlags::empty())
            .respond(fd)
            .unwrap();
        let late = status(notification.reply_value(9));
        assert!(matches!(late, Status::Answered | Status::Gone), "{late:?}");
        assert_eq!(target.result(), 8);
    });
}

#[test]
fn dropped_unanswered_the_call_gets_enosys() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        drop(listener.receive().unwrap());
        assert_eq!(target.result(), ENOSYS);
    });
}

#[test]
fn dropped_unanswered_the_call_gets_the_error_chosen() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let notification = listener.receive().unwrap();
        listener.set_fallback_error(libc::EACCES).unwrap();
        drop(notification);
        assert_eq!(target.result(), -i64::from(libc::EACCES));
    });
}

#[test]
fn dropped_by_a_panic_the_call_gets_the_error() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let notification = listener.receive().unwrap();
        let held = std::panic::AssertUnwindSafe(notification);
        std::panic::catch_unwind(move || {
            let _held = held;
            std::panic::resume_unwind(Box::new(()));
        })
        .unwrap_err();
        assert_eq!(target.result(), ENOSYS);
    });
}

#[test]
fn taken_away_it_is_answered_by_another_thread() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        let mut taken = notification.take().unwrap();
        assert_eq!(status(notification.reply_value(1)), Status::InvalidArgument);
        assert_eq!(status(notification.check_valid()), Status::InvalidArgument);
        drop(notification);
        thread::spawn(move || taken.reply_value(2).unwrap())
            .join()
            .unwrap();
        assert_eq!(target.result(), 2);
    });
}

#[test]
fn killed_in_the_middle_the_target_is_gone() {
    watched(|| {
        let (mut target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        notification.check_valid().unwrap();
        target.process.kill();
        assert_eq!(status(notification.check_valid()), Status::Gone);
        assert_eq!(status(notification.reply_value(1)), Status::Gone);
        assert_eq!(status(notification.reply_error(1)), Status::Gone);
        assert_eq!(status(notification.reply_continue()), Status::Gone);
    });
}

#[test]
fn killed_in_the_middle_the_first_answer_says_gone() {
    watched(|| {
        let (mut target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        target.process.kill();
        assert_eq!(status(notification.reply_value(1)), Status::Gone);
    });
}

#[test]
fn killed_before_it_is_received_the_call_is_passed_over() {
    watched(|| {
        let (target, listener) = Target::start(|channel| {
            let mut child = Process::fork(|| {
                call(CALL, [1, 0, 0]);
                0
            });
            until_in_call(child.pid, child.pid, CALL);
            child.kill();
            channel.tell(0);
            channel.tell(call(CALL, [2, 0, 0]));
        });
        target.result();
        let mut notification = listener.receive().unwrap();
        assert_eq!(notification.request().args[0], 2);
        notification.reply_value(3).unwrap();
        assert_eq!(target.result(), 3);
    });
}

/// How often the handler of SIGUSR1 ran in a target.
static SIGNALS: AtomicI64 = AtomicI64::new(0);

/// Installs that handler, with which an interrupted call is made again.
fn count_signals() {
    extern "C" fn count(_: libc::c_int) {
        SIGNALS.fetch_add(1, Ordering::SeqCst);
    }
    handle(libc::SIGUSR1, count, libc::SA_RESTART);
}

/// A target that makes the call and tells its value and how many signals came.
fn signalled(flags: LoadFlags) -> (Target, Listener) {
    Target::prepared(
        &notifying(&["getppid"]),
        flags,
        count_signals,
        |(), channel| {
            channel.tell(call(CALL, [0; 3]));
            channel.tell(SIGNALS.load(Ordering::SeqCst));
        },
    )
}

#[test]
fn a_signal_does_not_interrupt_a_call_that_waits_killably() {
    watched(|| {
        let (target, listener) = signalled(LoadFlags::empty());
        let mut notification = listener.receive().unwrap();
        target.process.signal(libc::SIGUSR1);
        thread::sleep(MOMENT);
        notification.check_valid().unwrap();
        notification.reply_value(5).unwrap();
        assert_eq!((target.result(), target.result()), (5, 1));
    });
}

#[test]
fn a_fatal_signal_interrupts_a_call_that_waits_killably() {
    watched(|| {
        let (mut target, listener) = Target::calls_once(0);
        let mut notification = listener.receive().unwrap();
        target.process.signal(libc::SIGTERM);
        assert_eq!(target.process.wait(), -libc::SIGTERM);
        assert_eq!(status(notification.check_valid()), Status::Gone);
    });
}

#[test]
fn a_signal_interrupts_any_other_call_which_comes_again() {
    watched(|| {
        let (target, listener) = signalled(LoadFlags::NO_WAIT_KILLABLE);
        let mut first = listener.receive().unwrap();
        target.process.signal(libc::SIGUSR1);
        let mut second = listener.receive().unwrap();
        assert_ne!(second.request().id, first.request().id);
        assert_eq!(status(first.check_valid()), Status::Gone);
        assert_eq!(status(first.reply_value(4)), Status::Gone);
        second.reply_value(5).unwrap();
        assert_eq!((target.result(), target.result()), (5, 1));
    });
}

#[test]
fn threads_are_told_apart() {
    watched(|| {
        let (target, listener) = Target::start(|channel| {
            let thread = thread::spawn(|| (thread_id(), call(CALL, [0; 3])));
            let (id, value) = thread.join().unwrap();
            channel.tell(i64::from(id));
            channel.tell(value);
        });
        let mut notification = listener.receive().unwrap();
        let thread = notification.request().pid;
        assert_ne!(thread, target.process.pid);
        notification.reply_value(5).unwrap();
        assert_eq!((target.result(), target.result()), (i64::from(thread), 5));
    });
}

#[test]
fn a_thread_that_waits_does_not_hold_up_the_others() {
    watched(|| {
        let (target, listener) = Target::start(|channel| {
            let one = thread::spawn(|| call(CALL, [1, 0, 0]));
            let two = thread::spawn(|| call(CALL, [2, 0, 0]));
            channel.tell(one.join().unwrap());
            channel.tell(two.join().unwrap());
        });
        let mut held = [listener.receive().unwrap(), listener.receive().unwrap()];
        for notification in held.iter_mut().rev() {
            let arg = notification.request().args[0] as i64;
            notification.reply_value(arg * 10).unwrap();
        }
        assert_eq!((target.result(), target.result()), (10, 20));
    });
}

#[test]
fn a_child_of_the_target_is_a_target() {
    watched(|| {
        let (target, listener) = Target::start(|channel| {
            let mut child = Process::fork(|| call(CALL, [1, 0, 0]) as i32);
            channel.tell(i64::from(child.pid));
            channel.tell(i64::from(child.wait()));
            channel.tell(call(CALL, [2, 0, 0]));
        });
        let child = target.result();
        let mut of_child = listener.receive().unwrap();
        assert_eq!(i64::from(of_child.request().pid), child);
        of_child.reply_value(11).unwrap();
        assert_eq!(target.result(), 11);
        let mut of_parent = listener.receive().unwrap();
        assert_eq!(of_parent.request().pid, target.process.pid);
        of_parent.reply_value(22).unwrap();
        assert_eq!(target.result(), 22);
    });
}

/// Goes on in a child of this process that is the first of a new pid namespace. Without the
/// privilege for that, in a user namespace of its own.
fn enter_pid_namespace() -> io::Result<()> {
    // SAFETY: integers only.
    unsafe {
        if libc::unshare(libc::CLONE_NEWPID) != 0
            && libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) != 0
        {
            return Err(io::Error::last_os_error());
        }
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            }
            child => {
                let mut status = 0;
                libc::waitpid(child, &mut status, 0);
                libc::_exit(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    102
                });
            }
        }
    }
    Ok(())
}

/// A target that is the first process of its pid namespace; nothing where there can be none.
fn in_pid_namespace() -> Option<(Target, Listener)> {
    if !can("the right to make a pid namespace", || {
        enter_pid_namespace().is_ok()
    }) {
        return None;
    }
    Some(Target::prepared(
        &notifying(&["getppid"]),
        LoadFlags::empty(),
        || enter_pid_namespace().unwrap(),
        |(), channel| {
            channel.tell(i64::from(std::process::id()));
            channel.tell(call(CALL, [0; 3]));
        },
    ))
}

#[test]
fn a_pid_is_translated_from_the_targets_namespace() {
    watched(|| {
        let Some((target, listener)) = in_pid_namespace() else {
            return;
        };
        assert_eq!(target.result(), 1);
        let mut notification = listener.receive().unwrap();
        let pid = notification.request().pid;
        assert!(pid > 1);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let inner = stat.lines().find(|l| l.starts_with("NSpid:")).unwrap();
        assert!(inner.ends_with("\t1"), "{inner}");
        notification.reply_value(3).unwrap();
        assert_eq!(target.result(), 3);
    });
}

#[test]
fn the_pid_of_a_target_that_cannot_be_seen_is_0() {
    watched(|| {
        let Some((target, listener)) = in_pid_namespace() else {
            return;
        };
        assert_eq!(target.result(), 1);
        let mut supervisor = Process::fork(|| {
            enter_pid_namespace().unwrap();
            let mut notification = listener.receive().unwrap();
            assert_eq!(notification.request().pid, 0);
            notification.check_valid().unwrap();
            notification.reply_value(4).unwrap();
            0
        });
        assert_eq!(supervisor.wait(), 0);
        assert_eq!(target.result(), 4);
    });
}

mod libseccomp_style {
    //! The types with libseccomp's names: numbers for descriptors, the kernel's own errors.

    use super::support::*;
    use std::os::fd::AsRawFd;
    use unotify::*;

    fn errno<T: std::fmt::Debug>(result: std::result::Result<T, error::SeccompError>) -> i32 {
        result.unwrap_err().sysrawrc().unwrap()
    }

    #[test]
    fn a_request_is_received_and_answered() {
        watched(|| {
            let (target, listener) = Target::calls_once(77);
            let request = ScmpNotifReq::receive(listener.as_raw_fd()).unwrap();
            let getppid = ScmpSyscall::from_name("getppid").unwrap();
            assert_eq!(request.data.syscall, getppid);
            assert_eq!(request.data.arch, ScmpArch::native());
            assert_eq!(request.data.args[0], 77);
            assert_eq!(request.pid, target.process.pid as u32);
            notify_id_valid(listener.as_raw_fd(), request.id).unwrap();
            ScmpNotifResp::new_val(request.id, 78, ScmpNotifRespFlags::empty())
                .respond(listener.as_raw_fd())
                .unwrap();
            assert_eq!(target.result(), 78);
        });
    }

    #[test]
    fn an_error_is_given_negative() {
        watched(|| {
            let (target, listener) = Target::calls_once(0);
            let request = ScmpNotifReq::receive(listener.as_raw_fd()).unwrap();
            ScmpNotifResp::new_error(request.id, -libc::EROFS, ScmpNotifRespFlags::empty())
                .respond(listener.as_raw_fd())
                .unwrap();
            assert_eq!(target.result(), -i64::from(libc::EROFS));
        });
    }

    #[test]
    fn a_call_is_continued() {
        watched(|| {
            let (target, listener) = Target::calls_once(0);
            let request = ScmpNotifReq::receive(listener.as_raw_fd()).unwrap();
            ScmpNotifResp::new_continue(request.id, ScmpNotifRespFlags::empty())
                .respond(listener.as_raw_fd())
                .unwrap();
            assert_eq!(target.result(), i64::from(std::process::id()));
        });
    }

    #[test]
    fn a_continue_with_a_value_is_the_kernels_einval() {
        watched(|| {
            let (target, listener) = Target::calls_once(0);
            let request = ScmpNotifReq::receive(listener.as_raw_fd()).unwrap();
            let both = ScmpNotifResp::new(request.id, 1, 0, ScmpNotifRespFlags::CONTINUE.bits());
            assert_eq!(errno(both.respond(listener.as_raw_fd())), -libc::EINVAL);
            ScmpNotifResp::new_val(request.id, 2, ScmpNotifRespFlags::empty())
                .respond(listener.as_raw_fd())
                .unwrap();
            assert_eq!(target.result(), 2);
        });
    }

    #[test]
    fn an_unknown_number_is_the_kernels_enoent() {
        watched(|| {
            let (_target, listener) = Target::serves();
            let fd = listener.as_raw_fd();
            assert_eq!(errno(notify_id_valid(fd, 12345)), -libc::ENOENT);
            let reply = ScmpNotifResp::new_val(12345, 0, ScmpNotifRespFlags::empty());
            assert_eq!(errno(reply.respond(fd)), -libc::ENOENT);
        });
    }

    #[test]
    fn the_last_targets_exit_is_the_kernels_enoent() {
        watched(|| {
            let (target, listener) = Target::serves();
            target.end();
            let received = ScmpNotifReq::receive(listener.as_raw_fd());
            assert_eq!(errno(received), -libc::ENOENT);
        });
    }

    #[test]
    fn what_is_no_listener_is_the_kernels_error() {
        watched(|| {
            let null = std::fs::File::open("/dev/null").unwrap();
            let received = ScmpNotifReq::receive(null.as_raw_fd());
            assert_eq!(errno(received), -libc::ENOTTY);
            assert_eq!(errno(ScmpNotifReq::receive(-1)), -libc::EBADF);
            assert_eq!(errno(notify_id_valid(-1, 0)), -libc::EBADF);
            let reply = ScmpNotifResp::new_val(0, 0, ScmpNotifRespFlags::empty());
            assert_eq!(errno(reply.respond(-1)), -libc::EBADF);
        });
    }
}

#[test]
fn many_calls_are_answered_one_by_one() {
    watched(|| {
        let (target, listener) = Target::serves();
        for i in 0..1000 {
            target.make_call(i);
            let mut notification = listener
                .receive_timeout(slowed(Duration::from_secs(10)))
                .unwrap();
            notification.reply_value(i * 2).unwrap();
            assert_eq!(target.result(), i * 2);
        }
    });
}
