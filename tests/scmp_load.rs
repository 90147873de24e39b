//! Loading filters. A filter cannot be taken off again, so each test loads on a thread or in a
//! process of its own.

use std::fs::{read_dir, read_link};
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::channel;
use std::thread;
use unotify::error::SeccompErrno;
use unotify::*;

fn filter() -> ScmpFilterContext {
    ScmpFilterContext::new(ScmpAction::Allow).unwrap()
}

fn with_rule(action: ScmpAction, name: &str) -> ScmpFilterContext {
    let mut filter = filter();
    filter.add_rule_by_name(action, name, &[]).unwrap();
    filter
}

/// Runs `test` on a thread of its own.
fn on_a_thread(test: impl FnOnce() + Send + 'static) {
    thread::spawn(test).join().unwrap();
}

/// Runs `test` in a process of its own.
fn in_a_child(test: impl FnOnce()) {
    // SAFETY: the child goes on as the one thread of a copy of this process. The C library puts
    // its own locks right, and no other lock is held by code the tests call.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let status = catch_unwind(AssertUnwindSafe(test)).map_or(1, |()| 0);
        // SAFETY: never returns.
        unsafe { libc::_exit(status) }
    }
    let mut status = 0;
    // SAFETY: `status` is ours.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child failed");
}

/// The error number of a call of `nr` with these arguments, 0 for none.
fn errno_of(nr: libc::c_long, a: u64, b: u64) -> i32 {
    // SAFETY: only called with numbers whose calls take no pointers.
    if unsafe { libc::syscall(nr, a, b) } < 0 {
        return io::Error::last_os_error().raw_os_error().unwrap();
    }
    0
}

/// The thread's no_new_privs bit.
fn no_new_privs() -> i32 {
    // SAFETY: plain integers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) }
}

/// Whether `fd` is open here and is a listener.
fn is_listener(fd: i32) -> bool {
    read_link(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|link| link.as_os_str() == "anon_inode:seccomp notify")
}

/// How many listeners are open in this process.
fn listeners() -> usize {
    let fds = read_dir("/proc/self/fd").unwrap();
    fds.filter(|fd| {
        let name = fd.as_ref().unwrap().file_name();
        is_listener(name.to_str().unwrap().parse().unwrap())
    })
    .count()
}

#[test]
fn a_rule_acts_on_the_thread_that_loaded_it() {
    on_a_thread(|| {
        with_rule(ScmpAction::Errno(libc::EXDEV), "getppid")
            .load()
            .unwrap();
        assert_eq!(errno_of(libc::SYS_getppid, 0, 0), libc::EXDEV);
    });
}

#[test]
fn a_rule_does_not_act_on_other_threads() {
    on_a_thread(|| {
        with_rule(ScmpAction::Errno(libc::EXDEV), "getppid")
            .load()
            .unwrap()
    });
    assert_eq!(errno_of(libc::SYS_getppid, 0, 0), 0);
}

#[test]
fn a_conditional_rule_acts_where_the_conditions_hold() {
    on_a_thread(|| {
        let mut filter = filter();
        let both = [scmp_cmp!($arg0 == 77), scmp_cmp!($arg1 & 0xf0 == 0x10)];
        let fchmod = ScmpSyscall::from_name("fchmod").unwrap();
        filter
            .add_rule_conditional_exact(ScmpAction::Errno(libc::EXDEV), fchmod, &both)
            .unwrap();
        filter.load().unwrap();
        assert_eq!(errno_of(libc::SYS_fchmod, 77, 0x1f), libc::EXDEV);
        assert_ne!(errno_of(libc::SYS_fchmod, 77, 0x2f), libc::EXDEV);
        assert_ne!(errno_of(libc::SYS_fchmod, u64::MAX, 0x1f), libc::EXDEV);
    });
}

#[test]
fn loading_sets_no_new_privs() {
    in_a_child(|| {
        filter().load().unwrap();
        assert_eq!(no_new_privs(), 1);
    });
}

