//! Which descriptors the program gets.

use crate::support::*;
use std::fs::{read_link, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use unotify::*;

/// What a descriptor of this process is.
fn identity(fd: impl AsRawFd) -> String {
    let link = read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
    link.to_str().unwrap().to_owned()
}

fn two_sockets() -> (OwnedFd, OwnedFd) {
    let (a, b) = UnixStream::pair().unwrap();
    (a.into(), b.into())
}

/// A program that tells what these descriptors of its are.
fn teller<'a>(filter: &'a ScmpFilterContext, numbers: &[RawFd]) -> Spawn<'a> {
    let mut spawn = Spawn::new(filter, "readlink");
    spawn.args(numbers.iter().map(|n| format!("/proc/self/fd/{n}")));
    spawn
}

#[test]
fn standard_input_output_and_error_are_given() {
    watched(|| {
        let filter = everything();
        let (mut to_stdin, stdin) = UnixStream::pair().unwrap();
        let (mut from_stderr, stderr) = UnixStream::pair().unwrap();
        to_stdin.write_all(b"in\n").unwrap();
        drop(to_stdin);
        let mut spawn = Spawn::new(&filter, "sh");
        spawn.args(["-c", "cat; echo err >&2"]);
        spawn.stdin(stdin).stderr(stderr);
        assert_eq!(text(&mut spawn), "in");
        drop(spawn);
        let mut text = String::new();
        from_stderr.read_to_string(&mut text).unwrap();
        assert_eq!(text, "err\n");
    });
}

#[test]
fn null_is_dev_null() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = teller(&filter, &[0]);
        assert_eq!(text(spawn.stdin(Stdio::Null)), "/dev/null");
    });
}

#[test]
fn a_file_may_be_lent() {
    watched(|| {
        let filter = notifying(&[]);
        let passwd = File::open("/etc/passwd").unwrap();
        let mut spawn = teller(&filter, &[0]);
        assert_eq!(text(spawn.stdin(&passwd)), "/etc/passwd");
        assert_eq!(identity(passwd), "/etc/passwd");
    });
}

#[test]
fn further_descriptors_are_given_under_their_numbers() {
    watched(|| {
        let filter = everything();
        let (a, b) = two_sockets();
        let mut spawn = teller(&filter, &[3, 400]);
        spawn.fd(3, &a).fd(400, &b);
        let expected = format!("{}\n{}", identity(a.as_fd()), identity(b.as_fd()));
        assert_eq!(text(&mut spawn), expected);
    });
}

#[test]
fn descriptors_may_swap_numbers() {
    watched(|| {
        let filter = everything();
        let (a, b) = two_sockets();
        let (x, y) = (a.as_raw_fd(), b.as_raw_fd());
        let mut spawn = teller(&filter, &[x, y]);
        spawn.fd(x, &b).fd(y, &a);
        let expected = format!("{}\n{}", identity(b.as_fd()), identity(a.as_fd()));
        assert_eq!(text(&mut spawn), expected);
    });
}

#[test]
fn descriptors_may_move_up_a_chain_of_numbers() {
    watched(|| {
        let filter = everything();
        let (a, b) = two_sockets();
        let (x, y) = (a.as_raw_fd(), b.as_raw_fd());
        let next = y.max(x) + 1;
        let mut spawn = teller(&filter, &[x, y, next, next + 1]);
        let null = File::open("/dev/null").unwrap();
        spawn.fd(x, &null).fd(y, &a).fd(next, &b).fd(next + 1, &b);
        let (a, b) = (identity(a.as_fd()), identity(b.as_fd()));
        assert_eq!(text(&mut spawn), format!("/dev/null\n{a}\n{b}\n{b}"));
    });
}

#[test]
fn a_descriptor_may_keep_its_number() {
    watched(|| {
        let filter = everything();
        let (a, b) = two_sockets();
        let mut spawn = teller(&filter, &[a.as_raw_fd(), b.as_raw_fd()]);
        spawn.fd(a.as_raw_fd(), &a);
        spawn.fd(b.as_raw_fd(), Stdio::Inherit);
        let expected = format!("{}\n{}", identity(a.as_fd()), identity(b.as_fd()));
        assert_eq!(text(&mut spawn), expected);
    });
}

#[test]
fn standard_output_and_error_may_be_swapped() {
    watched(|| {
        let filter = notifying(&[]);
        let (mut out, one) = UnixStream::pair().unwrap();
        let (mut err, two) = UnixStream::pair().unwrap();
        let mut spawn = Spawn::new(&filter, "sh");
        spawn.args(["-c", "echo out; echo err >&2"]);
        spawn.stdout(two).stderr(one);
        let child = spawn.spawn().unwrap();
        drop(spawn);
        assert!(child.wait().unwrap().success());
        let (mut first, mut second) = (String::new(), String::new());
        out.read_to_string(&mut first).unwrap();
        err.read_to_string(&mut second).unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("err\n", "out\n"));
    });
}

#[test]
fn close_on_exec_descriptors_and_the_listener_stay_behind() {
    watched(|| {
        let filter = everything();
        let mut spawn = Spawn::new(&filter, "ls");
        spawn.args(["-l", "/proc/self/fd"]);
        spawn.stdin(Stdio::Null).stderr(Stdio::Null);
        let (a, b) = two_sockets();
        let list = text(&mut spawn);
        for gone in [identity(a), identity(b), "seccomp".to_owned()] {
            assert!(!list.contains(&gone), "{list}");
        }
    });
}

#[test]
fn the_last_word_on_a_number_counts() {
    watched(|| {
        let filter = notifying(&[]);
        let passwd = File::open("/etc/passwd").unwrap();
        let mut spawn = teller(&filter, &[0]);
        spawn.stdin(&passwd).stdin(Stdio::Null);
        assert_eq!(text(&mut spawn), "/dev/null");
    });
}

#[test]
fn a_number_out_of_range_is_refused() {
    watched(|| {
        for number in [-1, i32::MAX] {
            let error = Spawn::new(&everything(), "true")
                .fd(number, Stdio::Null)
                .spawn()
                .unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{error}");
            assert!(error.to_string().contains(&number.to_string()), "{error}");
        }
    });
}

#[test]
fn a_number_that_is_not_open_is_refused() {
    watched(|| {
        let error = Spawn::new(&everything(), "true")
            .fd(9999, Stdio::Inherit)
            .spawn()
            .unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::InvalidArgument, libc::EBADF)
        );
    });
}

#[test]
fn a_caller_without_standard_streams_can_start_programs() {
    alone(|| {
        // SAFETY: integers only; this process is the test's own.
        let kept = [0, 1, 2].map(|fd| unsafe {
            let kept = own(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10));
            libc::close(fd);
            kept
        });
        let filter = everything();
        let mut child = Spawn::new(&filter, "true").spawn().unwrap();
        continue_all(&child.take_listener().unwrap());
        assert!(child.wait().unwrap().success());
        // Nothing of the library's has landed on a free standard number.
        let mut spawn = Spawn::new(&filter, "ls");
        spawn.args(["-l", "/proc/self/fd"]);
        let list = text(&mut spawn);
        assert!(!list.contains("seccomp"), "{list}");
        assert_eq!(list.matches("socket:").count(), 1, "{list}");
        // How it went is said there.
        for (fd, kept) in (0..).zip(&kept) {
            // SAFETY: integers only.
            unsafe { libc::dup2(kept.as_raw_fd(), fd) };
        }
    });
}
