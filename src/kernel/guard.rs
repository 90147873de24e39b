//! What kills a child that was not told otherwise when the process that starts it is killed.
//!
//! A pipe whose end to read from sends `SIGKILL` to the child when the last end to write to is
//! closed (`F_SETOWN`, `F_SETSIG`, `O_ASYNC`). That is arranged in the open file, not in the child:
//! so the child need not, and cannot, call it off, and whoever starts it can.
//!
//! The end to write to has to be in a descriptor table that ends with this process and that nobody
//! shares or copies: neither the child, nor a process that another thread forks. So a thread that
//! does nothing keeps it ([`Keeper`]).

use super::clone::{self, Task};
use super::syscall::syscall;
use super::{check, fd_table, futex, process, signals, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::thread::{self, JoinHandle};

/// `F_SETSIG` of `fcntl(2)`.
const F_SETSIG: libc::c_int = 10;

/// For the process that is to be killed: arranges it with the end to read from. Calls nothing but
/// bare system calls. `ECHILD` when nobody holds the other end any more, so that the signal does
/// not come.
pub(super) fn arm(end: RawFd) -> Result<()> {
    // SAFETY: no arguments.
    let own = unsafe { syscall(libc::SYS_getpid, [0; 6]) }?;
    for (what, value) in [
        (libc::F_SETOWN, own as usize),
        (F_SETSIG, libc::SIGKILL as usize),
        (libc::F_SETFL, libc::O_ASYNC as usize),
    ] {
        // SAFETY: integers only.
        unsafe {
            syscall(
                libc::SYS_fcntl,
                [end as usize, what as usize, value, 0, 0, 0],
            )
        }?;
    }
    let mut entry = libc::pollfd {
        fd: end,
        events: 0,
        revents: 0,
    };
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let (entry, now) = (&raw mut entry as usize, &raw mut now as usize);
    // SAFETY: one entry, a time limit, no set of signals; all live across the call.
    let polled = unsafe { syscall(libc::SYS_ppoll, [entry, 1, now, 0, 0, 0]) }?;
    if polled == 0 {
        Ok(())
    } else {
        Err(Errno(libc::ECHILD))
    }
}

/// Calls it off, for good.
pub(crate) fn disarm(end: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, 0) }.into()).map(drop)
}

/// A thread that sleeps, with the calling thread's descriptor table as it is when this is made. It has
/// ended, and the table is gone, when this is dropped.
#[derive(Debug)]
pub(crate) struct Keeper(Sleeper);

#[derive(Debug)]
enum Sleeper {
    /// No thread of the C library's. It is cloned with a table of its own, so it need not run before
    /// it is of use.
    Bare(NonNull<Bed>, libc::pid_t),
    /// One of the standard library's, where there are no others; it tells its number at its end.
    Thread(Option<(JoinHandle<libc::pid_t>, SyncSender<()>)>),
}

/// What a bare thread uses.
#[derive(Debug)]
#[repr(C, align(64))]
struct Bed {
    stack: [u64; 512],
    /// What its thread pointer leads to.
    thread: [usize; 16],
    over: AtomicU32,
    /// Cleared by the kernel at its end.
    present: AtomicU32,
}

// SAFETY: what two threads use of the bed is atomic.
unsafe impl Send for Keeper {}

impl Keeper {
    pub(crate) fn start() -> Result<Self> {
        let sleeper = match bare() {
            // What sandboxes and emulators say to flags that they do not like.
            Err(Errno(libc::EINVAL | libc::EPERM | libc::ENOSYS)) => thread(),
            bare => bare,
        };
        sleeper.map(Keeper)
    }

    /// Lets the thread end, without waiting for that.
    pub(crate) fn release(&mut self) {
        match &mut self.0 {
            Sleeper::Bare(bed, _) => {
                // SAFETY: freed by the drop.
                let over = unsafe { &(*bed.as_ptr()).over };
                over.store(1, Ordering::Release);
                futex::wake(over, 1);
            }
            Sleeper::Thread(thread) => {
                if let Some((_, over)) = thread {
                    *over = sync_channel(0).0;
                }
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.release();
        let id = match &mut self.0 {
            Sleeper::Bare(bed, id) => {
                // SAFETY: made of a box, and freed when the thread uses it no longer.
                unsafe {
                    let present = &(*bed.as_ptr()).present;
                    while present.load(Ordering::Acquire) != 0 {
                        // The kernel wakes as if it were another process.
                        futex::wait_shared(present, 1, None);
                    }
                    drop(Box::from_raw(bed.as_ptr()));
                }
                Some(*id)
            }
            Sleeper::Thread(thread) => thread.take().and_then(|(thread, _)| thread.join().ok()),
        };
        // Only then is the table gone.
        if let Some(id) = id {
            process::await_thread_end(id);
        }
    }
}

fn bare() -> Result<Sleeper> {
    let bed = Box::into_raw(Box::new(Bed {
        stack: [0; 512],
        thread: [0; 16],
        over: AtomicU32::new(0),
        present: AtomicU32::new(1),
    }));
    // Without CLONE_FILES.
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS
        | libc::CLONE_CHILD_CLEARTID;
    // SAFETY: nobody else has the bed yet. It stays until the thread has ended, as its owner waits for
    // that. No signal is ever delivered to the thread.
    let started = unsafe {
        let thread = &raw mut (*bed).thread;
        // Where those who ask for it expect the pointer itself.
        (*thread)[0] = thread as usize;
        (*thread)[2] = thread as usize;
        let task = Task {
            flags: flags as u32 as u64,
            exit_signal: 0,
            stack_end: thread.cast(),
            stack_size: thread as usize - bed as usize,
            thread_pointer: thread.cast(),
            present: (*bed).present.as_ptr(),
            body: sleep,
            argument: bed.cast(),
        };
        signals::held(|| clone::clone(&task))
    };
    match started {
        Ok((id, _)) => {
            // SAFETY: a box is nowhere near null.
            let bed = unsafe { NonNull::new_unchecked(bed) };
            Ok(Sleeper::Bare(bed, id))
        }
        Err(errno) => {
            // SAFETY: made of a box, and there is no thread.
            drop(unsafe { Box::from_raw(bed) });
            Err(errno)
        }
    }
}

/// A bare thread's life.
unsafe extern "C" fn sleep(bed: *mut u8) -> ! {
    // SAFETY: the bed stays until the kernel says that the thread has ended.
    let over = unsafe { &(*bed.cast::<Bed>()).over };
    while over.load(Ordering::Acquire) == 0 {
        let (word, wait) = (
            over.as_ptr() as usize,
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
        );
        // SAFETY: the word lives across the call; without a time limit.
        let _ = unsafe { syscall(libc::SYS_futex, [word, wait as usize, 0, 0, 0, 0]) };
    }
    loop {
        // SAFETY: ends this thread.
        let _ = unsafe { syscall(libc::SYS_exit, [0; 6]) };
    }
}

fn thread() -> Result<Sleeper> {
    let (over, is_over) = sync_channel::<()>(0);
    let (tell, ready) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("unotify-guard".into())
        .stack_size(64 * 1024)
        .spawn(move || {
            // A copy, which is made while the caller waits.
            let own = fd_table::unshare();
            let is_ready = own.is_ok();
            let _ = tell.send(own);
            if is_ready {
                // Hangs up when it is over.
                let _ = is_over.recv();
            }
            signals::thread_id()
        })
        .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
    let sleeper = Sleeper::Thread(Some((thread, over)));
    ready.recv().unwrap_or(Err(Errno(libc::EAGAIN)))?;
    Ok(sleeper)
}
