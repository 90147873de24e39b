//! Reading and writing a target's memory.

mod support;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use support::*;
use unotify::{Notification, Status};

/// What a buffer holds that nothing was written into.
const UNTOUCHED: u8 = 0xaa;

fn addr(notification: &Notification) -> u64 {
    notification.request().args[0]
}

/// Reads a string, and checks that the buffer is untouched if that fails.
fn string(n: &mut Notification, cap: usize) -> Result<Vec<u8>, Status> {
    let mut buf = vec![UNTOUCHED; cap];
    let addr = addr(n);
    match n.read_string(addr, &mut buf) {
        Ok(string) => Ok(string.to_bytes().to_vec()),
        Err(error) => {
            assert!(buf.iter().all(|&b| b == UNTOUCHED));
            Err(error.status())
        }
    }
}

fn bytes(n: &mut Notification, len: usize) -> Result<Vec<u8>, Status> {
    let mut buf = vec![UNTOUCHED; len];
    let addr = addr(n);
    match n.read(addr, &mut buf) {
        Ok(()) => Ok(buf),
        Err(error) => {
            assert!(buf.iter().all(|&b| b == UNTOUCHED));
            Err(error.status())
        }
    }
}

/// A target that asks about the end of `count` pages, where `text` is the last thing in them.
fn with_text_at_end(count: usize, text: &'static [u8]) -> (Asker, Notification) {
    let target = Asker::start(move || {
        let pages = pages(count);
        let at = pages.len() - text.len();
        pages[at..].copy_from_slice(text);
        ask_about(&pages[at..]) as i32
    });
    let notification = target.receive();
    (target, notification)
}

#[test]
fn a_string_is_read() {
    let target = Asker::start(|| ask_about(c"/etc/hostname") as i32);
    let mut n = target.receive();
    assert_eq!(string(&mut n, 4096).unwrap(), b"/etc/hostname");
    target.finish(n);
}

#[test]
fn a_string_that_just_fits_is_read_and_one_more_is_too_long() {
    let target = Asker::start(|| ask_about(c"12345") as i32);
    let mut n = target.receive();
    assert_eq!(string(&mut n, 6).unwrap(), b"12345");
    assert_eq!(string(&mut n, 5), Err(Status::TooLong));
    assert_eq!(string(&mut n, 0), Err(Status::TooLong));
    target.finish(n);
}

#[test]
fn a_string_that_ends_before_an_unmapped_page_is_read() {
    let (target, mut n) = with_text_at_end(1, b"end\0");
    assert_eq!(string(&mut n, 4096).unwrap(), b"end");
    target.finish(n);
}

#[test]
fn a_string_across_pages_is_read() {
    let target = Asker::start(|| {
        let pages = pages(2);
        pages[4090..4102].copy_from_slice(b"across-pages");
        ask_about(&pages[4090..]) as i32
    });
    let mut n = target.receive();
    assert_eq!(string(&mut n, 4096).unwrap(), b"across-pages");
    target.finish(n);
}

#[test]
fn a_string_of_many_pages_is_read() {
    let target = Asker::start(|| {
        let pages = pages(64);
        let len = pages.len() - 1;
        pages[100..len].fill(b'x');
        ask_about(&pages[100..]) as i32
    });
    let mut n = target.receive();
    let read = string(&mut n, 1 << 20).unwrap();
    assert_eq!(read.len(), 64 * 4096 - 101);
    assert!(read.iter().all(|&b| b == b'x'));
    target.finish(n);
}

#[test]
fn a_string_that_runs_into_an_unmapped_page_is_a_fault() {
    let (target, mut n) = with_text_at_end(1, b"no end");
    assert_eq!(string(&mut n, 4096), Err(Status::Fault));
    assert_eq!(string(&mut n, 6), Err(Status::TooLong));
    target.finish(n);
}

