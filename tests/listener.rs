//! Listeners: where they come from, receiving, and how they end.

mod support;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::*;
use unotify::*;

#[test]
fn answers_go_to_the_target_of_the_listener() {
    watched(|| {
        let (one, of_one) = Target::calls_once(1);
        let (two, of_two) = Target::calls_once(2);
        let mut from_two = of_two.receive().unwrap();
        let mut from_one = of_one.receive().unwrap();
        assert_eq!(from_one.request().args[0], 1);
        assert_eq!(from_two.request().args[0], 2);
        assert_eq!(from_one.request().pid, one.process.pid);
        from_one.reply_value(10).unwrap();
        from_two.reply_value(20).unwrap();
        assert_eq!((one.result(), two.result()), (10, 20));
    });
}

#[test]
fn pending_notifications_come_in_the_order_of_the_calls() {
    watched(|| {
        const CALLS: u64 = 16;
        let (target, listener) = Target::start(|channel| {
            let threads: Vec<_> = (0..CALLS)
                .map(|i| {
                    let (number, here) = std::sync::mpsc::channel();
                    let thread = thread::spawn(move || {
                        number.send(thread_id()).unwrap();
                        call(CALL, [i, 0, 0])
                    });
                    until_in_call(std::process::id() as i32, here.recv().unwrap(), CALL);
                    thread
                })
                .collect();
            channel.tell(0);
            for thread in threads {
                channel.tell(thread.join().unwrap());
            }
        });
        target.result();
        for i in 0..CALLS {
            let mut notification = listener.receive().unwrap();
            assert_eq!(notification.request().args[0], i);
            notification.reply_value(i as i64).unwrap();
        }
        for i in 0..CALLS {
            assert_eq!(target.result(), i as i64);
        }
    });
}

#[test]
fn a_time_limit_of_zero_only_looks() {
    watched(|| {
        let (target, listener) = Target::serves();
        let begun = Instant::now();
        let looked = listener.receive_timeout(Duration::ZERO);
        assert_eq!(status(looked), Status::Timeout);
        assert!(begun.elapsed() < slowed(Duration::from_secs(1)));
        target.make_call(3);
        until_in_call(target.process.pid, target.process.pid, CALL);
        let mut notification = listener.receive_timeout(Duration::ZERO).unwrap();
        notification.reply_value(4).unwrap();
        assert_eq!(target.result(), 4);
    });
}

#[test]
fn a_time_limit_passes() {
    watched(|| {
        let (_target, listener) = Target::serves();
        let begun = Instant::now();
        let waited = listener.receive_timeout(Duration::from_millis(50));
        assert_eq!(status(waited), Status::Timeout);
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert!(begun.elapsed() < slowed(Duration::from_secs(5)));
    });
}

#[test]
fn a_call_within_the_time_limit_is_received() {
    watched(|| {
        let (target, listener) = Target::serves();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(MOMENT);
                target.make_call(1);
            });
            let mut notification = listener
                .receive_timeout(slowed(Duration::from_secs(10)))
                .unwrap();
            notification.reply_value(1).unwrap();
        });
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn a_time_limit_beyond_the_clock_is_none() {
    watched(|| {
        let (target, listener) = Target::calls_once(0);
        let mut notification = listener.receive_timeout(Duration::MAX).unwrap();
        notification.reply_value(1).unwrap();
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn signals_do_not_end_receiving() {
    alone(|| {
        handle(libc::SIGUSR1, nothing, 0);
        let (target, listener) = Target::serves();
        let receiver = thread_id();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10 {
                    thread::sleep(Duration::from_millis(5));
                    // SAFETY: integers only.
                    unsafe {
                        libc::syscall(libc::SYS_tgkill, libc::getpid(), receiver, libc::SIGUSR1)
                    };
                }
                target.make_call(1);
            });
            listener.receive().unwrap().reply_value(2).unwrap();
        });
        assert_eq!(target.result(), 2);
    });
}

