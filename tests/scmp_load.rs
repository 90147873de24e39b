//! Loading filters. A filter cannot be taken off again, so each test loads on a thread or in a
//! process of its own.

mod support;

use std::fs::{read_dir, read_link};
use std::io;
use std::sync::mpsc::channel;
use std::thread;
use support::*;
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
    in_child(|| {
        filter().load().unwrap();
        assert_eq!(no_new_privs(), 1);
    });
}

#[test]
fn loading_without_privileges_or_no_new_privs_is_refused_with_the_kernels_number() {
    if no_new_privs() == 1 {
        return eprintln!("skipped: this process cannot do without no_new_privs any more");
    }
    in_child(|| {
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
    in_child(|| {
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
    in_child(|| {
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
    in_child(|| {
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
    in_child(|| {
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
    in_child(|| {
        let before = listeners();
        let mut other = filter();
        other
            .add_rule_by_name(ScmpAction::Notify, "getppid", &[])
            .unwrap();
        other.load().unwrap();
        filter().merge(other).unwrap_err();
        assert_eq!(listeners(), before);
    });
}

#[test]
fn loading_leaves_no_descriptor_open() {
    in_child(|| {
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
        for value in 0..1500 {
            let value = (value << 32) | value; // of halves that no other has: four instructions
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
    in_child(|| {
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

/// Runs `test` in a process of its own, which is killed if it has not ended within ten seconds, and
/// gives its wait status. The process ends by the call its filter may notify.
fn status_of_a_child(test: impl FnOnce() -> i32) -> i32 {
    // SAFETY: as in `in_child`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let status = test();
        // SAFETY: never returns.
        unsafe { libc::_exit(status) }
    }
    let mut status = 0;
    for _ in 0..1000 {
        // SAFETY: `status` is ours.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
            return status;
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    // SAFETY: a child of ours.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, &mut status, 0);
    }
    status
}

/// Memory that stays shared with a process that is forked.
fn shared_words() -> &'static [std::sync::atomic::AtomicI32; 2] {
    // SAFETY: a new mapping, all zeroes, which is never unmapped.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}

/// Loads in a process of its own, whose filter may notify every call, and takes its listener from
/// outside. Without a system call the process can only tell through memory that it is past the
/// load.
fn load_returns(load: impl FnOnce() -> i32) {
    use std::sync::atomic::Ordering::SeqCst;
    let words = shared_words();
    // SAFETY: as in `in_child`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        words[0].store(load(), SeqCst);
        words[1].store(1, SeqCst);
        loop {
            std::hint::spin_loop();
        }
    }
    let mut returned = false;
    for _ in 0..1000 {
        returned = words[1].load(SeqCst) == 1;
        if returned {
            break;
        }
        thread::sleep(std::time::Duration::from_millis(5));
    }
    let listener = returned.then(|| Listener::from_pid(pid, words[0].load(SeqCst)));
    // SAFETY: a child of ours.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
    let listener = listener.expect("the load does not return").unwrap();
    assert_eq!(listener.receive().unwrap_err().status(), Status::Closed);
}

/// Gives the number and lives on.
fn number(listener: Listener) -> i32 {
    use std::os::fd::AsRawFd;
    let number = listener.as_raw_fd();
    std::mem::forget(listener);
    number
}

#[test]
fn loading_a_filter_that_notifies_everything_returns() {
    load_returns(|| {
        let filter = ScmpFilterContext::new(ScmpAction::Notify).unwrap();
        let listener = filter.load_listener(LoadFlags::empty()).unwrap();
        std::mem::forget(filter);
        number(listener)
    });
}

#[test]
fn loading_a_long_filter_that_notifies_everything_else_returns() {
    load_returns(|| {
        let mut filter = ScmpFilterContext::new(ScmpAction::Notify).unwrap();
        let fchmod = ScmpSyscall::from_name("fchmod").unwrap();
        for value in 0..1500 {
            let compare = [scmp_cmp!($arg0 == value)];
            filter
                .add_rule_conditional(ScmpAction::Errno(1), fchmod, &compare)
                .unwrap();
        }
        let listener = filter.load_listener(LoadFlags::empty()).unwrap();
        std::mem::forget(filter);
        number(listener)
    });
}

#[test]
fn the_load_of_a_context_that_notifies_everything_returns() {
    load_returns(|| {
        let filter = ScmpFilterContext::new(ScmpAction::Notify).unwrap();
        filter.load().unwrap();
        let fd = filter.get_notify_fd().unwrap();
        std::mem::forget(filter);
        fd
    });
}

#[test]
fn loading_does_not_count_against_the_limit_of_file_sizes() {
    let status = status_of_a_child(|| {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the structure is ours.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &none) }, 0);
        let filter = with_rule(ScmpAction::Notify, "getppid");
        i32::from(filter.load_listener(LoadFlags::empty()).is_err())
    });
    assert_eq!(status, 0, "ended by signal {}", status & 0x7f);
}

/// A filter of so many rules, two instructions each.
fn long_filter(rules: u64) -> ScmpFilterContext {
    let mut filter = filter();
    let fchmod = ScmpSyscall::from_name("fchmod").unwrap();
    for value in 0..rules {
        let compare = [scmp_cmp!($arg0 == value)];
        filter
            .add_rule_conditional(ScmpAction::Errno(libc::EXDEV), fchmod, &compare)
            .unwrap();
    }
    filter
}

#[test]
fn a_long_program_is_loaded_by_a_user_whose_pipes_are_used_up() {
    in_child(|| {
        // SAFETY: integers, a structure and an array of ours.
        unsafe {
            let all = libc::rlimit {
                rlim_cur: 4096,
                rlim_max: 4096,
            };
            let raised = libc::setrlimit(libc::RLIMIT_NOFILE, &all) == 0;
            libc::setresgid(65534, 65534, 65534);
            libc::setresuid(65534, 65534, 65534);
            // 16 pages each, of 16,384 that a user may have.
            let mut ends = [0; 2];
            let mut pipes = 0;
            while pipes < 1100 && libc::pipe(ends.as_mut_ptr()) == 0 {
                pipes += 1;
            }
            if raised && pipes == 1100 {
                assert!(
                    libc::fcntl(ends[0], libc::F_GETPIPE_SZ) < 16 * 4096,
                    "this user's pipes are not used up"
                );
            }
            libc::close(ends[0]);
            libc::close(ends[1]);
        }
        long_filter(1500).load().unwrap();
        assert_eq!(errno_of(libc::SYS_fchmod, 1499, 0), libc::EXDEV);
    });
}

#[test]
fn a_second_filter_that_notifies_nothing_goes_on_top_of_one_that_has_a_listener() {
    on_a_thread(|| {
        let first = with_rule(ScmpAction::Notify, "getpgid");
        let listener = first.load_listener(LoadFlags::empty()).unwrap();
        let second = with_rule(ScmpAction::Errno(libc::EXDEV), "getppid");
        assert!(second.load_with(LoadFlags::empty()).unwrap().is_none());
        assert_eq!(errno_of(libc::SYS_getppid, 0, 0), libc::EXDEV);
        drop(listener);
    });
}

#[test]
fn a_filter_that_notifies_has_a_listener_if_it_is_to_have_one() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        assert!(filter.load_with(LoadFlags::empty()).unwrap().is_some());
    });
}

#[test]
fn without_a_listener_what_a_filter_notifies_is_not_there() {
    on_a_thread(|| {
        let filter = with_rule(ScmpAction::Notify, "getppid");
        filter.load_without_listener(LoadFlags::empty()).unwrap();
        assert_eq!(errno_of(libc::SYS_getppid, 0, 0), libc::ENOSYS);
    });
}

#[test]
fn without_a_listener_a_thread_that_cannot_be_synchronised_is_told() {
    in_child(|| {
        let (up, is_up) = channel();
        let (go, wait) = channel::<()>();
        let other = thread::spawn(move || {
            with_rule(ScmpAction::Errno(libc::EXDEV), "getppid")
                .load()
                .unwrap();
            up.send(()).unwrap();
            let _ = wait.recv();
        });
        is_up.recv().unwrap();
        let filter = with_rule(ScmpAction::Errno(libc::EXDEV), "getpgid");
        let error = filter.load_with(LoadFlags::TSYNC).unwrap_err();
        assert_eq!(error.errno(), libc::ESRCH, "{error}");
        drop(go);
        other.join().unwrap();
    });
}
