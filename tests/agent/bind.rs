//! The agent's socket.

use crate::runtime::*;
use crate::support::*;
use std::fs;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;
use std::time::Duration;
use unotify::*;

fn mode(directory: &Directory) -> u32 {
    let found = fs::symlink_metadata(directory.path()).unwrap();
    assert!(found.file_type().is_socket());
    found.permissions().mode() & 0o7777
}

#[test]
fn its_socket_is_its_users_alone_unless_it_is_told_otherwise() {
    let directory = Directory::new();
    let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
    assert_eq!(mode(&directory), 0o600);
    drop(agent);
    // Which the usual umask would not let be.
    let agent = Agent::bind(directory.path(), AgentOptions::default().mode(0o666)).unwrap();
    assert_eq!(mode(&directory), 0o666);
    drop(agent);
}

#[test]
fn its_socket_is_removed_at_the_end() {
    let directory = Directory::new();
    let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
    drop(agent);
    assert!(!directory.path().exists());
}

#[test]
fn a_socket_that_took_its_name_is_not_removed() {
    let directory = Directory::new();
    let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
    fs::remove_file(directory.path()).unwrap();
    let _other = UnixListener::bind(directory.path()).unwrap();
    drop(agent);
    assert!(UnixStream::connect(directory.path()).is_ok());
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let directory = Directory::new();
    drop(UnixListener::bind(directory.path()).unwrap());
    assert!(directory.path().exists());
    let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
    let (target, listener) = Target::serves();
    let _runtime = start(&directory.path(), "one", &listener);
    drop(listener);
    check_served(&target, &accept(&agent).take_listener().unwrap());
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let directory = Directory::new();
    let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
    let second = Agent::bind(directory.path(), AgentOptions::default());
    let error = second.unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::Busy, libc::EADDRINUSE)
    );
    // Its look was a connection, which is none to speak of.
    nothing_comes(&agent);
    let datagrams = Directory::new();
    let _other = UnixDatagram::bind(datagrams.path()).unwrap();
    let second = Agent::bind(datagrams.path(), AgentOptions::default());
    assert_eq!(status(second), Status::Busy);
}

#[test]
fn a_socket_with_a_full_backlog_is_listened_on() {
    watched(|| {
        let directory = Directory::new();
        let busy = UnixListener::bind(directory.path()).unwrap();
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::listen(busy.as_raw_fd(), 0) }, 0);
        let _waits = UnixStream::connect(directory.path()).unwrap();
        let second = Agent::bind(directory.path(), AgentOptions::default());
        assert_eq!(status(second), Status::Busy);
    });
}

#[test]
fn another_users_socket_is_left_alone() {
    if !is_root() {
        return skip("takes root");
    }
    let directory = Directory::new();
    drop(UnixListener::bind(directory.path()).unwrap());
    std::os::unix::fs::chown(directory.path(), Some(65534), None).unwrap();
    let error = Agent::bind(directory.path(), AgentOptions::default()).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::Permission, libc::EADDRINUSE)
    );
    assert!(directory.path().exists());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = Directory::new();
    fs::write(directory.path(), "text").unwrap();
    let error = Agent::bind(directory.path(), AgentOptions::default()).unwrap_err();
    assert_eq!(error.errno(), libc::EADDRINUSE);
    fs::remove_file(directory.path()).unwrap();
    std::os::unix::fs::symlink("elsewhere", directory.path()).unwrap();
    let error = Agent::bind(directory.path(), AgentOptions::default()).unwrap_err();
    assert_eq!(error.errno(), libc::EADDRINUSE);
    assert!(fs::symlink_metadata(directory.path()).is_ok());
}

#[test]
fn of_many_that_begin_at_once_in_the_place_of_an_old_one_one_has_the_socket() {
    watched(|| {
        let directory = Directory::new();
        for _ in 0..fewer(20) {
            drop(UnixListener::bind(directory.path()).unwrap());
            let path = directory.path();
            let begin = || Agent::bind(&path, AgentOptions::default());
            let agents: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let (have, have_not): (Vec<_>, Vec<_>) = agents.into_iter().partition(Result::is_ok);
            assert_eq!(have.len(), 1);
            assert!(have_not.into_iter().all(|e| status(e) == Status::Busy));
            assert!(UnixStream::connect(&path).is_ok());
        }
    });
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    let directory = Directory::new();
    let long = directory.path().with_file_name("x".repeat(108));
    let error = Agent::bind(long, AgentOptions::default()).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
}

#[test]
fn options_out_of_range_are_refused() {
    let directory = Directory::new();
    let default = AgentOptions::default;
    for options in [
        default().mode(0o1777),
        default().max_message(0),
        default().max_fds(0),
        default().max_fds(254),
        default().time_limit(Duration::ZERO),
    ] {
        let agent = Agent::bind(directory.path(), options);
        assert_eq!(status(agent), Status::InvalidArgument);
        assert!(!directory.path().exists());
    }
}

#[test]
fn it_takes_a_socket_that_listens_already() {
    watched(|| {
        let directory = Directory::new();
        let socket = UnixListener::bind(directory.path()).unwrap();
        let agent = Agent::from_socket(socket.into(), AgentOptions::default()).unwrap();
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "one", &listener);
        drop(listener);
        check_served(&target, &accept(&agent).take_listener().unwrap());
        drop(agent);
        // Which is whose it was.
        assert!(directory.path().exists());
    });
}

#[test]
fn what_does_not_listen_is_no_socket_for_it() {
    let (one, other) = UnixStream::pair().unwrap();
    let unbound = UnixDatagram::unbound().unwrap();
    for fd in [
        OwnedFd::from(one),
        other.into(),
        unbound.into(),
        fs::File::open("/dev/null").unwrap().into(),
    ] {
        let agent = Agent::from_socket(fd, AgentOptions::default());
        assert_eq!(status(agent), Status::InvalidArgument);
    }
}

#[test]
fn it_takes_the_socket_that_a_service_manager_has_passed() {
    alone(|| {
        let directory = Directory::new();
        let none = Agent::from_environment(AgentOptions::default());
        assert_eq!(status(none), Status::InvalidArgument);
        let socket = UnixListener::bind(directory.path()).unwrap();
        // SAFETY: integers only. Nothing of this test's is there but perhaps the socket.
        assert_eq!(unsafe { libc::dup2(socket.into_raw_fd(), 3) }, 3);
        let process = std::process::id();
        let pass = |pid: u32, count: &str| {
            std::env::set_var("LISTEN_PID", pid.to_string());
            std::env::set_var("LISTEN_FDS", count);
            Agent::from_environment(AgentOptions::default())
        };
        assert_eq!(status(pass(process + 1, "1")), Status::InvalidArgument);
        assert_eq!(status(pass(process, "2")), Status::InvalidArgument);
        let agent = pass(process, "1").unwrap();
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "one", &listener);
        drop(listener);
        check_served(&target, &accept(&agent).take_listener().unwrap());
        // Once.
        assert_eq!(status(pass(process, "1")), Status::InvalidArgument);
    });
}
