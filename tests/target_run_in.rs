//! Doing something in a target's namespaces.

mod support;

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use support::*;
use unotify::*;

/// Enough for what is done here.
const LIMIT: Duration = Duration::from_secs(20);

/// A target in namespaces of its own, which makes a call and then looks at something.
fn target_in(flags: libc::c_int, look: impl FnOnce() -> i64) -> (Target, Notification) {
    let (target, listener) = Target::prepared(
        &notifying(&["getppid"]),
        LoadFlags::empty(),
        || {
            // SAFETY: integers, and constant strings.
            unsafe {
                assert_eq!(libc::unshare(flags), 0, "{}", io::Error::last_os_error());
                if flags & libc::CLONE_NEWNS != 0 {
                    let private = libc::MS_REC | libc::MS_PRIVATE;
                    let (none, root) = (std::ptr::null(), c"/".as_ptr());
                    assert_eq!(libc::mount(none, root, none, private, none.cast()), 0);
                }
            }
        },
        |(), channel| {
            call(CALL, [0, 0, 0]);
            channel.tell(look());
        },
    );
    let call = listener.receive().unwrap();
    (target, call)
}

fn can_unshare(flags: libc::c_int) -> bool {
    // SAFETY: integers only.
    let unshare = || unsafe { libc::unshare(flags) } == 0;
    can("the right to make namespaces", unshare)
}

fn mount_tmpfs(at: &CStr) -> Result<(), i32> {
    let (kind, none) = (c"tmpfs".as_ptr(), std::ptr::null());
    // SAFETY: constant strings, and no data.
    match unsafe { libc::mount(kind, at.as_ptr(), kind, 0, none) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap()),
    }
}

fn is_tmpfs(path: &CStr) -> bool {
    // SAFETY: plain integers, which the call fills in.
    unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        assert_eq!(libc::statfs(path.as_ptr(), &mut found), 0);
        found.f_type == libc::TMPFS_MAGIC
    }
}

#[test]
fn what_is_mounted_there_the_target_sees_and_nobody_else() {
    if !can_unshare(libc::CLONE_NEWNS) {
        return;
    }
    watched(|| {
        let place = c"/proc";
        let before = is_tmpfs(place);
        let (target, mut call) = target_in(libc::CLONE_NEWNS, || is_tmpfs(c"/proc").into());
        // SAFETY: one system call.
        let ran = unsafe {
            call.run_in(Namespaces::MOUNT, LIMIT, || {
                mount_tmpfs(place).map(|()| (7, None))
            })
        };
        assert_eq!(ran.unwrap().0, 7);
        assert_eq!(is_tmpfs(place), before);
        call.reply_value(0).unwrap();
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn a_socket_that_is_opened_there_is_on_the_targets_network() {
    if !can_unshare(libc::CLONE_NEWNET) {
        return;
    }
    watched(|| {
        let (_target, mut call) = target_in(libc::CLONE_NEWNET, || 0);
        // SAFETY: one system call.
        let ran = unsafe {
            call.run_in(Namespaces::NET, LIMIT, || {
                match libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) {
                    -1 => Err(1),
                    fd => Ok((0, Some(OwnedFd::from_raw_fd(fd)))),
                }
            })
        };
        let socket = ran.unwrap().1.unwrap();
        // SAFETY: integers only.
        let own = own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) });
        assert_ne!(network_of(&socket), network_of(&own));
        // SAFETY: integers only.
        let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        call.reply_value(0).unwrap();
    });
}

/// The number of a socket's network namespace.
fn network_of(socket: &OwnedFd) -> u64 {
    const SIOCGSKNS: libc::c_ulong = 0x894c;
    // SAFETY: gives a descriptor.
    let namespace = own(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS as _) });
    use std::os::unix::fs::MetadataExt;
    fs::File::from(namespace).metadata().unwrap().ino()
}

#[test]
fn in_the_targets_user_namespace_it_is_its_root() {
    if !can_unshare(libc::CLONE_NEWUSER) {
        return;
    }
    watched(|| {
        let (target, listener) = Target::prepared(
            &notifying(&["getppid"]),
            LoadFlags::empty(),
            || {
                // SAFETY: integers only.
                let user = unsafe {
                    let user = libc::geteuid();
                    assert_eq!(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS), 0);
                    user
                };
                fs::write("/proc/self/setgroups", "deny").unwrap();
                fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
            },
            |(), channel| {
                call(CALL, [0, 0, 0]);
                channel.tell(is_tmpfs(c"/proc").into());
            },
        );
        let mut call = listener.receive().unwrap();
        // SAFETY: two system calls.
        let ran = unsafe {
            call.run_in(Namespaces::USER | Namespaces::MOUNT, LIMIT, || {
                mount_tmpfs(c"/proc").map(|()| (i64::from(libc::geteuid()), None))
            })
        };
        assert_eq!(ran.unwrap().0, 0);
        call.reply_value(0).unwrap();
        assert_eq!(target.result(), 1);
    });
}