#[test]
fn a_bad_address_is_a_fault() {
    for bad in [0, 1, 0xdead_0000, 1 << 63, u64::MAX - 5, u64::MAX] {
        let target = Asker::start(|| ask(bad, 0, 0) as i32);
        let mut n = target.receive();
        assert_eq!(string(&mut n, 16), Err(Status::Fault), "{bad:#x}");
        assert_eq!(bytes(&mut n, 16), Err(Status::Fault), "{bad:#x}");
        target.finish(n);
    }
}

#[test]
fn bytes_are_read() {
    let target = Asker::start(|| ask_about(b"some bytes") as i32);
    let mut n = target.receive();
    assert_eq!(bytes(&mut n, 10).unwrap(), b"some bytes");
    assert_eq!(bytes(&mut n, 0).unwrap(), b"");
    target.finish(n);
}

#[test]
fn a_megabyte_is_read() {
    let target = Asker::start(|| {
        let pages = pages(256);
        for (at, byte) in pages.iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
        ask_about(&*pages) as i32
    });
    let mut n = target.receive();
    let read = bytes(&mut n, 1 << 20).unwrap();
    assert!(read
        .iter()
        .enumerate()
        .all(|(at, &b)| b == (at % 251) as u8));
    target.finish(n);
}

#[test]
fn a_partial_read_is_a_fault() {
    let (target, mut n) = with_text_at_end(3, b"12345678");
    assert_eq!(bytes(&mut n, 8).unwrap(), b"12345678");
    assert_eq!(bytes(&mut n, 9), Err(Status::Fault));
    assert_eq!(bytes(&mut n, 100_000), Err(Status::Fault));
    target.finish(n);
}

#[test]
fn what_is_written_is_there_when_the_call_returns() {
    let target = Asker::start(|| {
        let pages = pages(2);
        ask_about(&pages[4090..]);
        i32::from(pages[4090..4102] != *b"across-pages" || pages[4102] != 0)
    });
    let mut n = target.receive();
    let at = addr(&n);
    n.write(at, b"across-pages").unwrap();
    target.finish(n);
}

#[test]
fn writing_where_the_target_cannot_is_a_fault_and_changes_nothing() {
    let target = Asker::start(|| {
        let pages = pages(2);
        let (first, second) = pages.split_at_mut(4096);
        // SAFETY: the second page is not written to any more.
        let protected =
            unsafe { libc::mprotect(second.as_mut_ptr().cast(), 4096, libc::PROT_READ) };
        assert_eq!(protected, 0);
        ask_about(second);
        i32::from(first.iter().chain(&*second).any(|&b| b != 0))
    });
    let mut n = target.receive();
    let at = addr(&n);
    assert_eq!(n.write(at, b"x").unwrap_err().status(), Status::Fault);
    assert_eq!(n.write(at - 1, b"xy").unwrap_err().status(), Status::Fault);
    assert_eq!(
        n.write(at + 4096, b"x").unwrap_err().status(),
        Status::Fault
    );
    assert_eq!(
        n.write(u64::MAX, b"xy").unwrap_err().status(),
        Status::Fault
    );
    target.finish(n);
}

/// How many mappings a target has that does not make it easy; 65,530 are allowed.
const MANY: usize = 60_000;

/// A target that asks about the first of many mappings, the last one, and its stack above them.
fn with_many_mappings() -> Asker {
    Asker::start(|| {
        let pages = pages(MANY);
        for at in (0..MANY).step_by(2) {
            // SAFETY: a page of the region that is nobody else's.
            let changed = unsafe {
                libc::mprotect(
                    pages.as_mut_ptr().add(at * 4096).cast(),
                    4096,
                    libc::PROT_READ,
                )
            };
            assert_eq!(changed, 0);
        }
        let on_stack = 0u64;
        ask_about(&pages[4096]);
        ask_about(&pages[8192]);
        ask_about(&pages[(MANY - 1) * 4096]);
        ask_about(&on_stack);
        0
    })
}

/// `PROCMAP_QUERY`, for this processor and those that number as it does.
const PROCMAP_QUERY: u64 = 0xc068_6611;

