//! A target whose number becomes another process's: never a byte from that one.

mod support;

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::*;
use unotify::{OpenHow, Status};

/// What the target's memory is full of, and what its successor's.
const TARGETS: u8 = b't';
const SUCCESSORS: u8 = b's';

/// Forks with a number for the child (`clone3` with `set_tid`); 0 takes any.
fn fork_as(pid: i32) -> i32 {
    let args = libc::clone_args {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: if pid == 0 { 0 } else { (&raw const pid) as u64 },
        set_tid_size: u64::from(pid != 0),
        // SAFETY: zero is what is not asked for.
        ..unsafe { std::mem::zeroed() }
    };
    // SAFETY: without a stack the child has a copy of this one, as after `fork`.
    unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) as i32 }
}

/// Brings up targets that ask about a page, kills them at any moment, and puts a successor with the
/// same number and another content of that page in their place.
fn breed(rounds: u32) -> i32 {
    let page = pages(1);
    let at = page.as_ptr() as u64;
    let mut number = 0;
    for round in 0..rounds {
        page.fill(TARGETS);
        page[4095] = 0;
        let target = fork_as(number);
        if target == 0 {
            ask(at, round.into(), 0);
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        if target < 0 {
            // The number may be taken by a passer-by.
            number = 0;
            continue;
        }
        number = target;
        // SAFETY: integers only; the child is not reaped before.
        unsafe {
            libc::usleep(round % 16 * 10);
            libc::kill(target, libc::SIGKILL);
            libc::waitpid(target, std::ptr::null_mut(), 0);
        }
        page[..4095].fill(SUCCESSORS);
        let successor = fork_as(number);
        if successor == 0 {
            loop {
                // SAFETY: sleeps until it is killed.
                unsafe { libc::pause() };
            }
        }
        // SAFETY: integers only; the child is not reaped before.
        unsafe {
            libc::usleep(round % 7 * 20 * slowness());
            if successor > 0 {
                libc::kill(successor, libc::SIGKILL);
                libc::waitpid(successor, std::ptr::null_mut(), 0);
            }
        }
    }
    0
}

fn can_choose_numbers() -> bool {
    let chooses = || {
        let number = fork_as(0);
        if number == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: integers only; it is a child of this process.
        unsafe { libc::waitpid(number, std::ptr::null_mut(), 0) };
        match fork_as(number) {
            // SAFETY: as above.
            0 => unsafe { libc::_exit(0) },
            // The number may be taken by a passer-by.
            -1 => std::io::Error::last_os_error().raw_os_error() == Some(libc::EEXIST),
            again => again == number,
        }
    };
    can("the right to choose a process's number", chooses)
}

/// Receives until the targets are gone, and has `look` (which says whether it saw anything of a
/// target) at each.
fn supervise(rounds: u32, mut look: impl FnMut(&mut unotify::Notification) -> Result<(), Status>) {
    if !can_choose_numbers() {
        return;
    }
    let target = Asker::start(move || breed(fewer(rounds)));
    let (seen, gone) = (AtomicU64::new(0), AtomicU64::new(0));
    for number in 0.. {
        match target.listener.receive() {
            Ok(mut notification) => {
                // Not always at once, or on some machines no target is killed before the look is over.
                if number % 8 == 7 {
                    std::thread::sleep(Duration::from_micros((200 * slowness()).into()));
                }
                match look(&mut notification) {
                    Ok(()) => seen.fetch_add(1, Ordering::Relaxed),
                    Err(Status::Gone) => gone.fetch_add(1, Ordering::Relaxed),
                    Err(other) => panic!("{other:?}"),
                }
            }
            Err(end) => {
                assert_eq!(end.status(), Status::Closed);
                break;
            }
        };
    }
    target.end();
    assert!(seen.into_inner() > 0, "no target lived long enough");
    assert!(gone.into_inner() > 0, "no target died early enough");
}

/// What no call must have touched.
const NOBODYS: u8 = b'-';

#[test]
fn memory_is_the_targets_or_nobodys() {
    supervise(4000, |n| {
        let mut buf = [NOBODYS; 4096];
        let addr = n.request().args[0];
        let outcome = n.read(addr, &mut buf);
        let expected = if outcome.is_ok() { TARGETS } else { NOBODYS };
        assert!(buf[..4095].iter().all(|&b| b == expected));
        outcome.map_err(|e| e.status())
    });
}

#[test]
fn a_string_is_the_targets_or_nobodys() {
    supervise(2000, |n| {
        let mut buf = [NOBODYS; 5000];
        let addr = n.request().args[0];
        let outcome = n.read_string(addr, &mut buf).map(drop);
        let expected = if outcome.is_ok() { TARGETS } else { NOBODYS };
        assert!(buf[..4095].iter().all(|&b| b == expected));
        outcome.map_err(|e| e.status())
    });
}

#[test]
fn memory_is_the_targets_or_nobodys_through_the_memory_file() {
    in_child(|| {
        let mut refused = false;
        supervise(2000, |n| {
            if !refused {
                refuse("process_vm_readv", libc::ENOSYS, &[]);
                refused = true;
            }
            let mut buf = [NOBODYS; 4096];
            let addr = n.request().args[0];
            let outcome = n.read(addr, &mut buf);
            let expected = if outcome.is_ok() { TARGETS } else { NOBODYS };
            assert!(buf[..4095].iter().all(|&b| b == expected));
            outcome.map_err(|e| e.status())
        });
    });
}

#[test]
fn a_write_never_reaches_the_successor() {
    // The successor's memory cannot be seen from here, so this only sees that nothing else fails;
    // that the memory file is the target's is checked by the reads through it.
    supervise(2000, |n| {
        let addr = n.request().args[0];
        n.write(addr, b"written").map_err(|e| e.status())
    });
}

#[test]
fn descriptors_and_files_are_the_targets_or_nobodys() {
    supervise(1000, |n| {
        let addr = n.request().args[0];
        let opened = n.open(libc::AT_FDCWD, addr, OpenHow::new(libc::O_RDONLY));
        match opened.unwrap_err().status() {
            // The path is too long to be a file's name.
            Status::System => {}
            other => return Err(other),
        }
        n.open_pidfd().map_err(|e| e.status())?;
        n.identity().map_err(|e| e.status())?;
        n.get_fd(2).map(drop).map_err(|e| e.status())
    });
}

#[test]
fn a_directory_is_opened_from_the_descriptor_of_whoever_has_the_number() {
    const AT: i32 = 60;
    if !can_choose_numbers() {
        return;
    }
    let tops: Vec<_> = ["one", "two"]
        .iter()
        .map(|name| {
            let top = std::env::temp_dir()
                .join(format!("unotify-successor-{}-{name}", std::process::id()));
            std::fs::create_dir_all(top.join("inside")).unwrap();
            top
        })
        .collect();
    let inside: Vec<_> = tops
        .iter()
        .map(|top| std::fs::metadata(top.join("inside")).unwrap().ino())
        .collect();
    let target = Asker::start(|| {
        let mut number = 0;
        for round in 0..40 {
            let next = fork_as(number);
            if next == 0 {
                let top = std::fs::File::open(&tops[round % 2]).unwrap();
                // SAFETY: integers only.
                unsafe { libc::dup2(top.as_raw_fd(), AT) };
                for _ in 0..50 {
                    ask(c"inside".as_ptr() as u64, AT as u64, round as u64 % 2);
                }
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            number = next.max(0);
            // SAFETY: integers only.
            unsafe { libc::waitpid(next, std::ptr::null_mut(), 0) };
        }
        0
    });
    let mut roots = unotify::Roots::new().unwrap();
    roots.add("/", unotify::Rights::READ).unwrap();
    let mut n = target.receive();
    let mut calls = 0;
    loop {
        let [path, dirfd, which, ..] = n.request().args;
        let how = OpenHow::new(libc::O_DIRECTORY);
        let opened = n.open_within(&roots, dirfd as i32, path, how).unwrap();
        let found = std::fs::File::from(opened).metadata().unwrap();
        assert_eq!(found.ino(), inside[which as usize]);
        n.reply_value(0).unwrap();
        calls += 1;
        if target.listener.receive_into(&mut n, None).is_err() {
            break;
        }
    }
    target.end();
    assert!(calls > 50, "{calls}");
    for top in &tops {
        let _ = std::fs::remove_dir_all(top);
    }
}