fn last_target_exits_while_receiving() {
    let (target, listener) = Target::serves();
    thread::scope(|scope| {
        let receiver = scope.spawn(|| status(listener.receive()));
        thread::sleep(MOMENT);
        target.end();
        assert_eq!(receiver.join().unwrap(), Status::Closed);
    });
    assert_eq!(status(listener.receive()), Status::Closed);
    let looked = listener.receive_timeout(Duration::ZERO);
    assert_eq!(status(looked), Status::Closed);
}

#[test]
fn receiving_ends_when_the_last_target_exits() {
    watched(last_target_exits_while_receiving);
}

#[test]
fn receiving_ends_when_the_last_target_exits_on_a_kernel_that_looks_old() {
    alone_after(look_old, last_target_exits_while_receiving);
}

#[test]
fn a_kernel_that_looks_old_gives_notifications_all_the_same() {
    alone_after(look_old, || {
        let (target, listener) = Target::serves();
        for i in 0..10 {
            target.make_call(i);
            listener.receive().unwrap().reply_value(i + 1).unwrap();
            assert_eq!(target.result(), i + 1);
        }
    });
}

#[test]
fn receiving_goes_on_while_one_of_two_targets_lives() {
    watched(|| {
        let (mut target, listener) = Target::start(|channel| {
            let (mut ready, mut is_ready) = UnixStream::pair().unwrap();
            let child = Process::fork(|| {
                // SAFETY: integers only. It outlives its parent, but not the channel.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
                is_ready.write_all(b"r").unwrap();
                channel.hear();
                i32::from(call(CALL, [2, 0, 0]) != 22)
            });
            ready.read_exact(&mut [0]).unwrap();
            std::mem::forget(child);
        });
        assert_eq!(target.process.wait(), 0);
        let early = listener.receive_timeout(MOMENT);
        assert_eq!(status(early), Status::Timeout);
        target.channel.tell(0);
        let mut notification = listener.receive().unwrap();
        assert_eq!(notification.request().args[0], 2);
        notification.reply_value(22).unwrap();
        assert_eq!(status(listener.receive()), Status::Closed);
    });
}

#[test]
fn closing_the_listener_gives_pending_calls_enosys() {
    watched(|| {
        let (target, listener) = Target::serves();
        target.make_call(0);
        until_in_call(target.process.pid, target.process.pid, CALL);
        drop(listener);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
    });
}

#[test]
fn without_a_listener_later_calls_get_enosys() {
    watched(|| {
        let (target, listener) = Target::serves();
        drop(listener);
        for _ in 0..2 {
            target.make_call(0);
            assert_eq!(target.result(), -i64::from(libc::ENOSYS));
        }
    });
}

#[test]
fn a_notification_keeps_its_listener_open() {
    watched(|| {
        let (target, listener) = Target::serves();
        target.make_call(0);
        let mut notification = listener.receive().unwrap();
        drop(listener);
        notification.check_valid().unwrap();
        notification.reply_value(9).unwrap();
        assert_eq!(target.result(), 9);
        drop(notification);
        target.make_call(0);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
    });
}

#[test]
fn each_notification_goes_to_one_of_several_receivers() {
    watched(|| {
        const RECEIVERS: usize = 4;
        const CALLS: u64 = 200;
        let (target, listener) = Target::start(|channel| {
            for i in 0..CALLS {
                channel.tell(call(CALL, [i, 0, 0]));
            }
        });
        let seen = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..RECEIVERS {
                scope.spawn(|| loop {
                    match listener.receive() {
                        Ok(mut notification) => {
                            let arg = notification.request().args[0];
                            seen.lock().unwrap().push(arg);
                            notification.reply_value(arg as i64 + 1).unwrap();
                        }
                        Err(error) => {
                            assert_eq!(error.status(), Status::Closed, "{error}");
                            return;
                        }
                    }
                });
            }
            for i in 0..CALLS as i64 {
                assert_eq!(target.result(), i + 1);
            }
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..CALLS).collect::<Vec<_>>());
    });
}

