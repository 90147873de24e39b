//! Connecting a target's socket for it.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use support::*;
use unotify::{Notification, Status, SupervisorOptions, Verdict};

/// A directory to be removed with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unotify-connect-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Unix socket that nobody can connect to before somebody is accepted.
fn full(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    // SAFETY: integers only.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    // It stays in the queue when it has ended.
    std::os::unix::net::UnixStream::connect(path).unwrap();
    listener
}

fn unix_address(path: impl AsRef<Path>) -> Vec<u8> {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    [&family, path.as_ref().as_os_str().as_bytes()].concat()
}

fn inet_address(port: u16) -> Vec<u8> {
    let family = (libc::AF_INET as u16).to_ne_bytes();
    [&family[..], &port.to_be_bytes(), &[127, 0, 0, 1], &[0; 8]].concat()
}

/// The address that a call asks about, with the length behind it.
fn address(n: &mut Notification) -> Result<Vec<u8>, unotify::Error> {
    let [_, at, len, ..] = n.request().args;
    let mut address = vec![0; len as usize];
    n.read(at, &mut address)?;
    Ok(address)
}

/// A target asks as by `connect(2)`.
fn answer(n: &mut Notification) -> Result<(), unotify::Error> {
    let address = address(n)?;
    n.reply_connect(n.request().args[0] as i32, &address, None)
}

/// The same as a handler does it.
fn handler(n: &mut Notification) -> Verdict {
    if let Err(error) = answer(n) {
        let _ = n.reply_error(error.errno());
    }
    Verdict::Handled
}

fn handle_next(target: &Asker) {
    handler(&mut target.receive());
}

/// What a target does: has its socket connected.
fn connect(socket: impl AsFd, address: &[u8]) -> i64 {
    let socket = socket.as_fd().as_raw_fd() as u64;
    ask(socket, address.as_ptr() as u64, address.len() as u64)
}

fn socket(family: i32, kind: i32) -> OwnedFd {
    // SAFETY: integers only.
    own(unsafe { libc::socket(family, kind, 0) })
}

fn stream() -> OwnedFd {
    socket(libc::AF_UNIX, libc::SOCK_STREAM)
}

fn flags(socket: BorrowedFd<'_>) -> i32 {
    // SAFETY: integers only.
    unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) }
}

const EINTR: i64 = -(libc::EINTR as i64);

static COUNT: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: i32) {
    COUNT.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_socket_is_connected_to_where_the_copied_address_says() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Asker::start(|| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM);
        let mut address = inet_address(port);
        assert_eq!(connect(&socket, &address), 0);
        let before = flags(socket.as_fd());
        let stream = std::net::TcpStream::from(socket);
        assert_eq!(stream.peer_addr().unwrap().port(), port);
        assert_eq!(flags(stream.as_fd()), before);
        assert_eq!(before & libc::O_NONBLOCK, 0);
        address.clear();
        0
    });
    let mut n = target.receive();
    let copied = address(&mut n).unwrap();
    // Whatever the target does to its own one now.
    n.write(n.request().args[1], &[0; 16]).unwrap();
    n.reply_connect(n.request().args[0] as i32, &copied, None)
        .unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    // Nobody else has the socket when the target has closed it.
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
    target.end();
}

#[test]
fn what_the_kernel_says_is_the_answer() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = Asker::start(|| {
        let refused = -i64::from(libc::ECONNREFUSED);
        let inet = socket(libc::AF_INET, libc::SOCK_STREAM);
        assert_eq!(connect(&inet, &inet_address(port)), refused);
        let short = inet_address(port)[..7].to_vec();
        assert_eq!(connect(&inet, &short), -i64::from(libc::EINVAL));
        assert_eq!(connect(&inet, &[]), -i64::from(libc::EINVAL));
        let file = fs::File::open("/dev/null").unwrap();
        assert_eq!(
            connect(file, &inet_address(port)),
            -i64::from(libc::ENOTSOCK)
        );
        // The path's own errors come before that of the file.
        assert_eq!(
            connect(stream(), &unix_address("/no/such")),
            -i64::from(libc::ENOENT)
        );
        assert_eq!(connect(stream(), &unix_address("/dev/null")), refused);
        let long = [0xff; 129];
        assert_eq!(connect(stream(), &long), -i64::from(libc::EINVAL));
        let path = "a".repeat(109);
        assert_eq!(
            connect(stream(), &unix_address(path)),
            -i64::from(libc::EINVAL)
        );
        assert_eq!(
            ask(u64::MAX, long.as_ptr() as u64, 16),
            -i64::from(libc::EBADF)
        );
        0
    });
    for _ in 0..9 {
        handle_next(&target);
    }
    target.end();
}

