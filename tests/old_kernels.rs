//! What works, and what is said, where the kernel is older.
//!
//! This kernel is made to act old: the test runs under a filter that refuses what is newer with
//! the error number an old kernel gives. A filter sees the arguments of a call and not the memory
//! they point to, so what is asked for inside a structure (a continued call, the flags of a
//! descriptor to install) cannot be refused this way.

mod support;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use support::*;
use unotify::*;

/// Refuses a system call with `errno` where an argument has these bits.
fn refusing_bits(name: &str, arg: u32, mask: u64, value: u64, errno: i32) -> ScmpFilterContext {
    let bits = ScmpArgCompare::new(arg, ScmpCompareOp::MaskedEqual(mask), value);
    refusing(name, errno, &[bits])
}

/// Runs a test alone under a filter, which the kernel holds to from before its program starts.
fn under(filter: ScmpFilterContext, test: impl FnOnce()) {
    let filter = Mutex::new(filter);
    let load = move || {
        filter
            .lock()
            .unwrap()
            .load()
            .map_err(|error| io::Error::other(error.to_string()))
    };
    alone_after(load, test);
}

/// A kernel that does not know a flag of `SECCOMP_SET_MODE_FILTER`.
fn without_filter_flag(flag: libc::c_ulong, test: impl FnOnce()) {
    under(refusing_bits("seccomp", 1, flag, flag, libc::EINVAL), test);
}

/// A kernel whose listeners do not know an ioctl.
fn without_ioctl(request: libc::Ioctl, errno: i32, test: impl FnOnce()) {
    under(refusing_bits("ioctl", 1, 0xffff_ffff, request, errno), test);
}

fn supervises() {
    let (target, listener) = Target::serves();
    target.make_call(1);
    listener.receive().unwrap().reply_value(2).unwrap();
    assert_eq!(target.result(), 2);
    target.end();
    assert_eq!(status(listener.receive()), Status::Closed);
}

const SET_FLAGS: libc::Ioctl = 0x4008_2104;

#[test]
fn without_wait_killable_a_filter_is_loaded() {
    without_filter_flag(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, || {
        assert!(!features().contains(Features::WAIT_KILLABLE));
        assert!(features().contains(Features::NOTIFY));
        supervises();
    });
}

#[test]
fn without_wait_killable_a_program_is_spawned() {
    without_filter_flag(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, || {
        let child = Spawn::new(&notifying(&["getppid"]), "true")
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn without_wait_killable_a_signal_interrupts_the_call() {
    without_filter_flag(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, || {
        let (target, listener) = Target::start(|channel| {
            handle(libc::SIGUSR1, nothing, 0);
            channel.tell(call(CALL, [0; 3]));
        });
        let mut notification = listener.receive().unwrap();
        target.process.signal(libc::SIGUSR1);
        assert_eq!(target.result(), -i64::from(libc::EINTR));
        assert_eq!(status(notification.reply_value(1)), Status::Gone);
    });
}

#[test]
fn without_synchronous_wake_up_targets_are_supervised() {
    without_ioctl(SET_FLAGS, libc::EINVAL, supervises);
}

#[test]
fn without_synchronous_wake_up_asking_for_it_says_so() {
    without_ioctl(SET_FLAGS, libc::EINVAL, || {
        let (_target, listener) = Target::serves();
        for on in [true, false] {
            let error = listener.set_sync_wake_up(on).unwrap_err();
            assert_eq!(error.status(), Status::Unsupported);
            assert_eq!(error.errno(), libc::ENOSYS);
            assert!(error.to_string().contains("6.6"), "{error}");
        }
    });
}

#[test]
fn without_synchronous_wake_up_a_supervisor_runs() {
    without_ioctl(SET_FLAGS, libc::EINVAL, runs_a_supervisor);
}

fn runs_a_supervisor() {
    let supervisor = supervisor(SupervisorOptions::default(), echo);
    let (target, listener) = Target::serves();
    supervisor.add_listener(listener, 0).unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| supervisor.run());
        for i in 0..10 {
            target.make_call(i);
            assert_eq!(target.result(), i);
        }
        target.end();
        run.join().unwrap().unwrap();
    });
}