/// How often the threads of this process have given up the processor to wait.
fn waits() -> u64 {
    let of_thread = |task: io::Result<std::fs::DirEntry>| -> Option<u64> {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status
            .lines()
            .find(|l| l.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().last()?.parse().ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(of_thread).sum()
}

#[test]
fn receivers_do_not_wake_each_other_for_nothing() {
    alone(|| {
        const RECEIVERS: u64 = 16;
        const CALLS: u64 = 500;
        let (target, listener) = Target::repeats();
        thread::scope(|scope| {
            for _ in 0..RECEIVERS {
                scope.spawn(|| {
                    while let Ok(mut notification) = listener.receive() {
                        echo(&mut notification);
                    }
                });
            }
            target.repeat(10);
            let before = waits();
            target.repeat(CALLS as i64);
            let each = (waits() - before) as f64 / CALLS as f64;
            target.end();
            // The one that receives, and the one that receives next; not all of them.
            assert!(each < 6.0, "{each} waits a notification");
        });
    });
}

#[test]
fn a_time_limit_passes_while_another_thread_waits_without_limit() {
    watched(|| {
        let (target, listener) = Target::serves();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| status(listener.receive()));
            thread::sleep(MOMENT);
            let waited = listener.receive_timeout(Duration::from_millis(20));
            assert_eq!(status(waited), Status::Timeout);
            target.end();
            assert_eq!(waiting.join().unwrap(), Status::Closed);
        });
    });
}

#[test]
fn receiving_again_uses_the_same_notification() {
    watched(|| {
        let (target, listener) = Target::serves();
        target.make_call(0);
        let mut notification = listener.receive().unwrap();
        for i in 1..100 {
            notification.reply_value(i).unwrap();
            assert_eq!(target.result(), i);
            target.make_call(i);
            listener.receive_into(&mut notification, None).unwrap();
            assert_eq!(notification.request().args[0], i as u64);
        }
        notification.reply_value(0).unwrap();
        assert_eq!(target.result(), 0);
    });
}

#[test]
fn receiving_again_answers_what_the_notification_held() {
    watched(|| {
        let (one, of_one) = Target::calls_once(1);
        let (two, of_two) = Target::calls_once(2);
        of_one.set_fallback_error(libc::EDOM).unwrap();
        let mut notification = of_one.receive().unwrap();
        of_two.receive_into(&mut notification, None).unwrap();
        assert_eq!(one.result(), -i64::from(libc::EDOM));
        notification.reply_value(2).unwrap();
        assert_eq!(two.result(), 2);
    });
}

#[test]
fn what_is_no_listener_is_refused() {
    watched(|| {
        let mut pipe = [-1; 2];
        // SAFETY: the call fills two descriptors, and each gets one owner.
        let [pipe, _writer] = unsafe {
            assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0);
            pipe.map(|fd| OwnedFd::from_raw_fd(fd))
        };
        let path = File::options()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open("/")
            .unwrap();
        // SAFETY: integers only.
        let event = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
        let others: [OwnedFd; 5] = [
            pipe,
            File::open("/dev/null").unwrap().into(),
            path.into(),
            UnixStream::pair().unwrap().0.into(),
            event,
        ];
        for fd in others {
            let number = fd.as_raw_fd();
            let error = Listener::from_fd(fd).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{error}");
            assert!(error.to_string().contains(&number.to_string()), "{error}");
            assert_ne!(error.errno(), 0);
        }
    });
}

#[test]
fn a_closed_descriptor_is_refused() {
    alone(|| {
        let fd = File::open("/dev/null").unwrap();
        let number = fd.as_raw_fd();
        drop(fd);
        // SAFETY: it is not -1, and that it is closed is the point.
        let closed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let error = Listener::check_fd(closed).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert_eq!(error.errno(), libc::EBADF);
        assert!(error.to_string().contains("not open"), "{error}");
    });
}