fn has_procmap_query() -> bool {
    let maps = std::fs::File::open("/proc/self/maps").unwrap();
    let mut query = [0u64; 13];
    query[0] = 104;
    query[2] = query.as_ptr() as u64;
    // SAFETY: as long as it says.
    unsafe {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&maps);
        libc::ioctl(fd, PROCMAP_QUERY as _, query.as_mut_ptr()) == 0
    }
}

#[test]
fn writing_to_a_target_with_many_mappings_reads_no_list_of_them() {
    if !has_procmap_query() {
        return skip("takes a kernel with PROCMAP_QUERY (6.11)");
    }
    in_child(|| {
        let target = with_many_mappings();
        let mut n = target.receive();
        // Nothing can be read, neither the list nor anything else.
        refuse("read", libc::EPERM, &[]);
        for expected in [Ok(()), Err(Status::Fault), Ok(()), Ok(())] {
            let at = addr(&n);
            assert_eq!(n.write(at, b"x").map_err(|e| e.status()), expected);
            n.reply_value(0).unwrap();
            if let Ok(next) = target.listener.receive_timeout(Duration::from_secs(5)) {
                n = next;
            }
        }
        target.end();
    });
}

#[test]
fn without_a_query_the_list_of_mappings_is_read_up_to_a_bound() {
    in_child(|| {
        let target = with_many_mappings();
        refuse(
            "ioctl",
            libc::ENOTTY,
            &[unotify::ScmpArgCompare::new(
                1,
                unotify::ScmpCompareOp::Equal,
                PROCMAP_QUERY,
            )],
        );
        let mut n = target.receive();
        for expected in [
            Ok(()),
            Err(Status::Fault),
            Err(Status::Unsupported),
            Err(Status::Unsupported),
        ] {
            let at = addr(&n);
            let outcome = n.write(at, b"x");
            if let Err(error) = &outcome {
                assert!(error.status() == Status::Fault || error.errno() == libc::ENOSYS);
            }
            assert_eq!(outcome.map_err(|e| e.status()), expected);
            n.reply_value(0).unwrap();
            if let Ok(next) = target.listener.receive_timeout(Duration::from_secs(5)) {
                n = next;
            }
        }
        target.end();
    });
}

#[test]
fn what_is_written_across_mappings_is_written_wholly_or_not_at_all() {
    for query in [true, false] {
        in_child(|| {
            let target = Asker::start(|| {
                let pages = pages(4);
                // Mappings of their own, the last of them not writable.
                // SAFETY: pages of the region that is nobody else's.
                unsafe {
                    let at = pages.as_mut_ptr();
                    libc::mprotect(at.add(4096).cast(), 4096, 7);
                    libc::mprotect(at.add(3 * 4096).cast(), 4096, libc::PROT_READ);
                }
                ask_about(&pages[4000]);
                i32::from(!(pages[4000..3 * 4096].iter().all(|&b| b == b'y')))
            });
            if !query {
                let is_query =
                    unotify::ScmpArgCompare::new(1, unotify::ScmpCompareOp::Equal, PROCMAP_QUERY);
                refuse("ioctl", libc::ENOTTY, &[is_query]);
            }
            let mut n = target.receive();
            let at = addr(&n);
            let most = 3 * 4096 - 4000;
            let error = n.write(at, &vec![b'x'; most + 1]).unwrap_err();
            assert_eq!(error.status(), Status::Fault);
            assert_eq!(bytes(&mut n, most).unwrap(), vec![0; most]);
            n.write(at, &vec![b'y'; most]).unwrap();
            target.finish(n);
        });
    }
}

#[test]
fn pointers_are_read_up_to_the_terminator() {
    let target = Asker::start(|| {
        let array = [1u64, 2, 3, 0, 5];
        ask_about(&array) as i32
    });
    let mut n = target.receive();
    let at = addr(&n);
    let mut out = [9; 3];
    assert_eq!(n.read_pointers(at, &mut out).unwrap(), 3);
    assert_eq!(out, [1, 2, 3]);
    let mut out = [9; 2];
    assert_eq!(
        n.read_pointers(at, &mut out).unwrap_err().status(),
        Status::TooLong
    );
    assert_eq!(out, [9; 2]);
    assert_eq!(n.read_pointers(at + 24, &mut []).unwrap(), 0);
    target.finish(n);
}