#[test]
fn loading_without_privileges_or_no_new_privs_is_refused_with_the_kernels_number() {
    if no_new_privs() == 1 {
        return eprintln!("skipped: this process cannot do without no_new_privs any more");
    }
    in_a_child(|| {
        // SAFETY: plain integers. An unprivileged user, if this is not one already.
        unsafe {
            libc::setresgid(65534, 65534, 65534);
            libc::setresuid(65534, 65534, 65534);
        }
        let mut filter = filter();
        filter.set_ctl_nnp(false).unwrap();
        let error = filter.load().unwrap_err();
        assert_eq!(error.errno(), Some(SeccompErrno::EACCES));
        assert_eq!(no_new_privs(), 0);
    });
}

#[test]
fn tsync_puts_the_filter_on_every_thread() {
    in_a_child(|| {
        let (go, wait) = channel();
        let other = thread::spawn(move || {
            wait.recv().unwrap();
            errno_of(libc::SYS_getppid, 0, 0)
        });
        let mut filter = with_rule(ScmpAction::Errno(libc::EXDEV), "getppid");
        filter.set_ctl_tsync(true).unwrap();
        filter.load().unwrap();
        go.send(()).unwrap();
        assert_eq!(other.join().unwrap(), libc::EXDEV);
    });
}

#[test]
fn tsync_and_a_listener_go_together() {
    in_a_child(|| {
        let mut filter = with_rule(ScmpAction::Notify, "getppid");
        filter.set_ctl_tsync(true).unwrap();
        filter.load().unwrap();
        assert!(is_listener(filter.get_notify_fd().unwrap()));
    });
}

#[test]
fn a_filter_without_a_notify_rule_has_no_listener() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Log, "getppid");
        filter.load().unwrap();
        let error = filter.get_notify_fd().unwrap_err();
        assert_eq!(error.errno(), Some(SeccompErrno::EINVAL));
    });
}

#[test]
fn a_filter_that_was_not_loaded_has_no_listener() {
    assert!(with_rule(ScmpAction::Notify, "getppid")
        .get_notify_fd()
        .is_err());
}

#[test]
fn the_listener_is_the_same_number_every_time() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        let fd = filter.get_notify_fd().unwrap();
        assert!(is_listener(fd));
        assert_eq!(filter.get_notify_fd().unwrap(), fd);
    });
}

#[test]
fn a_filter_whose_default_is_notify_has_a_listener() {
    in_a_child(|| {
        let mut filter = ScmpFilterContext::new(ScmpAction::Notify).unwrap();
        // Everything but the one call that is made in between.
        for name in [
            "exit_group",
            "munmap",
            "write",
            "rt_sigaction",
            "sigaltstack",
        ] {
            filter
                .add_rule_by_name(ScmpAction::Allow, name, &[])
                .unwrap();
        }
        filter.load().unwrap();
        let fd = filter.get_notify_fd();
        std::mem::forget(filter);
        assert!(fd.is_ok());
    });
}

#[test]
fn every_context_has_a_listener_of_its_own() {
    let load = || {
        thread::spawn(|| {
            let filter = with_rule(ScmpAction::Notify, "getppid");
            filter.load().unwrap();
            filter.get_notify_fd().unwrap()
        })
    };
    let (one, two) = (load().join().unwrap(), load().join().unwrap());
    assert_ne!(one, two);
    assert!(is_listener(one) && is_listener(two));
}

#[test]
fn a_second_load_of_one_context_gives_the_newest_listener() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        let first = filter.get_notify_fd().unwrap();
        let filter = thread::spawn(move || filter.load().map(|()| filter));
        // That thread was started by a target, and inherited its filter and listener.
        let error = filter.join().unwrap().unwrap_err();
        assert_eq!(error.sysrawrc(), Some(-libc::EBUSY));
        assert!(is_listener(first));
    });
    // Two threads that have no filter yet share one context.
    let filter = thread::spawn(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        filter.get_notify_fd().unwrap();
        filter
    });
    let filter = filter.join().unwrap();
    let first = filter.get_notify_fd().unwrap();
    on_a_thread(move || {
        filter.load().unwrap();
        let second = filter.get_notify_fd().unwrap();
        assert_ne!(first, second);
        assert!(is_listener(first) && is_listener(second));
    });
}