#[test]
fn a_descriptor_given_back_makes_a_listener_again() {
    watched(|| {
        let (target, listener) = Target::serves();
        let number = listener.as_raw_fd();
        let fd = listener.into_fd().unwrap();
        assert_eq!(fd.as_raw_fd(), number);
        let listener = Listener::from_fd(fd).unwrap();
        target.make_call(1);
        listener.receive().unwrap().reply_value(5).unwrap();
        assert_eq!(target.result(), 5);
    });
}

#[test]
fn a_listener_is_made_of_an_owned_descriptor_and_the_reverse() {
    watched(|| {
        let (target, listener) = Target::serves();
        let fd = OwnedFd::try_from(listener).unwrap();
        let listener = Listener::try_from(fd).unwrap();
        target.make_call(1);
        listener.receive().unwrap().reply_value(5).unwrap();
        assert_eq!(target.result(), 5);

        let file = OwnedFd::from(File::open("/dev/null").unwrap());
        let error = Listener::try_from(file).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
    });
}

#[test]
fn iterating_over_a_listener_gives_each_call_and_ends_with_the_last_target() {
    watched(|| {
        let (mut target, listener) = Target::start(|channel| {
            for arg in 0..3 {
                channel.tell(call(CALL, [arg, 0, 0]));
            }
        });
        let mut incoming = listener.incoming();
        for arg in 0..3 {
            let mut call = incoming.next().unwrap().unwrap();
            assert_eq!(call.request().args[0], arg);
            call.reply_value(arg as i64 + 10).unwrap();
        }
        assert!(incoming.next().is_none());
        assert!(incoming.next().is_none());
        assert_eq!(target.process.wait(), 0);
        let results = [target.result(), target.result(), target.result()];
        assert_eq!(results, [10, 11, 12]);
    });
}

#[test]
fn iterating_gives_an_error_that_is_not_the_end_and_goes_on() {
    watched(|| {
        let (target, listener) = Target::serves();
        let mut incoming = listener.incoming();
        listener.set_interrupted(true);
        assert_eq!(status(incoming.next().unwrap()), Status::Stopped);
        listener.set_interrupted(false);
        target.make_call(1);
        incoming.next().unwrap().unwrap().reply_value(5).unwrap();
        assert_eq!(target.result(), 5);
    });
}

#[test]
fn a_descriptor_that_a_notification_holds_is_given_back_as_a_duplicate() {
    watched(|| {
        let (target, listener) = Target::calls_once(1);
        let mut notification = listener.receive().unwrap();
        let number = listener.as_raw_fd();
        let fd = listener.into_fd().unwrap();
        assert_ne!(fd.as_raw_fd(), number);
        Listener::check_fd(fd.as_fd()).unwrap();
        notification.reply_value(5).unwrap();
        assert_eq!(target.result(), 5);
    });
}

#[test]
fn a_listener_of_another_process_is_duplicated() {
    watched(|| {
        let (target, listener) = Target::serves();
        let number = listener.as_raw_fd();
        let mut holder = Process::fork(|| {
            thread::sleep(Duration::from_secs(60));
            0
        });
        drop(listener);
        let listener = Listener::from_pid(holder.pid, number).unwrap();
        holder.kill();
        target.make_call(1);
        listener.receive().unwrap().reply_value(6).unwrap();
        assert_eq!(target.result(), 6);
    });
}

#[test]
fn another_process_may_lack_the_descriptor() {
    watched(|| {
        let holder = Process::fork(|| {
            thread::sleep(Duration::from_secs(60));
            0
        });
        let error = Listener::from_pid(holder.pid, 1_000_000).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        assert_eq!(error.errno(), libc::EBADF);
    });
}

