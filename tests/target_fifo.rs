//! Opening what has to wait for somebody: FIFOs.

mod support;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::*;
use unotify::{Notification, OpenHow, Rights, Roots, Status, Verdict};

/// A FIFO to be removed with the test.
struct Fifo(PathBuf);

impl Fifo {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unotify-fifo-{}-{number}", std::process::id());
        let fifo = Fifo(std::env::temp_dir().join(name));
        // SAFETY: a string.
        assert_eq!(unsafe { libc::mkfifo(fifo.path().as_ptr(), 0o600) }, 0);
        fifo
    }

    fn path(&self) -> CString {
        CString::new(self.0.as_os_str().as_bytes()).unwrap()
    }

    /// Opens it for writing once somebody reads, or waits to.
    fn writer(&self) -> File {
        let begun = Instant::now();
        loop {
            let mut options = File::options();
            match options
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&self.0)
            {
                Ok(file) => return file,
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENXIO)),
            }
            assert!(
                begun.elapsed() < slowed(Duration::from_secs(10)),
                "nobody reads"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether somebody reads, or waits to. Whoever waits for a writer has had one then.
    fn is_read(&self) -> bool {
        let mut options = File::options();
        options
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.0)
            .is_ok()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A target asks for the path at its first argument to be opened, with its second one as flags.
fn answer(n: &mut Notification) -> Result<(), unotify::Error> {
    let [path, flags, ..] = n.request().args;
    let found = n.open(libc::AT_FDCWD, path, OpenHow::new(libc::O_PATH))?;
    n.reply_open(found.as_fd(), flags as i32, 0)
}

/// The same as a handler does it.
fn handler(n: &mut Notification) -> Verdict {
    if let Err(error) = answer(n) {
        let _ = n.reply_error(error.errno());
    }
    Verdict::Handled
}

/// What a target does: has it opened.
fn open(fifo: &Fifo, flags: i32) -> i64 {
    ask(fifo.path().as_ptr() as u64, flags as u64, 0)
}

/// Handles the next call that the target makes.
fn handle_next(target: &Asker) {
    handler(&mut target.receive());
}

fn text(fd: i64) -> String {
    let mut text = String::new();
    File::from(own(fd as i32))
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn a_reader_waits_for_a_writer() {
    let fifo = Fifo::new();
    let target = Asker::start(|| i32::from(text(open(&fifo, libc::O_RDONLY)) != "x"));
    handle_next(&target);
    fifo.writer().write_all(b"x").unwrap();
    target.end();
}

#[test]
fn a_writer_waits_for_a_reader() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        let mut file = File::from(own(open(&fifo, libc::O_WRONLY) as i32));
        file.write_all(b"x").unwrap();
        0
    });
    handle_next(&target);
    thread::sleep(MOMENT);
    assert_eq!(fs::read_to_string(&fifo.0).unwrap(), "x");
    target.end();
}

#[test]
fn two_targets_wait_for_each_other() {
    let fifo = Fifo::new();
    let reader = Asker::start(|| i32::from(text(open(&fifo, libc::O_RDONLY)) != "x"));
    let writer = Asker::start(|| {
        let mut file = File::from(own(open(&fifo, libc::O_WRONLY) as i32));
        file.write_all(b"x").unwrap();
        0
    });
    handle_next(&reader);
    handle_next(&writer);
    reader.end();
    writer.end();
}

#[test]
fn the_handler_does_not_wait_and_its_notification_is_empty() {
    let fifo = Fifo::new();
    let target = Asker::start(|| i32::from(open(&fifo, libc::O_RDONLY) < 0));
    let mut n = target.receive();
    answer(&mut n).unwrap();
    assert_eq!(status(n.reply_value(0)), Status::InvalidArgument);
    drop(n);
    fifo.writer();
    target.end();
}

#[test]
fn the_descriptor_blocks_and_is_close_on_exec_as_asked() {
    for cloexec in [0, libc::O_CLOEXEC] {
        let fifo = Fifo::new();
        let target = Asker::start(|| {
            let fd = open(&fifo, libc::O_RDONLY | cloexec) as i32;
            // SAFETY: integers only.
            let flags = unsafe {
                (
                    libc::fcntl(fd, libc::F_GETFL),
                    libc::fcntl(fd, libc::F_GETFD),
                )
            };
            assert_eq!(flags.0 & libc::O_NONBLOCK, 0);
            assert_eq!(flags.1 & libc::FD_CLOEXEC != 0, cloexec != 0);
            0
        });
        handle_next(&target);
        fifo.writer();
        target.end();
    }
}