#[test]
fn without_tsync_with_a_listener_loading_says_so() {
    without_filter_flag(libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH, || {
        assert!(!features().contains(Features::TSYNC_WITH_LISTENER));
        let loaded = notifying(&["getppid"]).load_listener(LoadFlags::TSYNC);
        let error = loaded.unwrap_err();
        assert_eq!(error.status(), Status::Unsupported, "{error}");
        assert!(error.to_string().contains("5.7"), "{error}");
        supervises();
    });
}

#[test]
fn without_listeners_loading_says_so() {
    without_filter_flag(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, || {
        assert_eq!(features(), Features::empty());
        let loaded = notifying(&["getppid"]).load_listener(LoadFlags::empty());
        let error = loaded.unwrap_err();
        assert_eq!(error.status(), Status::Unsupported, "{error}");
        assert!(error.to_string().contains("5.0"), "{error}");
    });
}

#[test]
fn without_listeners_spawning_says_so() {
    without_filter_flag(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, || {
        let filter = notifying(&["getppid"]);
        let error = Spawn::new(&filter, "true").spawn().unwrap_err();
        assert_eq!(error.status(), Status::Unsupported, "{error}");
    });
}

/// Runs a test of a target alone, from where on the kernel does not tell the sizes of its
/// structures. The target comes first: without them libseccomp makes no filter that notifies.
fn without_structure_sizes(errno: i32, test: impl FnOnce(Target, Listener)) {
    alone(|| {
        let (target, listener) = Target::serves();
        let operation = u64::from(libc::SECCOMP_GET_NOTIF_SIZES);
        refusing_bits("seccomp", 0, u64::MAX, operation, errno)
            .load()
            .unwrap();
        test(target, listener);
    });
}

fn receiving_says_that_there_are_no_notifications(_target: Target, listener: Listener) {
    let error = listener.receive().unwrap_err();
    assert_eq!(error.status(), Status::Unsupported, "{error}");
    assert!(error.to_string().contains("5.0"), "{error}");
}

#[test]
fn without_structure_sizes_receiving_says_so() {
    let test = receiving_says_that_there_are_no_notifications;
    without_structure_sizes(libc::EINVAL, test);
}

#[test]
fn without_structure_sizes_in_a_sandbox_receiving_says_so() {
    let test = receiving_says_that_there_are_no_notifications;
    without_structure_sizes(libc::ENOSYS, test);
}

#[test]
fn without_structure_sizes_a_supervisor_ends_with_an_error() {
    without_structure_sizes(libc::EINVAL, |target, listener| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        target.make_call(1);
        supervisor.add_listener(listener, 0).unwrap();
        assert_eq!(status(supervisor.run()), Status::Unsupported);
        drop(supervisor);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
    });
}

#[test]
fn without_pidfd_getfd_taking_a_listener_from_a_process_says_so() {
    let name = "pidfd_getfd";
    let filter = refusing_bits(name, 0, 0, 0, libc::ENOSYS);
    under(filter, || {
        let (target, listener) = Target::serves();
        let taken = Listener::from_pid(target.process.pid, listener.as_raw_fd());
        let error = taken.unwrap_err();
        assert_eq!(error.status(), Status::Unsupported, "{error}");
        assert_eq!(error.errno(), libc::ENOSYS);
    });
}

#[test]
fn without_pidfd_open_taking_a_listener_from_a_process_says_so() {
    under(refusing_bits("pidfd_open", 0, 0, 0, libc::ENOSYS), || {
        let taken = Listener::from_pid(std::process::id() as i32, 0);
        assert_eq!(status(taken), Status::Unsupported);
    });
}

#[test]
fn a_supervisor_on_a_kernel_that_looks_old_ends_with_the_last_target() {
    alone_after(look_old, runs_a_supervisor);
}