#[test]
fn a_second_listener_on_one_thread_is_refused_with_the_kernels_number() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        let error = filter.load().unwrap_err();
        assert_eq!(error.sysrawrc(), Some(-libc::EBUSY));
        assert_eq!(error.errno(), None);
    });
}

#[test]
fn a_failed_load_keeps_the_listener_of_the_one_before() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        filter.load().unwrap_err();
        assert!(is_listener(filter.get_notify_fd().unwrap()));
    });
}

#[test]
fn a_listener_nobody_asked_for_is_closed_with_the_context() {
    in_a_child(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        let before = listeners();
        filter.load().unwrap();
        assert_eq!(listeners(), before + 1);
        drop(filter);
        assert_eq!(listeners(), before);
    });
}

#[test]
fn a_listener_somebody_asked_for_outlives_the_context() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        let fd = filter.get_notify_fd().unwrap();
        drop(filter);
        assert!(is_listener(fd));
    });
}

#[test]
fn a_listener_nobody_asked_for_is_closed_by_a_merge() {
    in_a_child(|| {
        let before = listeners();
        let mut other = filter();
        other
            .add_rule_by_name(ScmpAction::Notify, "getppid", &[])
            .unwrap();
        other.load().unwrap();
        other.remove_arch(ScmpArch::Native).unwrap();
        filter().merge(other).unwrap_err();
        assert_eq!(listeners(), before);
    });
}

#[test]
fn loading_leaves_no_descriptor_open() {
    in_a_child(|| {
        let open = || read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        for _ in 0..20 {
            filter().load().unwrap();
        }
        assert_eq!(open(), before);
    });
}

#[test]
fn a_program_longer_than_the_kernel_takes_is_refused() {
    on_a_thread(|| {
        let mut filter = filter();
        let fchmod = ScmpSyscall::from_name("fchmod").unwrap();
        for value in 0..5000 {
            let compare = [scmp_cmp!($arg0 == value)];
            filter
                .add_rule_conditional(ScmpAction::Errno(1), fchmod, &compare)
                .unwrap();
        }
        let error = filter.load().unwrap_err();
        assert_eq!(error.errno(), Some(SeccompErrno::EINVAL));
    });
}

#[test]
fn api_level_one_still_loads() {
    in_a_child(|| {
        let filter = with_rule(ScmpAction::Errno(libc::EXDEV), "getppid");
        set_api(1).unwrap();
        assert_eq!(get_api(), 1);
        filter.load().unwrap();
        assert_eq!(errno_of(libc::SYS_getppid, 0, 0), libc::EXDEV);
        let error = filter.get_notify_fd().unwrap_err();
        assert!(error
            .to_string()
            .starts_with("get_notify_fd needs libseccomp API level 6"));
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_of_an_architecture_the_filter_was_not_told_of_gets_the_bad_architecture_action() {
    on_a_thread(|| {
        let mut filter = with_rule(ScmpAction::Log, "fchmod");
        filter
            .set_act_badarch(ScmpAction::Errno(libc::EXDEV))
            .unwrap();
        filter.load().unwrap();
        // The x32 bit makes it another architecture's call.
        let x32_getppid = libc::SYS_getppid | 0x4000_0000;
        assert_eq!(errno_of(x32_getppid, 0, 0), libc::EXDEV);
    });
}

#[test]
fn libseccomps_global_state_is_not_needed_by_a_listener() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load().unwrap();
        reset_global_state().unwrap();
        assert!(is_listener(filter.get_notify_fd().unwrap()));
    });
}