#[test]
fn pointers_that_straddle_pages_are_read() {
    let target = Asker::start(|| {
        let pages = pages(2);
        let at = 4096 - 12;
        for (entry, value) in pages[at..].chunks_exact_mut(8).zip([u64::MAX, 7, 8, 0]) {
            entry.copy_from_slice(&value.to_ne_bytes());
        }
        ask_about(&pages[at..]) as i32
    });
    let mut n = target.receive();
    let at = addr(&n);
    let mut out = [0; 100];
    assert_eq!(n.read_pointers(at, &mut out).unwrap(), 3);
    assert_eq!(out[..3], [u64::MAX, 7, 8]);
    target.finish(n);
}

#[test]
fn nothing_is_read_of_a_target_that_was_killed() {
    let target = Asker::start(|| ask_about(c"text") as i32);
    let mut n = target.receive();
    target.kill();
    assert_eq!(string(&mut n, 16), Err(Status::Gone));
    assert_eq!(bytes(&mut n, 4), Err(Status::Gone));
    let at = addr(&n);
    assert_eq!(n.write(at, b"x").unwrap_err().status(), Status::Gone);
    assert_eq!(
        n.read_pointers(at, &mut [0; 4]).unwrap_err().status(),
        Status::Gone
    );
}

#[test]
fn nothing_is_read_after_the_answer() {
    let target = Asker::start(|| {
        ask_about(c"text");
        ask_about(c"text") as i32
    });
    let mut n = target.receive();
    n.reply_value(0).unwrap();
    assert_eq!(string(&mut n, 16), Err(Status::Answered));
    let last = target.receive();
    target.finish(last);
}

/// All there is to do with memory, in a supervisor that has no `process_vm_readv`.
fn works_without_process_vm_readv(errno: i32) {
    in_child(|| {
        let target = Asker::start(|| {
            let pages = pages(3);
            let end = pages.len() - 5;
            pages[4090..end].fill(b'x');
            ask_about(&pages[4090..]);
            ask_about(c"second");
            ask(0xdead_0000, 0, 0) as i32
        });
        refuse("process_vm_readv", errno, &[]);
        let mut n = target.receive();
        assert_eq!(string(&mut n, 65536).unwrap().len(), 3 * 4096 - 5 - 4090);
        assert_eq!(string(&mut n, 10), Err(Status::TooLong));
        assert_eq!(bytes(&mut n, 2 * 4096 + 6).unwrap().len(), 2 * 4096 + 6);
        assert_eq!(bytes(&mut n, 2 * 4096 + 7), Err(Status::Fault));
        n.reply_value(0).unwrap();
        let mut n = target.receive();
        assert_eq!(string(&mut n, 16).unwrap(), b"second");
        n.reply_value(0).unwrap();
        let mut n = target.receive();
        assert_eq!(string(&mut n, 16), Err(Status::Fault));
        target.kill();
        assert_eq!(string(&mut n, 16), Err(Status::Gone));
    });
}

#[test]
fn the_memory_file_stands_in_where_process_vm_readv_is_missing() {
    works_without_process_vm_readv(libc::ENOSYS);
}

#[test]
fn the_memory_file_stands_in_where_process_vm_readv_is_refused() {
    works_without_process_vm_readv(libc::EPERM);
}

#[test]
fn a_thread_that_is_not_the_leader_is_read() {
    let target = Asker::start(|| {
        std::thread::spawn(|| ask_about(c"from a thread") as i32)
            .join()
            .unwrap()
    });
    let mut n = target.receive();
    assert_ne!(n.request().pid, target.process.pid);
    assert_eq!(string(&mut n, 64).unwrap(), b"from a thread");
    target.finish(n);
}