/// Stops a run over and over. A wake-up that is lost makes it hang.
fn stops_supervisors() {
    for max_workers in [1, 4] {
        let options = SupervisorOptions::default().max_workers(max_workers);
        let supervisor = supervisor(options, echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        for i in 0..200 {
            supervisor.start().unwrap();
            thread::sleep(Duration::from_micros(i % 20 * 50));
            supervisor.stop();
            assert_eq!(status(supervisor.join()), Status::Stopped);
        }
        supervisor.start().unwrap();
        target.make_call(3);
        assert_eq!(target.result(), 3);
    }
}

#[test]
fn a_supervisor_on_a_kernel_that_looks_old_is_stopped() {
    alone_after(look_old, stops_supervisors);
}

#[test]
fn a_supervisor_without_signals_of_its_own_is_stopped() {
    alone(|| {
        for signal in libc::SIGRTMIN()..=libc::SIGRTMAX() {
            handle(signal, nothing, libc::SA_RESTART);
        }
        stops_supervisors();
    });
}

/// A program that makes no call which its filter notifies.
fn a_program(script: &str) -> Child {
    let filter = notifying(&["sethostname"]); // not uname: on aarch64 every program makes it
    let mut spawn = Spawn::new(&filter, "sh");
    spawn.args(["-c", script]).spawn().unwrap()
}

/// Waits for a process to be a zombie or gone.
fn until_ended(pid: libc::pid_t) {
    soon(|| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
            stat.rsplit(')').next().unwrap().starts_with(" Z")
        })
    });
}

#[test]
fn receiving_waits_for_a_program_that_has_ended_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        // A target that outlives the program keeps the listener open.
        let mut child = a_program("sleep 0.5 & exit 7");
        let listener = child.take_listener().unwrap();
        until_ended(child.pid());
        child.kill(0).unwrap();
        assert_eq!(status(listener.receive_timeout(MOMENT)), Status::Timeout);
        assert_eq!(child.kill(0).unwrap_err().errno(), libc::ESRCH);
        // What remains is received from.
        assert_eq!(status(listener.receive()), Status::Closed);
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
    });
}

#[test]
fn receiving_waits_for_a_program_whose_handle_is_gone_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        let mut child = a_program("sleep 0.2 & exit 7");
        let (pid, listener) = (child.pid(), child.take_listener().unwrap());
        drop(child);
        assert_eq!(status(listener.receive()), Status::Closed);
        // SAFETY: no status is asked for.
        let reaped = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(reaped, -1);
    });
}

#[test]
fn a_program_that_was_waited_for_elsewhere_ends_its_listener_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        let mut child = a_program("sleep 0.2 & exit 7");
        let listener = child.take_listener().unwrap();
        // SAFETY: no status is asked for.
        let reaped = unsafe { libc::waitpid(child.pid(), std::ptr::null_mut(), 0) };
        assert_eq!(reaped, child.pid());
        assert_eq!(status(listener.receive()), Status::Closed);
        assert_eq!(child.wait().unwrap_err().errno(), libc::ECHILD);
    });
}

#[test]
fn a_supervisor_waits_for_a_program_that_has_ended_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        let mut child = a_program("sleep 0.5 & exit 7");
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let listener = child.take_listener().unwrap();
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.start().unwrap();
        soon(|| child.kill(0).is_err());
        // It serves what remains.
        assert_eq!(supervisor.stats().listeners, 1);
        supervisor.join().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
    });
}

#[test]
fn waiting_and_receiving_at_once_give_one_answer_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        for _ in 0..fewer(100) {
            let mut child = a_program("(exec true) & exit 7");
            let listener = child.take_listener().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| assert_eq!(status(listener.receive()), Status::Closed));
                assert_eq!(child.wait().unwrap().code(), Some(7));
            });
        }
    });
}

/// A child of this process's own that has ended, and was not waited for. It has left a child behind,
/// under the same filter, which is this process's to wait for then.
struct Orphaned {
    parent: libc::pid_t,
    /// Stands for the parent.
    pidfd: OwnedFd,
    channel: UnixStream,
}