#[test]
fn who_asks_not_to_wait_does_not() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        assert_eq!(
            open(&fifo, libc::O_WRONLY | libc::O_NONBLOCK),
            -i64::from(libc::ENXIO)
        );
        assert!(open(&fifo, libc::O_RDONLY | libc::O_NONBLOCK) >= 0);
        0
    });
    handle_next(&target);
    handle_next(&target);
    target.end();
}

#[test]
fn a_fifo_for_reading_and_writing_and_other_files_are_open_at_once() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        assert!(open(&fifo, libc::O_RDWR) >= 0);
        assert!(ask(c"/dev/null".as_ptr() as u64, libc::O_WRONLY as u64, 0) >= 0);
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
fn a_file_that_may_not_be_opened_is_an_error_and_the_target_goes_on_waiting() {
    let target = Asker::start(|| {
        let path = c"/proc/self";
        let refused = ask(
            path.as_ptr() as u64,
            (libc::O_WRONLY | libc::O_DIRECTORY) as u64,
            0,
        );
        i32::from(refused != -i64::from(libc::EISDIR))
    });
    let mut n = target.receive();
    let error = answer(&mut n).unwrap_err();
    assert_eq!(error.errno(), libc::EISDIR);
    n.reply_error(error.errno()).unwrap();
    target.end();
}

static COUNT: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: i32) {
    COUNT.fetch_add(1, Ordering::SeqCst);
}

/// The same for what lies in these directories.
fn answer_within(n: &mut Notification, roots: &Roots) -> Result<(), unotify::Error> {
    let [path, flags, ..] = n.request().args;
    n.reply_open_within(roots, libc::AT_FDCWD, path, OpenHow::new(flags as i32))
}

fn roots(rights: Rights) -> Roots {
    let mut roots = Roots::new().unwrap();
    roots.add(std::env::temp_dir(), rights).unwrap();
    roots
}

#[test]
fn within_directories_a_reader_waits_for_data() {
    let fifo = Fifo::new();
    let target = Asker::start(|| i32::from(text(open(&fifo, libc::O_RDONLY)) != "x"));
    let mut n = target.receive();
    answer_within(&mut n, &roots(Rights::READ)).unwrap();
    assert_eq!(status(n.check_valid()), Status::InvalidArgument);
    thread::sleep(MOMENT);
    fifo.writer().write_all(b"x").unwrap();
    target.end();
}

#[test]
fn within_directories_a_reader_waits_for_a_writer_that_writes_nothing() {
    let fifo = Fifo::new();
    let target = Asker::start(|| i32::from(open(&fifo, libc::O_RDONLY) < 0));
    answer_within(&mut target.receive(), &roots(Rights::READ)).unwrap();
    thread::sleep(MOMENT);
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn within_directories_a_reader_sees_a_writer_that_has_come_and_gone() {
    let fifo = Fifo::new();
    let target = Asker::start(|| i32::from(!text(open(&fifo, libc::O_RDONLY)).is_empty()));
    answer_within(&mut target.receive(), &roots(Rights::READ)).unwrap();
    drop(fifo.writer());
    target.end();
}

#[test]
fn within_directories_a_writer_waits_for_a_reader() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        let mut file = File::from(own(open(&fifo, libc::O_WRONLY) as i32));
        file.write_all(b"x").unwrap();
        0
    });
    answer_within(&mut target.receive(), &roots(Rights::WRITE)).unwrap();
    thread::sleep(MOMENT);
    assert_eq!(fs::read_to_string(&fifo.0).unwrap(), "x");
    target.end();
}

#[test]
fn within_directories_that_may_only_be_read_nobody_writes_to_a_fifo() {
    let fifo = Fifo::new();
    let target = Asker::start(|| 0 - open(&fifo, libc::O_WRONLY) as i32);
    let mut n = target.receive();
    let error = answer_within(&mut n, &roots(Rights::READ)).unwrap_err();
    assert_eq!(error.errno(), libc::EACCES);
    target.finish(n);
}

