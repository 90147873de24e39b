//! Copying descriptors out of a target and into it.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use support::*;
use unotify::{Notification, ScmpArgCompare, ScmpCompareOp, Status};

/// Which file a descriptor stands for.
fn inode(fd: impl AsFd) -> u64 {
    let file = File::from(fd.as_fd().try_clone_to_owned().unwrap());
    file.metadata().unwrap().ino()
}

/// A target that asks about the writing end of a pipe, from a thread if `thread`, which has
/// descriptors of its own if `unshared`.
fn with_pipe(thread: bool, unshared: bool) -> (Asker, Notification) {
    let body = move || {
        let (_reader, writer) = pipe();
        if unshared {
            // SAFETY: integers only.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            let (_other, second) = pipe();
            ask(second.as_raw_fd() as u64, inode(&second), 0) as i32
        } else {
            ask(writer.as_raw_fd() as u64, inode(&writer), 0) as i32
        }
    };
    let target = Asker::start(move || {
        if thread {
            std::thread::spawn(body).join().unwrap()
        } else {
            body()
        }
    });
    let notification = target.receive();
    (target, notification)
}

fn check_get_fd(n: &mut Notification) {
    let [fd, ino, ..] = n.request().args;
    let copy = n.get_fd(fd as i32).unwrap();
    assert_eq!(inode(&copy), ino);
}

/// A kernel before 6.9.
fn without_thread_pidfds() {
    let with_flag = ScmpArgCompare::new(1, ScmpCompareOp::Equal, libc::O_EXCL as u64);
    refuse("pidfd_open", libc::EINVAL, &[with_flag]);
}

#[test]
fn a_descriptor_of_the_target_is_copied() {
    let (target, mut n) = with_pipe(false, false);
    check_get_fd(&mut n);
    target.finish(n);
}

#[test]
fn a_descriptor_of_a_thread_is_copied() {
    let (target, mut n) = with_pipe(true, false);
    check_get_fd(&mut n);
    target.finish(n);
}

#[test]
fn a_descriptor_of_a_thread_with_its_own_is_copied() {
    let (target, mut n) = with_pipe(true, true);
    check_get_fd(&mut n);
    target.finish(n);
}

#[test]
fn a_descriptor_of_a_thread_is_copied_without_thread_pidfds() {
    in_child(|| {
        let (target, mut n) = with_pipe(true, false);
        without_thread_pidfds();
        check_get_fd(&mut n);
        target.finish(n);
    });
}

#[test]
fn a_descriptor_of_a_thread_is_copied_without_thread_pidfds_and_kcmp() {
    in_child(|| {
        let (target, mut n) = with_pipe(true, false);
        without_thread_pidfds();
        refuse("kcmp", libc::ENOSYS, &[]);
        check_get_fd(&mut n);
        target.finish(n);
    });
}

#[test]
fn the_leaders_descriptor_is_not_taken_for_that_of_a_thread_with_its_own() {
    for kcmp in [true, false] {
        in_child(|| {
            let (target, mut n) = with_pipe(true, true);
            without_thread_pidfds();
            if !kcmp {
                refuse("kcmp", libc::ENOSYS, &[]);
            }
            let fd = n.request().args[0] as i32;
            let error = n.get_fd(fd).unwrap_err();
            // Without kcmp the leader is asked first, and has no such descriptor.
            let expected = if kcmp {
                Status::Unsupported
            } else {
                Status::InvalidArgument
            };
            assert_eq!(error.status(), expected, "{error}");
            target.finish(n);
        });
    }
}

#[test]
fn a_descriptor_that_is_not_open_is_an_invalid_argument() {
    let (target, mut n) = with_pipe(false, false);
    for fd in [1000, -1] {
        let error = n.get_fd(fd).unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::InvalidArgument, libc::EBADF)
        );
    }
    target.finish(n);
}

#[test]
fn copying_a_descriptor_takes_a_kernel_with_pidfd_getfd() {
    in_child(|| {
        let (target, mut n) = with_pipe(false, false);
        refuse("pidfd_getfd", libc::ENOSYS, &[]);
        let error = n.get_fd(0).unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Unsupported, libc::ENOSYS)
        );
        // This kernel has it.
        assert!(
            error.to_string().contains("a filter on this supervisor"),
            "{error}"
        );
        target.finish(n);
    });
}