impl Orphaned {
    fn start() -> (Orphaned, Listener) {
        let filter = notifying(&["getppid"]);
        let (ours, theirs) = UnixStream::pair().unwrap();
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
        // SAFETY: the child goes on as the one thread of a copy of this process, whose other thread
        // sleeps and holds no lock.
        let parent = unsafe { libc::fork() };
        if parent == 0 {
            drop(ours);
            let listener = filter.load_listener(LoadFlags::empty()).unwrap();
            listener.to_socket(theirs.as_fd()).unwrap();
            drop(listener);
            // SAFETY: as above.
            if unsafe { libc::fork() } == 0 {
                let mut word = [0; 8];
                while (&theirs).read_exact(&mut word).is_ok() {
                    let value = call(CALL, [u64::from_ne_bytes(word), 0, 0]);
                    (&theirs).write_all(&value.to_ne_bytes()).unwrap();
                }
            }
            // SAFETY: ends without the parent's exit handlers.
            unsafe { libc::_exit(0) };
        }
        let listener = Listener::from_socket(ours.as_fd()).unwrap();
        // SAFETY: integers only; the descriptor is new.
        let pidfd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, parent, 0);
            assert!(fd >= 0);
            OwnedFd::from_raw_fd(fd as i32)
        };
        until_ended(parent);
        let orphaned = Orphaned {
            parent,
            pidfd,
            channel: ours,
        };
        (orphaned, listener)
    }

    /// Has the child that is left make a call, and waits for it to be pending.
    fn make_call(&self, listener: &Listener, arg: u64) {
        (&self.channel).write_all(&arg.to_ne_bytes()).unwrap();
        soon(|| polled(listener, Duration::ZERO) & libc::POLLIN != 0);
    }

    fn result(&self) -> i64 {
        let mut word = [0; 8];
        (&self.channel).read_exact(&mut word).unwrap();
        i64::from_ne_bytes(word)
    }

    /// Waits for a child of this process.
    fn reap(pid: libc::pid_t) {
        let mut status = 0;
        // SAFETY: `status` is ours.
        assert!(unsafe { libc::waitpid(pid, &mut status, 0) } > 0);
        assert_eq!(status, 0);
    }
}

#[test]
fn a_watched_child_ends_its_listener_until_it_is_waited_for_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        let (target, listener) = Orphaned::start();
        assert_eq!(status(listener.receive_timeout(MOMENT)), Status::Timeout);
        listener.watch_child(target.pidfd.as_fd()).unwrap();
        for _ in 0..2 {
            assert_eq!(status(listener.receive()), Status::Closed);
        }
        // What is pending comes first.
        target.make_call(&listener, 5);
        listener.receive().unwrap().reply_value(6).unwrap();
        assert_eq!(target.result(), 6);
        assert_eq!(status(listener.receive()), Status::Closed);
        // It was not reaped. From then on the kernel tells.
        Orphaned::reap(target.parent);
        assert_eq!(status(listener.receive_timeout(MOMENT)), Status::Timeout);
        target.make_call(&listener, 7);
        listener.receive().unwrap().reply_value(8).unwrap();
        assert_eq!(target.result(), 8);
        drop(target);
        Orphaned::reap(-1);
        assert_eq!(status(listener.receive()), Status::Closed);
    });
}

#[test]
fn a_supervisor_lets_go_of_a_watched_child_on_a_kernel_that_looks_old() {
    alone_after(look_old, || {
        let (target, listener) = Orphaned::start();
        listener.watch_child(target.pidfd.as_fd()).unwrap();
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        supervisor.add_listener(listener, 0).unwrap();
        supervisor.run().unwrap();
        Orphaned::reap(target.parent);
    });
}

#[test]
fn what_is_no_process_cannot_be_watched() {
    watched(|| {
        let (_target, listener) = Target::serves();
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = listener.watch_child(file.as_fd()).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument, "{error}");
    });
}