#[test]
fn a_socket_that_does_not_wait_is_on_its_way() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let _listener = full(&path);
    let inet = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = inet.local_addr().unwrap().port();
    let target = Asker::start(|| {
        let unix = socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
        assert_eq!(
            connect(&unix, &unix_address(&path)),
            -i64::from(libc::EAGAIN)
        );
        assert_ne!(flags(unix.as_fd()) & libc::O_NONBLOCK, 0);
        let inet = socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
        assert_eq!(
            connect(&inet, &inet_address(port)),
            -i64::from(libc::EINPROGRESS)
        );
        let mut entry = libc::pollfd {
            fd: inet.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: one entry, which is ours.
        assert_eq!(unsafe { libc::poll(&mut entry, 1, 10_000) }, 1);
        assert!(std::net::TcpStream::from(inet).peer_addr().is_ok());
        0
    });
    for _ in 0..2 {
        let mut n = target.receive();
        answer(&mut n).unwrap();
        assert_eq!(status(n.check_valid()), Status::Answered);
    }
    target.end();
}

#[test]
fn one_that_waits_waits_without_the_handler() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let listener = full(&path);
    let target = Asker::start(|| connect(stream(), &unix_address(&path)) as i32);
    let mut n = target.receive();
    answer(&mut n).unwrap();
    assert_eq!(status(n.reply_value(0)), Status::InvalidArgument);
    thread::sleep(MOMENT);
    for _ in 0..2 {
        listener.accept().unwrap();
    }
    target.end();
}

#[test]
fn a_signal_ends_the_wait_and_the_call_has_eintr() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let listener = full(&path);
    let target = Asker::start(|| {
        handle(libc::SIGALRM, count, 0);
        let socket = stream();
        // SAFETY: takes seconds.
        unsafe { libc::alarm(1) };
        assert_eq!(connect(&socket, &unix_address(&path)), EINTR);
        assert_eq!(COUNT.load(Ordering::SeqCst), 1);
        // And then it is connected after all.
        connect(&socket, &unix_address(&path)) as i32
    });
    handle_next(&target);
    handle_next(&target);
    for _ in 0..2 {
        listener.accept().unwrap();
    }
    target.end();
}

#[test]
fn a_signal_whose_handler_restarts_calls_has_the_call_made_again() {
    let directory = Directory::new();
    let path = directory.0.join("socket");
    let listener = full(&path);
    let target = Asker::start(|| {
        handle(libc::SIGALRM, count, libc::SA_RESTART);
        assert_eq!(connect(stream(), &unix_address(&path)), 0);
        assert_eq!(COUNT.load(Ordering::SeqCst), 2);
        0
    });
    for _ in 0..2 {
        handle_next(&target);
        target.process.signal(libc::SIGALRM);
    }
    handle_next(&target);
    for _ in 0..2 {
        listener.accept().unwrap();
    }
    target.end();
}

/// A port of this machine to which connections are on their way for a second and more: its queue is
/// full. Who is accepted makes room.
fn slow_port() -> (TcpListener, Vec<OwnedFd>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // SAFETY: integers only.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = inet_address(listener.local_addr().unwrap().port());
    let mut waiting = Vec::new();
    loop {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
        // SAFETY: as many bytes as said.
        unsafe {
            libc::connect(
                socket.as_raw_fd(),
                address.as_ptr().cast(),
                address.len() as libc::socklen_t,
            )
        };
        let mut entry = libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: one entry, which is ours.
        let made = unsafe { libc::poll(&mut entry, 1, 200) } == 1;
        waiting.push(socket);
        if !made {
            return (listener, waiting);
        }
        assert!(waiting.len() < 20);
    }
}

#[test]
fn a_connection_goes_on_being_made_when_the_call_was_interrupted() {
    let (listener, waiting) = slow_port();
    let address = inet_address(listener.local_addr().unwrap().port());
    let target = Asker::start(|| {
        handle(libc::SIGALRM, count, 0);
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM);
        // SAFETY: takes seconds.
        unsafe { libc::alarm(1) };
        assert_eq!(connect(&socket, &address), EINTR);
        // As it is without a supervisor: the second call waits for what the first has begun.
        assert_eq!(connect(&socket, &address), 0);
        i32::from(std::net::TcpStream::from(socket).peer_addr().is_err())
    });
    handle_next(&target);
    handle_next(&target);
    drop(waiting);
    let accepting = thread::spawn(move || while listener.accept().is_ok() {});
    target.end();
    drop(accepting);
}

#[test]
fn a_time_limit_of_the_socket_holds() {
    let (listener, _waiting) = slow_port();
    let address = inet_address(listener.local_addr().unwrap().port());
    let target = Asker::start(|| {
        handle(libc::SIGALRM, count, libc::SA_RESTART);
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM);
        let limit = libc::timeval {
            tv_sec: 2,
            tv_usec: 0,
        };
        // SAFETY: the structure is as long as said.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_SNDTIMEO,
                (&raw const limit).cast(),
                size_of_val(&limit) as libc::socklen_t,
            )
        };
        assert_eq!(set, 0);
        // SAFETY: takes seconds.
        unsafe { libc::alarm(1) };
        // Not made again, whatever the handler says.
        assert_eq!(connect(&socket, &address), EINTR);
        assert_eq!(connect(&socket, &address), -i64::from(libc::EALREADY));
        0
    });
    handle_next(&target);
    handle_next(&target);
    target.end();
}