#[test]
fn within_directories_a_signal_ends_the_wait() {
    let fifo = Fifo::new();
    let rights = Rights::READ | Rights::WRITE;
    for flags in [libc::O_RDONLY, libc::O_WRONLY] {
        let target = Asker::start(|| {
            sigaction(libc::SIGALRM, 0);
            i32::from(open(&fifo, flags) != EINTR)
        });
        answer_within(&mut target.receive(), &roots(rights)).unwrap();
        target.process.signal(libc::SIGALRM);
        target.end();
    }
}

#[test]
fn within_directories_files_are_open_at_once() {
    let target = Asker::start(|| {
        let path = c"/dev/null";
        i32::from(ask(path.as_ptr() as u64, libc::O_RDWR as u64, 0) < 0)
    });
    let mut n = target.receive();
    let mut roots = Roots::new().unwrap();
    roots.add("/dev", Rights::all()).unwrap();
    answer_within(&mut n, &roots).unwrap();
    assert_eq!(status(n.check_valid()), Status::Answered);
    target.end();
}

fn sigaction(signal: i32, flags: i32) {
    handle(signal, count, flags);
}

fn block(signal: i32) {
    // SAFETY: a set of ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// Whether the target makes another call within a moment.
fn asks_again(target: &Asker) -> bool {
    match target.listener.receive_timeout(3 * MOMENT) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.status(), Status::Timeout);
            false
        }
    }
}

const EINTR: i64 = -(libc::EINTR as i64);

#[test]
fn a_signal_ends_the_wait_and_the_call_has_eintr() {
    let fifo = Fifo::new();
    for flags in [libc::O_RDONLY, libc::O_WRONLY] {
        let target = Asker::start(|| {
            sigaction(libc::SIGALRM, 0);
            assert_eq!(open(&fifo, flags), EINTR);
            assert_eq!(COUNT.load(Ordering::SeqCst), 1);
            0
        });
        handle_next(&target);
        target.process.signal(libc::SIGALRM);
        target.end();
    }
    // Nobody waits there any more.
    assert!(!fifo.is_read());
}

#[test]
fn a_signal_whose_handler_restarts_calls_has_the_call_made_again() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        sigaction(libc::SIGALRM, libc::SA_RESTART);
        assert!(open(&fifo, libc::O_RDONLY) >= 0);
        assert_eq!(COUNT.load(Ordering::SeqCst), 2);
        0
    });
    for _ in 0..2 {
        handle_next(&target);
        target.process.signal(libc::SIGALRM);
    }
    handle_next(&target);
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn a_signal_that_is_blocked_or_ignored_does_not_end_the_wait() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        sigaction(libc::SIGALRM, 0);
        block(libc::SIGALRM);
        i32::from(open(&fifo, libc::O_RDONLY) < 0)
    });
    handle_next(&target);
    target.process.signal(libc::SIGALRM);
    target.process.signal(libc::SIGWINCH);
    target.process.signal(libc::SIGCHLD);
    assert!(!asks_again(&target));
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn a_target_that_is_stopped_stops_and_goes_on_waiting_when_it_is_continued() {
    let fifo = Fifo::new();
    let target = Asker::start(|| i32::from(open(&fifo, libc::O_RDONLY) < 0));
    handle_next(&target);
    target.process.signal(libc::SIGSTOP);
    let stat = format!("/proc/{}/stat", target.process.pid);
    soon(|| fs::read_to_string(&stat).unwrap().contains(") T "));
    target.process.signal(libc::SIGCONT);
    handle_next(&target);
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn a_signal_to_one_thread_ends_the_wait_of_that_thread() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        sigaction(libc::SIGALRM, 0);
        let wait = |number| ask(fifo.path().as_ptr() as u64, libc::O_RDONLY as u64, number);
        thread::scope(|scope| {
            let interrupted = scope.spawn(|| wait(1));
            let other = scope.spawn(|| wait(2));
            assert_eq!(interrupted.join().unwrap(), EINTR);
            ask(0, 0, 0);
            i32::from(other.join().unwrap() < 0)
        })
    });
    let mut first = 0;
    for _ in 0..2 {
        let mut n = target.receive();
        if n.request().args[2] == 1 {
            first = n.request().pid;
        }
        handler(&mut n);
    }
    // SAFETY: integers only.
    unsafe { libc::syscall(libc::SYS_tgkill, target.process.pid, first, libc::SIGALRM) };
    target.receive().reply_value(0).unwrap();
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn a_signal_to_the_process_ends_the_wait_of_its_first_thread() {
    let fifo = Fifo::new();
    let (hold, held) = pipe();
    let target = Asker::start(|| {
        sigaction(libc::SIGALRM, 0);
        thread::scope(|scope| {
            scope.spawn(|| File::from(hold.try_clone().unwrap()).read_exact(&mut [0]));
            // Until then the new thread may take it, as it begins.
            thread::sleep(MOMENT);
            let opened = open(&fifo, libc::O_RDONLY);
            assert_eq!(opened, EINTR);
            File::from(held.try_clone().unwrap())
                .write_all(&[0])
                .unwrap();
        });
        0
    });
    handle_next(&target);
    target.process.signal(libc::SIGALRM);
    target.end();
}