#[test]
fn root_and_working_directory_are_the_targets() {
    if !is_root() {
        return skip("takes root");
    }
    watched(|| {
        let place = std::env::temp_dir().join(format!("unotify-run-in-{}", std::process::id()));
        fs::create_dir_all(place.join("inner")).unwrap();
        let root = std::ffi::CString::new(place.to_str().unwrap()).unwrap();
        let (target, listener) = Target::prepared(
            &notifying(&["getppid"]),
            LoadFlags::empty(),
            || {
                // SAFETY: constant strings.
                unsafe {
                    assert_eq!(libc::chroot(root.as_ptr()), 0);
                    assert_eq!(libc::chdir(c"/inner".as_ptr()), 0);
                }
            },
            |(), channel| {
                call(CALL, [0, 0, 0]);
                channel.tell(0);
            },
        );
        let mut call = listener.receive().unwrap();
        // SAFETY: system calls with constant strings.
        let ran = unsafe {
            call.run_in(Namespaces::MOUNT, LIMIT, || {
                let made = [c"/absolute", c"relative"].map(|p| libc::mkdir(p.as_ptr(), 0o700));
                Ok((i64::from(made == [0, 0]), None))
            })
        };
        assert_eq!(ran.unwrap().0, 1);
        assert!(place.join("absolute").is_dir() && place.join("inner/relative").is_dir());
        let opened = call.open_root().unwrap();
        let path = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).unwrap();
        assert_eq!(path, place);
        call.reply_value(0).unwrap();
        assert_eq!(target.result(), 0);
        fs::remove_dir_all(place).unwrap();
    });
}

#[test]
fn an_error_number_of_the_function_is_the_error() {
    watched(|| {
        let (_target, listener) = Target::calls_once(0);
        let mut call = listener.receive().unwrap();
        // SAFETY: nothing is called.
        let ran = unsafe { call.run_in(Namespaces::empty(), LIMIT, || Err(libc::EXDEV)) };
        let error = ran.unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::System, libc::EXDEV)
        );
        // SAFETY: nothing is called. There is no such descriptor.
        let ran = unsafe {
            call.run_in(Namespaces::empty(), LIMIT, || {
                Ok((0, Some(OwnedFd::from_raw_fd(9_999))))
            })
        };
        assert_eq!(ran.unwrap_err().errno(), libc::EBADF);
        call.reply_value(0).unwrap();
    });
}

#[test]
fn a_function_that_takes_too_long_is_killed() {
    alone(|| {
        let (_target, listener) = Target::calls_once(0);
        let mut call = listener.receive().unwrap();
        // What is kept open for later looks is open from here on.
        drop(call.open_root().unwrap());
        let before = entries("fd");
        let begun = Instant::now();
        let limit = Duration::from_millis(50);
        // SAFETY: one system call, again and again.
        let ran = unsafe {
            call.run_in(Namespaces::empty(), limit, || loop {
                libc::pause();
            })
        };
        assert_eq!(status(ran), Status::Timeout);
        assert!(begun.elapsed() < slowed(Duration::from_secs(5)));
        assert_eq!(entries("fd"), before);
        call.reply_value(0).unwrap();
    });
}

#[test]
fn a_helper_that_ends_by_itself_is_an_error() {
    watched(|| {
        let (_target, listener) = Target::calls_once(0);
        let mut call = listener.receive().unwrap();
        // SAFETY: ends the helper.
        let ran = unsafe { call.run_in(Namespaces::empty(), LIMIT, || libc::_exit(0)) };
        assert_eq!(status(ran), Status::System);
        call.reply_value(0).unwrap();
    });
}

#[test]
fn no_signal_tells_of_a_helper_and_none_is_left() {
    alone(|| {
        let (mut target, listener) = Target::calls_once(0);
        let mut call = listener.receive().unwrap();
        // SAFETY: integers, and a set of ours.
        let pending = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGCHLD);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            let ran = call.run_in(Namespaces::empty(), LIMIT, || Ok((1, None)));
            assert_eq!(ran.unwrap().0, 1);
            libc::sigpending(&mut set);
            libc::sigismember(&set, libc::SIGCHLD)
        };
        assert_eq!(pending, 0);
        call.reply_value(0).unwrap();
        assert_eq!(target.process.wait(), 0);
        assert!(childless());
    });
}

#[test]
fn for_a_target_that_is_gone_nothing_is_run() {
    watched(|| {
        let (mut target, listener) = Target::calls_once(0);
        let mut call = listener.receive().unwrap();
        target.process.kill();
        // SAFETY: it is not called.
        let ran = unsafe { call.run_in(Namespaces::MOUNT, LIMIT, || Ok((0, None))) };
        assert_eq!(status(ran), Status::Gone);
        assert_eq!(status(call.open_root()), Status::Gone);
    });
}

#[test]
fn without_the_right_to_join_it_is_not_run() {
    if !is_root() || !can_unshare(libc::CLONE_NEWNET) {
        return;
    }
    watched(|| {
        let (_target, mut call) = target_in(libc::CLONE_NEWNET, || 0);
        in_child(|| {
            // SAFETY: integers only.
            assert_eq!(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, 21) }, 0);
            drop_sys_admin();
            // SAFETY: it is not called.
            let ran = unsafe { call.run_in(Namespaces::NET, LIMIT, || Ok((0, None))) };
            assert_eq!(status(ran), Status::Permission);
        });
        call.reply_value(0).unwrap();
    });
}

/// Takes `CAP_SYS_ADMIN` from the calling thread.
fn drop_sys_admin() {
    #[repr(C)]
    struct Header(u32, i32);
    let header = Header(0x2008_0522, 0);
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: the structures are as the version says.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, &header, &mut sets), 0);
        for set in &mut sets[0] {
            *set &= !(1 << 21);
        }
        assert_eq!(libc::syscall(libc::SYS_capset, &header, &sets), 0);
    }
}

#[test]
fn the_root_directory_can_be_looked_into() {
    watched(|| {
        let (_target, listener) = Target::calls_once(0);
        let mut call = listener.receive().unwrap();
        let root = call.open_root().unwrap();
        let same = |path: &str| {
            use std::os::unix::fs::MetadataExt;
            let found = fs::metadata(path).unwrap();
            (found.dev(), found.ino())
        };
        let through = format!("/proc/self/fd/{}", root.as_fd().as_raw_fd());
        assert_eq!(same(&through), same("/"));
        call.reply_value(0).unwrap();
    });
}