#[test]
fn memory_that_comes_and_goes_is_read_wholly_or_not_at_all() {
    let rounds = fewer(5000);
    let target = Asker::start(|| {
        let start = pages(2).as_mut_ptr() as usize;
        std::thread::spawn(move || {
            let page = (start + 4096) as *mut libc::c_void;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            loop {
                // SAFETY: nobody in this process touches the page.
                unsafe {
                    libc::munmap(page, 4096);
                    libc::mmap(page, 4096, libc::PROT_READ, flags, -1, 0);
                }
            }
        });
        // SAFETY: both pages were mapped just now, and the first stays.
        unsafe { std::slice::from_raw_parts_mut(start as *mut u8, 4096) }.fill(b'x');
        for _ in 0..rounds {
            ask(start as u64 + 4000, 0, 0);
        }
        0
    });
    let mut faults = 0;
    for _ in 0..rounds {
        let mut n = target.receive();
        match string(&mut n, 8192) {
            Ok(text) => assert_eq!(text, [b'x'; 96]),
            Err(status) => {
                assert_eq!(status, Status::Fault);
                faults += 1;
            }
        }
        n.reply_value(0).unwrap();
    }
    target.end();
    assert!(faults < rounds);
}

#[test]
fn nothing_is_read_of_what_another_thread_has_executed() {
    let (mut reads, begun) = (0, Instant::now());
    for _ in 0..fewer(1000) {
        // On a busy machine it is often too late.
        if begun.elapsed() > slowed(LIMIT / 8) {
            break;
        }
        let target = Asker::start(|| {
            std::thread::spawn(|| ask_about(c"before") as i32);
            // SAFETY: both arrays are null-terminated and live.
            unsafe {
                libc::usleep(2000 * slowness());
                let argv = [c"sleep".as_ptr(), c"100".as_ptr(), std::ptr::null()];
                libc::execv(c"/bin/sleep".as_ptr(), argv.as_ptr())
            }
        });
        // It may have executed before its thread asked.
        let Ok(mut n) = target
            .listener
            .receive_timeout(slowed(Duration::from_millis(500)))
        else {
            continue;
        };
        loop {
            match string(&mut n, 64) {
                Ok(text) => assert_eq!(text, b"before"),
                Err(status) => {
                    assert_eq!(status, Status::Gone);
                    break;
                }
            }
            reads += 1;
        }
    }
    assert!(reads > 0);
}

#[test]
fn a_supervisor_without_the_right_is_told_what_is_missing() {
    if !is_root() {
        return skip("takes root, to give it up");
    }
    let target = Asker::start(|| ask_about(c"text") as i32);
    let mut n = target.receive();
    let mut child = Process::fork(|| {
        become_nobody();
        let mut buf = [UNTOUCHED; 16];
        let at = addr(&n);
        let error = n.read_string(at, &mut buf).unwrap_err();
        assert_eq!(error.status(), Status::Permission);
        let text = error.to_string();
        assert!(text.contains("CAP_SYS_PTRACE"), "{text}");
        assert!(text.contains("user 0"), "{text}");
        assert_eq!(n.write(at, b"x").unwrap_err().status(), Status::Permission);
        assert_eq!(buf, [UNTOUCHED; 16]);
        0
    });
    assert_eq!(child.wait(), 0);
    target.finish(n);
}

/// A target that executes a file it may run and not read.
#[test]
fn a_target_that_executes_what_it_cannot_read_is_told_from_one_that_made_itself_undumpable() {
    if !is_root() {
        return skip("takes root, to give it up");
    }
    let program = std::env::temp_dir().join(format!("unotify-sh-{}", std::process::id()));
    // By another process: targets that other tests start meanwhile would hold a file that is open
    // for writing here, which cannot be executed then.
    let mut copy = std::process::Command::new("cp");
    assert!(copy
        .arg("/bin/sh")
        .arg(&program)
        .status()
        .unwrap()
        .success());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(&program, mode).unwrap();
    in_child(|| {
        become_dumpable_nobody();
        let target = Asker::start(|| {
            // A shell asks for its parent when it starts.
            let error = std::os::unix::process::CommandExt::exec(
                std::process::Command::new(&program).args(["-c", "exit 0"]),
            );
            panic!("{error}");
        });
        let mut n = target.receive();
        let error = n.read(4096, &mut [0; 4]).unwrap_err();
        assert_eq!(error.status(), Status::Permission);
        assert!(error.to_string().contains("may not read"), "{error}");
        n.reply_value(0).unwrap();
        target.end();
    });
    std::fs::remove_file(program).unwrap();
}