#[test]
fn a_signal_that_another_thread_takes_does_not_end_the_wait() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        sigaction(libc::SIGALRM, libc::SA_RESTART);
        thread::scope(|scope| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            // The first thread has it blocked: so the other one takes it.
            block(libc::SIGALRM);
            let opened = open(&fifo, libc::O_RDONLY);
            assert_eq!(COUNT.load(Ordering::SeqCst), 1);
            drop(done);
            i32::from(opened < 0)
        })
    });
    handle_next(&target);
    target.process.signal(libc::SIGALRM);
    assert!(!asks_again(&target));
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn a_fatal_signal_ends_the_target_and_the_wait() {
    let fifo = Fifo::new();
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let mut target = Asker::start(|| open(&fifo, libc::O_WRONLY) as i32);
        handle_next(&target);
        target.process.signal(signal);
        assert_eq!(target.process.wait(), -signal);
    }
}

#[test]
fn a_killed_target_frees_everything() {
    in_child(|| {
        let fifo = Fifo::new();
        let before = (entries("fd"), entries("task"));
        for flags in [libc::O_RDONLY, libc::O_WRONLY] {
            let target = Asker::start(|| open(&fifo, flags) as i32);
            handle_next(&target);
            assert!(entries("task") >= before.1 + 2);
            target.kill();
            soon(|| (entries("fd"), entries("task")) == before);
        }
        assert!(!fifo.is_read());
    });
}

#[test]
fn where_a_signal_interrupts_a_received_call_the_wait_ends_with_that() {
    let fifo = Fifo::new();
    let path = fifo.path();
    let filter = notifying(&["getppid"]);
    let flags = unotify::LoadFlags::NO_WAIT_KILLABLE;
    let (mut target, listener) = Target::under(&filter, flags, |channel| {
        sigaction(libc::SIGALRM, 0);
        channel.tell(ask(path.as_ptr() as u64, libc::O_RDONLY as u64, 0));
    });
    handler(&mut listener.receive().unwrap());
    target.process.signal(libc::SIGALRM);
    assert_eq!(target.result(), EINTR);
    assert_eq!(target.process.wait(), 0);
    thread::sleep(MOMENT);
    assert!(!fifo.is_read());
}

#[test]
fn many_waiting_opens_hold_no_worker() {
    const MANY: usize = 64;
    let fifo = Fifo::new();
    let supervisor = supervisor(workers(1), |n| match n.request().args[0] {
        small if small < 100 => echo(n),
        _ => handler(n),
    });
    let waiting = Asker::start(|| {
        thread::scope(|scope| {
            let opens: Vec<_> = (0..MANY)
                .map(|_| scope.spawn(|| open(&fifo, libc::O_RDONLY)))
                .collect();
            let opened = opens.into_iter().map(|open| open.join().unwrap());
            i32::from(opened.filter(|&fd| fd >= 0).count() != MANY)
        })
    });
    let (served, listener) = Target::serves();
    let Asker {
        mut process,
        listener: of_waiting,
    } = waiting;
    supervisor.add_listener(of_waiting, 0).unwrap();
    supervisor.add_listener(listener, 0).unwrap();
    supervisor.start().unwrap();
    soon(|| supervisor.stats().deferred_outstanding == MANY as u64);
    for value in 0..50 {
        served.make_call(value);
        assert_eq!(served.result(), value);
    }
    // A worker that is slow once has another one beside it.
    assert!(supervisor.stats().workers_max <= 3);
    // All of them wait for the same.
    let writer = fifo.writer();
    assert_eq!(process.wait(), 0);
    drop(writer);
    served.end();
    supervisor.join().unwrap();
    // A thread that has answered takes a moment to end.
    soon(|| supervisor.stats().deferred_outstanding == 0);
    assert_eq!(supervisor.stats().deferred, MANY as u64);
}