#[test]
fn a_filter_that_forbids_copying_descriptors_is_told_from_missing_rights() {
    in_child(|| {
        let (target, mut n) = with_pipe(false, false);
        refuse("pidfd_getfd", libc::EPERM, &[]);
        let error = n.get_fd(0).unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Permission, libc::EPERM)
        );
        let text = error.to_string();
        assert!(
            text.contains("a filter on it") && !text.contains("lacks"),
            "{text}"
        );
        target.finish(n);
    });
}

#[test]
fn the_pidfd_is_the_processs_for_any_thread_on_any_kernel() {
    for thread in [false, true] {
        for old in [false, true] {
            in_child(|| {
                let (target, mut n) = with_pipe(thread, false);
                if old {
                    without_thread_pidfds();
                }
                let pidfd = n.open_pidfd().unwrap();
                let info = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
                let info = std::fs::read_to_string(info).unwrap();
                assert!(
                    info.contains(&format!("Pid:\t{}\n", target.process.pid)),
                    "{info}"
                );
                target.finish(n);
            });
        }
    }
}

/// What a target finds at descriptor `fd`.
fn read_to_end(fd: i32) -> String {
    let mut text = String::new();
    File::from(own(fd)).read_to_string(&mut text).unwrap();
    text
}

/// The reading end of a pipe with `text` in it.
fn holding(text: &str) -> OwnedFd {
    let (reader, writer) = pipe();
    File::from(writer).write_all(text.as_bytes()).unwrap();
    reader
}

fn is_cloexec(fd: i32) -> bool {
    // SAFETY: integers only.
    unsafe { libc::fcntl(fd, libc::F_GETFD) & libc::FD_CLOEXEC != 0 }
}

#[test]
fn a_descriptor_is_added_at_the_lowest_free_number_or_a_given_one() {
    let target = Asker::start(|| {
        let packed = ask(0, 0, 0);
        let (first, second) = (packed as i32 & 0xff, packed as i32 >> 8);
        assert_eq!(
            (second, is_cloexec(first), is_cloexec(second)),
            (77, false, true)
        );
        assert_eq!(
            (read_to_end(first), read_to_end(second)),
            ("low".into(), "77".into())
        );
        0
    });
    let mut n = target.receive();
    let first = n.add_fd(holding("low").as_fd(), None, false).unwrap();
    let second = n.add_fd(holding("77").as_fd(), Some(77), true).unwrap();
    assert_eq!(second, 77);
    n.reply_value(((second << 8) | first).into()).unwrap();
    target.end();
}

#[test]
fn a_descriptor_takes_the_place_of_the_one_that_was_there() {
    let target = Asker::start(|| {
        let zero = File::open("/dev/zero").unwrap().into_raw_fd();
        ask(zero as u64, 0, 0);
        assert_eq!(read_to_end(zero), "instead");
        0
    });
    let mut n = target.receive();
    let at = n.request().args[0] as i32;
    assert_eq!(
        n.add_fd(holding("instead").as_fd(), Some(at), false)
            .unwrap(),
        at
    );
    target.finish(n);
}

#[test]
fn a_target_at_its_limit_gets_no_descriptor_and_goes_on_waiting() {
    let target = Asker::start(|| {
        let limit = libc::rlimit {
            rlim_cur: 3,
            rlim_max: 3,
        };
        // SAFETY: `limit` lives across the call.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        i32::from(ask(0, 0, 0) != 5)
    });
    let mut n = target.receive();
    let fd = holding("");
    let error = n.reply_fd(fd.as_fd(), false).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::System, libc::EMFILE)
    );
    assert_eq!(
        n.add_fd(fd.as_fd(), None, false).unwrap_err().errno(),
        libc::EMFILE
    );
    let error = n.add_fd(fd.as_fd(), Some(3), false).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::InvalidArgument, libc::EBADF)
    );
    n.reply_value(5).unwrap();
    target.end();
}