#[test]
fn an_unprivileged_supervisor_reads_a_target_of_its_own_user_unless_it_is_not_dumpable() {
    if !is_root() {
        return skip("takes root, to give it up");
    }
    in_child(|| {
        become_dumpable_nobody();
        let target = Asker::start(|| {
            ask_about(c"text");
            // SAFETY: integers only.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
            ask_about(c"text") as i32
        });
        let mut n = target.receive();
        assert_eq!(string(&mut n, 16).unwrap(), b"text");
        n.reply_value(0).unwrap();
        let mut n = target.receive();
        let at = addr(&n);
        let error = n.read_string(at, &mut [0; 16]).unwrap_err();
        assert_eq!(error.status(), Status::Permission);
        assert!(error.to_string().contains("not dumpable"), "{error}");
        n.reply_value(0).unwrap();
        target.end();
    });
}

#[test]
fn a_target_outside_the_pid_namespace_is_not_visible() {
    // SAFETY: integers only.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWPID) } == 0;
    if !can("the right to make a pid namespace", unshare) {
        return;
    }
    let target = Asker::start(|| ask_about(c"text") as i32);
    in_child(|| {
        assert!(unshare());
        in_child(|| {
            let mut n = target.receive();
            assert_eq!(n.request().pid, 0);
            assert_eq!(string(&mut n, 16), Err(Status::NotVisible));
            assert_eq!(n.get_fd(0).unwrap_err().status(), Status::NotVisible);
            n.reply_value(0).unwrap();
        });
    });
    target.end();
}

/// Counts the calls a supervisor makes, by supervising it: all of these are notified of.
const CALLS: [&str; 10] = [
    "getppid",
    "process_vm_readv",
    "ioctl",
    "openat",
    "close",
    "read",
    "pread64",
    "mmap",
    "brk",
    "fcntl",
];

/// The calls that `work` makes on the notification of a target that asks about a string.
fn calls(text: &'static [u8], work: fn(&mut Notification)) -> Vec<i32> {
    let filter = notifying(&CALLS);
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut supervisor = Process::fork(|| {
        let target = Asker::start(|| ask_about(text) as i32);
        let mut n = target.receive();
        // Once before it counts: what is asked only once is not of interest.
        work(&mut n);
        // Nobody answers before the listener is sent: no `ioctl` to set how it wakes.
        let flags = unotify::LoadFlags::NO_SYNC_WAKE_UP;
        let outer = filter.load_listener(flags).unwrap();
        outer.to_socket(there.as_fd()).unwrap();
        std::mem::forget(outer);
        ask(0, 0, 0);
        work(&mut n);
        ask(0, 0, 0);
        target.kill();
        std::mem::forget(n);
        0
    });
    let outer = unotify::Listener::from_socket(here.as_fd()).unwrap();
    let mut made = Vec::new();
    while let Ok(mut n) = outer.receive() {
        made.push(n.request().syscall);
        n.reply_continue().unwrap();
    }
    assert_eq!(supervisor.wait(), 0);
    // What lies between the two questions.
    let mut parts = made.split(|&call| call == number("getppid"));
    assert_eq!(parts.clone().count(), 3, "{made:?}");
    parts.nth(1).unwrap_or_default().to_vec()
}

fn number(call: &str) -> i32 {
    unotify::ScmpSyscall::from_name(call)
        .unwrap()
        .as_raw_syscall()
}

#[test]
fn a_string_in_one_page_takes_two_system_calls() {
    let made = calls(b"/a/path/of/forty/bytes/or/thereabouts.x\0", |n| {
        let mut buf = [0; 4096];
        let addr = addr(n);
        n.read_string(addr, &mut buf).unwrap();
    });
    assert_eq!(made, [number("process_vm_readv"), number("ioctl")]);
}