#[test]
fn a_target_that_may_not_have_more_descriptors_hears_that_after_the_wait() {
    let fifo = Fifo::new();
    let target = Asker::start(|| {
        let limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: a limit of ours.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        i32::from(open(&fifo, libc::O_RDONLY) != -i64::from(libc::EMFILE))
    });
    handle_next(&target);
    let _writer = fifo.writer();
    target.end();
}

#[test]
fn a_call_is_interrupted_if_a_signal_waits_and_only_then() {
    let target = Asker::start(|| {
        sigaction(libc::SIGALRM, 0);
        i32::from(ask(0, 0, 0) != EINTR)
    });
    let mut n = target.receive();
    assert!(!n.reply_interrupted().unwrap());
    n.check_valid().unwrap();
    target.process.signal(libc::SIGALRM);
    assert!(n.reply_interrupted().unwrap());
    assert_eq!(status(n.check_valid()), Status::Answered);
    target.end();
}

#[test]
fn a_lease_is_waited_for() {
    let path = std::env::temp_dir().join(format!("unotify-lease-{}", std::process::id()));
    fs::write(&path, "x").unwrap();
    let lease = File::options().write(true).open(&path).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&lease);
    handle(libc::SIGIO, nothing, libc::SA_RESTART);
    // SAFETY: integers only.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) } != 0 {
        let _ = fs::remove_file(&path);
        return skip("takes a file system with leases");
    }
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    let target = Asker::start(|| i32::from(ask(name.as_ptr() as u64, 0, 0) < 0));
    let mut n = target.receive();
    answer(&mut n).unwrap();
    assert_eq!(status(n.check_valid()), Status::InvalidArgument);
    // SAFETY: integers only.
    let given_up = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
    assert_eq!(given_up, 0);
    target.end();
    fs::remove_file(&path).unwrap();
}

/// Sends the calling process a signal every few milliseconds from now on.
fn disturb(milliseconds: i64) {
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: milliseconds * 1000,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: a timer of ours.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

#[test]
fn no_open_is_lost_or_fails_among_many_signals() {
    const ROUNDS: u32 = 20;
    in_child(|| {
        let fifos = [Fifo::new(), Fifo::new()];
        let before = (entries("fd"), entries("task"));
        let supervisor = supervisor(workers(2), handler);
        let peers = |number: usize| {
            let fifo = &fifos[number % 2];
            let writes = number < 4;
            Asker::start(move || {
                sigaction(libc::SIGALRM, libc::SA_RESTART);
                handle(libc::SIGPIPE, nothing, 0);
                disturb(7 + number as i64);
                for _ in 0..fewer(ROUNDS) {
                    let flags = if writes {
                        libc::O_WRONLY
                    } else {
                        libc::O_RDONLY
                    };
                    let mut file = File::from(own(open(fifo, flags) as i32));
                    if writes {
                        let _ = file.write(b"x");
                    }
                }
                0
            })
        };
        let mut processes = Vec::new();
        for number in 0..8 {
            let Asker { process, listener } = peers(number);
            supervisor.add_listener(listener, 0).unwrap();
            processes.push(process);
        }
        supervisor.start().unwrap();
        soon(|| supervisor.stats().deferred > u64::from(2 * fewer(ROUNDS)));
        // Whoever is through leaves others without a partner: then the test is one.
        let partners: Vec<_> = fifos
            .iter()
            .map(|fifo| {
                File::options()
                    .read(true)
                    .write(true)
                    .open(&fifo.0)
                    .unwrap()
            })
            .collect();
        for process in &mut processes {
            assert_eq!(process.wait(), 0);
        }
        drop(partners);
        supervisor.join().unwrap();
        drop(supervisor);
        soon(|| (entries("fd"), entries("task")) == before);
    });
}