#[test]
fn another_process_may_have_ended() {
    watched(|| {
        let mut ended = Process::fork(|| 0);
        ended.wait();
        let error = Listener::from_pid(ended.pid, 3).unwrap_err();
        assert_eq!(error.status(), Status::System, "{error}");
        assert_eq!(error.errno(), libc::ESRCH);
    });
}

#[test]
fn a_listener_goes_through_a_socket() {
    watched(|| {
        let (target, listener) = Target::serves();
        let (one, two) = UnixDatagram::pair().unwrap();
        listener.to_socket(one.as_fd()).unwrap();
        drop(listener);
        let listener = Listener::from_socket(two.as_fd()).unwrap();
        target.make_call(1);
        listener.receive().unwrap().reply_value(7).unwrap();
        assert_eq!(target.result(), 7);
    });
}

#[test]
fn sending_to_a_closed_socket_says_so() {
    watched(|| {
        let (_target, listener) = Target::serves();
        let (one, two) = UnixStream::pair().unwrap();
        drop(two);
        assert_eq!(status(listener.to_socket(one.as_fd())), Status::Closed);
        assert_eq!(status(Listener::from_socket(one.as_fd())), Status::Closed);
    });
}

#[test]
fn a_message_without_a_listener_is_refused() {
    watched(|| {
        let (mut one, two) = UnixStream::pair().unwrap();
        one.write_all(b"x").unwrap();
        let received = Listener::from_socket(two.as_fd());
        assert_eq!(status(received), Status::InvalidArgument);
    });
}

/// Sends one byte with these descriptors.
fn send_fds(socket: &UnixStream, fds: &[i32]) {
    let mut control = [0u64; 64];
    let mut byte = 1u8;
    let mut iov = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let bytes = size_of_val(fds) as u32;
    // SAFETY: the control buffer is long enough, and all of it lives across the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut iov;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(bytes) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
        let data = libc::CMSG_DATA(header);
        std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), data, bytes as usize);
        assert_eq!(libc::sendmsg(socket.as_raw_fd(), &message, 0), 1);
    }
}

#[test]
fn descriptors_beside_the_listener_are_closed() {
    alone(|| {
        let (_target, listener) = Target::serves();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let number = listener.as_raw_fd();
        let before = entries("fd");
        for many in [2, 13, 100] {
            let mut fds = vec![0; many];
            fds[0] = number;
            send_fds(&ours, &fds);
            drop(Listener::from_socket(theirs.as_fd()).unwrap());
            assert_eq!(entries("fd"), before, "of a message with {many}");
            send_fds(&ours, &vec![0; many]);
            assert_eq!(
                status(Listener::from_socket(theirs.as_fd())),
                Status::InvalidArgument
            );
            assert_eq!(
                entries("fd"),
                before,
                "of a message with {many} that are none"
            );
        }
    });
}

#[test]
fn a_listener_comes_beside_the_senders_credentials() {
    alone(|| {
        let (_target, listener) = Target::serves();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let on: libc::c_int = 1;
        // SAFETY: the option takes an integer.
        let set = unsafe {
            libc::setsockopt(
                theirs.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PASSCRED,
                (&raw const on).cast(),
                size_of_val(&on) as u32,
            )
        };
        assert_eq!(set, 0);
        listener.to_socket(ours.as_fd()).unwrap();
        Listener::from_socket(theirs.as_fd()).unwrap();
    });
}

#[test]
fn without_a_free_descriptor_the_listener_stays_to_be_received() {
    alone(|| {
        let (_target, listener) = Target::serves();
        let (ours, theirs) = UnixStream::pair().unwrap();
        send_fds(&ours, &[listener.as_raw_fd(), 0]);
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        for _ in 0..3 {
            let error = Listener::from_socket(theirs.as_fd()).unwrap_err();
            assert_eq!(error.errno(), libc::EMFILE, "{error}");
        }
        files.pop();
        let received = Listener::from_socket(theirs.as_fd()).unwrap();
        assert_eq!(
            status(received.receive_timeout(Duration::ZERO)),
            Status::Timeout
        );
    });
}