#[test]
fn the_memory_file_is_opened_once_for_a_notification() {
    in_child(|| {
        refuse("process_vm_readv", libc::ENOSYS, &[]);
        let made = calls(b"text\0", |n| {
            let mut buf = [0; 16];
            let addr = addr(n);
            n.read_string(addr, &mut buf).unwrap();
            n.read(addr, &mut buf[..4]).unwrap();
        });
        let read = [number("pread64"), number("ioctl")];
        assert_eq!(made, [read, read].concat());
    });
}

/// A 32-bit program that asks about its arguments by a 32-bit call.
#[cfg(target_arch = "x86_64")]
const NARROW: &str = "int main(int argc, char **argv) {
    long result;
    __asm__ volatile(\"int $0x80\" : \"=a\"(result) : \"a\"(64), \"b\"(argv) : \"memory\");
    return (int)result;
}";

#[test]
#[cfg(target_arch = "x86_64")]
fn a_32_bit_targets_arguments_are_read() {
    let folder = std::env::temp_dir().join(format!("unotify-narrow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, program) = (folder.join("narrow.c"), folder.join("narrow"));
    std::fs::write(&source, NARROW).unwrap();
    let built = std::process::Command::new("cc")
        .args(["-m32", "-o"])
        .args([&program, &source])
        .output();
    if !built.is_ok_and(|cc| cc.status.success()) {
        return skip("the C compiler builds no 32-bit programs");
    }
    let path = std::ffi::CString::new(program.to_str().unwrap()).unwrap();
    let mut filter = unotify::ScmpFilterContext::new(unotify::ScmpAction::Allow).unwrap();
    filter.add_arch(unotify::ScmpArch::X86).unwrap();
    let call = unotify::ScmpSyscall::from_name("getppid").unwrap();
    filter.add_rule(unotify::ScmpAction::Notify, call).unwrap();
    let target = Asker::under(
        &filter,
        || {},
        move || {
            let argv = [
                path.as_ptr(),
                c"second".as_ptr(),
                c"".as_ptr(),
                std::ptr::null(),
            ];
            // SAFETY: the array is null-terminated and live.
            unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) }
        },
    );
    let mut n = target.receive();
    assert_eq!(n.request().arch, 0x4000_0003);
    let at = addr(&n);
    let mut argv = [0; 8];
    assert_eq!(n.read_pointers(at, &mut argv).unwrap(), 3);
    let mut buf = [0; 256];
    assert_eq!(
        n.read_string(argv[0], &mut buf).unwrap().to_str(),
        Ok(program.to_str().unwrap())
    );
    assert_eq!(n.read_string(argv[1], &mut buf).unwrap(), c"second");
    assert_eq!(n.read_string(argv[2], &mut buf).unwrap(), c"");
    assert_eq!(
        n.read_pointers(at, &mut argv[..2]).unwrap_err().status(),
        Status::TooLong
    );
    target.finish(n);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn nothing_is_read_of_a_target_that_dies_at_any_moment() {
    // One after the other asks and is killed or exits, while the supervisor reads what it can.
    let rounds = fewer(2000);
    let target = Asker::start(|| {
        for round in 0..rounds {
            let mut child = Process::fork(|| {
                std::thread::spawn(move || {
                    // SAFETY: integers only.
                    unsafe {
                        libc::usleep(round % 50 * 4);
                        if round % 2 == 0 {
                            libc::_exit(0);
                        }
                        libc::kill(libc::getpid(), libc::SIGKILL);
                    }
                });
                loop {
                    ask_about(c"alive");
                }
            });
            child.wait();
        }
        0
    });
    let (mut reads, mut gone) = (0, 0);
    while let Ok(mut n) = target.listener.receive() {
        for _ in 0..3 {
            match string(&mut n, 64) {
                Ok(text) => {
                    assert_eq!(text, b"alive");
                    reads += 1;
                }
                Err(status) => {
                    assert_eq!(status, Status::Gone);
                    gone += 1;
                }
            }
        }
        let _ = n.reply_value(0);
    }
    target.end();
    assert!(reads > 0 && gone > 0, "{reads} reads, {gone} gone");
}