#[test]
fn a_descriptor_is_installed_and_returned() {
    for cloexec in [false, true] {
        let target = Asker::start(move || {
            let fd = ask(0, 0, 0) as i32;
            assert_eq!(is_cloexec(fd), cloexec);
            assert_eq!(read_to_end(fd), "replied");
            0
        });
        let mut n = target.receive();
        n.reply_fd(holding("replied").as_fd(), cloexec).unwrap();
        assert_eq!(n.reply_value(0).unwrap_err().status(), Status::Answered);
        assert_eq!(
            n.add_fd(borrow(0), None, false).unwrap_err().status(),
            Status::Answered
        );
        drop(n);
        target.end();
    }
}

#[test]
fn a_thread_is_given_descriptors() {
    let target = Asker::start(|| {
        std::thread::spawn(|| i32::from(read_to_end(ask(0, 0, 0) as i32) != "replied"))
            .join()
            .unwrap()
    });
    let mut n = target.receive();
    n.reply_fd(holding("replied").as_fd(), true).unwrap();
    target.end();
}

#[test]
fn a_closed_descriptor_is_refused_and_the_target_goes_on_waiting() {
    let target = Asker::start(|| ask(0, 0, 0) as i32);
    let mut n = target.receive();
    let error = n.reply_fd(borrow(999), false).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::InvalidArgument, libc::EBADF)
    );
    assert!(error.to_string().ends_with("is not open"), "{error}");
    let found = own({
        // SAFETY: NUL-terminated.
        unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) }
    });
    let error = n.reply_fd(found.as_fd(), false).unwrap_err();
    assert!(error.to_string().contains("O_PATH"), "{error}");
    let error = n.add_fd(borrow(0), Some(i32::MAX), false).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
    let error = n.add_fd(borrow(0), Some(-5), false).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    n.check_valid().unwrap();
    target.finish(n);
}

#[test]
fn a_dead_target_gets_nothing() {
    let target = Asker::start(|| ask(0, 0, 0) as i32);
    let mut n = target.receive();
    target.kill();
    assert_eq!(
        n.add_fd(borrow(0), None, false).unwrap_err().status(),
        Status::Gone
    );
    assert_eq!(
        n.reply_fd(borrow(0), false).unwrap_err().status(),
        Status::Gone
    );
    assert_eq!(n.open_pidfd().unwrap_err().status(), Status::Gone);
    assert_eq!(n.get_fd(0).unwrap_err().status(), Status::Gone);
}

/// `struct seccomp_notif_addfd`, as far as it is looked at here.
const FLAGS_AT: usize = 8;

#[test]
fn an_old_kernel_is_given_the_descriptor_and_then_the_answer() {
    const ADDFD: u64 = libc::SECCOMP_IOCTL_NOTIF_ADDFD;
    // The supervisor is itself supervised: its ADDFD with SEND fails as on Linux 5.9 to 5.13.
    let mut filter = unotify::ScmpFilterContext::new(unotify::ScmpAction::Allow).unwrap();
    let ioctl = unotify::ScmpSyscall::from_name("ioctl").unwrap();
    let addfd = ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(0xffff_ffff), ADDFD);
    filter
        .add_rule_conditional(unotify::ScmpAction::Notify, ioctl, &[addfd])
        .unwrap();
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut supervisor = Process::fork(|| {
        let target = Asker::start(|| {
            assert_eq!(read_to_end(ask(0, 0, 0) as i32), "two steps");
            0
        });
        let mut n = target.receive();
        let outer = filter.load_listener(unotify::LoadFlags::empty()).unwrap();
        outer.to_socket(there.as_fd()).unwrap();
        drop((outer, there));
        n.reply_fd(holding("two steps").as_fd(), true).unwrap();
        drop(n);
        target.end();
        0
    });
    let outer = unotify::Listener::from_socket(here.as_fd()).unwrap();
    let mut asked = Vec::new();
    while let Ok(mut n) = outer.receive() {
        let mut flags = [0; 4];
        let addr = n.request().args[2] + FLAGS_AT as u64;
        n.read(addr, &mut flags).unwrap();
        let flags = u32::from_ne_bytes(flags);
        asked.push(flags);
        if flags & libc::SECCOMP_ADDFD_FLAG_SEND as u32 != 0 {
            n.reply_error(libc::EINVAL).unwrap();
        } else {
            n.reply_continue().unwrap();
        }
    }
    assert_eq!(supervisor.wait(), 0);
    assert_eq!(asked, [libc::SECCOMP_ADDFD_FLAG_SEND as u32, 0]);
}