#[test]
fn receiving_a_listener_does_not_wait_where_the_socket_does_not() {
    watched(|| {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let error = Listener::from_socket(theirs.as_fd()).unwrap_err();
        assert_eq!(error.errno(), libc::EAGAIN, "{error}");
        theirs.set_nonblocking(false).unwrap();
        theirs
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let error = Listener::from_socket(theirs.as_fd()).unwrap_err();
        assert_eq!(error.errno(), libc::EAGAIN, "{error}");
    });
}

#[test]
fn several_threads_receive_several_listeners() {
    watched(|| {
        let (_target, listener) = Target::serves();
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        Listener::from_socket(theirs.as_fd()).unwrap();
                    }
                });
            }
            for _ in 0..200 {
                listener.to_socket(ours.as_fd()).unwrap();
            }
        });
    });
}

#[test]
fn what_is_no_socket_is_refused() {
    watched(|| {
        let (_target, listener) = Target::serves();
        let null = File::open("/dev/null").unwrap();
        let sent = listener.to_socket(null.as_fd());
        assert_eq!(status(sent), Status::InvalidArgument);
        let received = Listener::from_socket(null.as_fd());
        assert_eq!(status(received), Status::InvalidArgument);
    });
}

#[test]
fn synchronous_wake_up_is_switched_on_and_off() {
    watched(|| {
        let (target, listener) = Target::serves();
        for (i, on) in [false, true, true, false].into_iter().enumerate() {
            listener.set_sync_wake_up(on).unwrap();
            target.make_call(0);
            let mut notification = listener.receive().unwrap();
            notification.reply_value(i as i64).unwrap();
            assert_eq!(target.result(), i as i64);
        }
    });
}

#[test]
fn a_fallback_error_out_of_range_is_refused() {
    watched(|| {
        let (_target, listener) = Target::serves();
        for errnum in [0, -1, 4096, i32::MIN, i32::MAX] {
            let set = listener.set_fallback_error(errnum);
            assert_eq!(status(set), Status::InvalidArgument);
        }
    });
}

#[test]
fn every_thread_of_the_target_is_supervised_after_tsync() {
    watched(|| {
        const THREADS: i64 = 4;
        let (target, listener) = Target::prepared(
            &notifying(&["getppid"]),
            LoadFlags::TSYNC,
            || {
                let begin = Arc::new(Barrier::new(THREADS as usize + 1));
                let threads: Vec<_> = (0..THREADS)
                    .map(|i| {
                        let begin = Arc::clone(&begin);
                        thread::spawn(move || {
                            begin.wait();
                            call(CALL, [i as u64, 0, 0])
                        })
                    })
                    .collect();
                (begin, threads)
            },
            |(begin, threads), channel| {
                begin.wait();
                for thread in threads {
                    channel.tell(thread.join().unwrap());
                }
            },
        );
        for _ in 0..THREADS {
            let mut notification = listener.receive().unwrap();
            assert_ne!(notification.request().pid, target.process.pid);
            let arg = notification.request().args[0] as i64;
            notification.reply_value(arg + 100).unwrap();
        }
        for i in 0..THREADS {
            assert_eq!(target.result(), i + 100);
        }
    });
}

#[test]
fn a_thousand_listeners_leave_no_descriptor_behind() {
    alone(|| {
        let filter = notifying(&["getppid"]);
        let before = entries("fd");
        for _ in 0..fewer(1000) {
            let (mut target, listener) = Target::under(&filter, LoadFlags::empty(), |_| {
                call(CALL, [0; 3]);
            });
            listener.receive().unwrap().reply_value(0).unwrap();
            assert_eq!(target.process.wait(), 0);
        }
        assert_eq!(entries("fd"), before);
    });
}