#[test]
fn many_that_wait_hold_no_worker_and_end_with_their_target() {
    alone(|| {
        const MANY: usize = 64;
        let directory = Directory::new();
        let path = directory.0.join("socket");
        let _listener = full(&path);
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let supervisor = Arc::new(supervisor(SupervisorOptions::default(), handler));
        let before = threads();
        let Asker {
            mut process,
            listener,
        } = Asker::start(|| {
            let begun: Vec<_> = (0..MANY)
                .map(|_| {
                    let path = path.clone();
                    thread::spawn(move || connect(stream(), &unix_address(path)))
                })
                .collect();
            // When they all wait, another one is served.
            thread::sleep(Duration::from_millis(300));
            let refused = connect(stream(), &unix_address("/no/such"));
            assert_eq!(refused, -i64::from(libc::ENOENT));
            for thread in begun {
                thread.join().unwrap();
            }
            0
        });
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().deferred_outstanding == MANY as u64);
        soon(|| supervisor.stats().errors == 1);
        process.kill();
        soon(|| supervisor.stats().deferred_outstanding == 0);
        supervisor.join().unwrap();
        drop(supervisor);
        soon(|| threads() == before);
    });
}

#[test]
fn a_path_is_the_targets_however_long_it_is() {
    let directory = Directory::new();
    let deep = directory.0.join("d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let (reading, writing) = pipe();
    // Who listens binds it by the short name.
    let mut peer = Process::fork(|| {
        std::env::set_current_dir(&deep).unwrap();
        let listener = UnixListener::bind("socket").unwrap();
        fs::File::from(writing.try_clone().unwrap())
            .write_all(b"!")
            .unwrap();
        for _ in 0..2 {
            listener.accept().unwrap();
        }
        0
    });
    assert_eq!(polled(&reading, LIMIT), libc::POLLIN);
    let target = Asker::start(|| {
        std::env::set_current_dir(&deep).unwrap();
        assert_eq!(connect(stream(), &unix_address("socket")), 0);
        // It ends with the address, though memory goes on behind it.
        let longer = unix_address("./socketeer");
        assert_eq!(connect(stream(), &longer[..longer.len() - 3]), 0);
        0
    });
    handle_next(&target);
    handle_next(&target);
    target.end();
    assert_eq!(peer.wait(), 0);
}

#[test]
fn a_socket_that_was_decided_on_is_connected_to_whatever_its_name_leads_to_then() {
    let directory = Directory::new();
    let (path, other) = (directory.0.join("socket"), directory.0.join("other"));
    let listener = UnixListener::bind(&path).unwrap();
    let impostor = UnixListener::bind(&other).unwrap();
    let target = Asker::start(|| connect(stream(), &unix_address(&path)) as i32);
    let mut n = target.receive();
    let asked = address(&mut n).unwrap();
    let file = n.open_socket(&asked).unwrap();
    fs::rename(&other, &path).unwrap();
    n.reply_connect(n.request().args[0] as i32, &asked, Some(file.as_fd()))
        .unwrap();
    listener.accept().unwrap();
    impostor.set_nonblocking(true).unwrap();
    assert!(impostor.accept().is_err());
    target.end();
}

#[test]
fn an_address_without_a_path_has_no_file() {
    let target = Asker::start(|| {
        ask(0, 0, 0);
        0
    });
    let mut n = target.receive();
    for address in [&inet_address(1)[..], &unix_address("\0abstract"), &[]] {
        assert_eq!(status(n.open_socket(address)), Status::InvalidArgument);
    }
    target.finish(n);
}

#[test]
fn a_connection_is_taken_away() {
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = peer.local_addr().unwrap().port();
    let target = Asker::start(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(connect(&socket, &inet_address(port)), 0);
        let expected = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        assert_eq!(socket.peer_addr().unwrap(), expected.into());
        assert_eq!(connect(&socket, &[0; 16]), 0);
        assert_eq!(
            socket.peer_addr().unwrap_err().raw_os_error(),
            Some(libc::ENOTCONN)
        );
        0
    });
    handle_next(&target);
    handle_next(&target);
    target.end();
}

#[test]
fn a_target_that_is_killed_ends_its_wait() {
    alone(|| {
        let directory = Directory::new();
        let path = directory.0.join("socket");
        let _listener = full(&path);
        let target = Asker::start(|| connect(stream(), &unix_address(&path)) as i32);
        handle_next(&target);
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        thread::sleep(MOMENT);
        let waiting = threads();
        let begun = Instant::now();
        target.kill();
        soon(|| threads() + 2 == waiting);
        assert!(begun.elapsed() < slowed(Duration::from_secs(2)));
    });
}
