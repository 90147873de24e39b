//! Telling a process from its copies: what was made before a `fork` is the parent's business.
//!
//! A process id does not tell: it is the same again in a new pid namespace, and later. So there is
//! one page that the kernel wipes in every copy (`MADV_WIPEONFORK`, Linux 4.14). It holds the
//! number of the process, which is one more than that of the process it is a copy of; a copy that
//! finds the page wiped takes the next one. A child that shares its parent's memory (`vfork`) is
//! the same process here, rightly: what it does to an object it does to its parent's.
//!
//! All of it is async-signal-safe and takes no lock.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// A process. Two are equal if nothing was forked between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u64);

/// What stands for the page before there is one. Never written to.
static NO_PAGE: AtomicU64 = AtomicU64::new(0);

/// The page, once there is one.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const NO_PAGE).cast_mut());

/// The last number that was taken, by this process or those it is a copy of.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Where there is no such page, the number is the process id and this. No process has counted so
/// far.
const BY_ID: u64 = 1 << 63;

impl Process {
    /// None: what holds nothing belongs to nobody.
    pub(crate) const NONE: Process = Process(0);

    /// Equal to none.
    pub(crate) const NEVER: Process = Process(u64::MAX);

    /// The calling process if it has asked before, else [`Process::NONE`].
    #[inline(always)]
    pub(crate) fn current_if_known() -> Process {
        let page = PAGE.load(SeqCst);
        // SAFETY: a static, or what stays mapped for ever.
        Process(unsafe { &*page }.load(Relaxed))
    }

    /// The calling process.
    #[inline]
    pub(crate) fn current() -> Process {
        match Process::current_if_known() {
            Process::NONE => Process(first(PAGE.load(SeqCst))),
            known => known,
        }
    }

    /// Whether the calling process is this one, and not a copy of it.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        self == Process::current()
    }

    /// The number, for who has room for just some bits of it.
    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The number of a process that asks for the first time.
#[cold]
fn first(mut page: *mut AtomicU64) -> u64 {
    if page.cast_const() == &raw const NO_PAGE {
        let Some(made) = make_page() else {
            // SAFETY: no arguments.
            return BY_ID | unsafe { libc::getpid() } as u64;
        };
        page = made;
    }
    let next = LAST.fetch_add(1, SeqCst) + 1;
    // Another thread may have been faster.
    // SAFETY: it stays mapped for ever.
    match unsafe { &*page }.compare_exchange(0, next, SeqCst, SeqCst) {
        Ok(_) => next,
        Err(theirs) => theirs,
    }
}

/// The page, made by this thread or by another. `None` when the kernel does not wipe any.
fn make_page() -> Option<*mut AtomicU64> {
    let size = size_of::<AtomicU64>();
    // SAFETY: a new mapping, of zeroes, as long as a page: `size` is rounded up. Nobody else knows it
    // until it is put into `PAGE`, and then nobody unmaps it.
    unsafe {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        let page = libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, size, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, size);
            return None;
        }
        let made = page.cast::<AtomicU64>();
        let none = (&raw const NO_PAGE).cast_mut();
        match PAGE.compare_exchange(none, made, SeqCst, SeqCst) {
            Ok(_) => Some(made),
            Err(theirs) => {
                libc::munmap(page, size);
                Some(theirs)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `body` comes to in a copy of this process.
    fn in_a_copy(body: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child makes system calls, and ends without coming back.
        unsafe {
            let child = libc::fork();
            assert!(child >= 0);
            if child == 0 {
                libc::_exit(i32::from(body()));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1
        }
    }

    #[test]
    fn a_process_is_itself() {
        assert!(Process::current().is_current());
        assert!(!Process::NONE.is_current());
        let there = std::thread::spawn(Process::current).join().unwrap();
        assert!(there.is_current());
    }

    #[test]
    fn a_copy_is_another_process_and_so_is_a_copy_of_that() {
        let parent = Process::current();
        assert!(in_a_copy(|| {
            let child = Process::current();
            child != parent
                && child.is_current()
                && in_a_copy(|| !parent.is_current() && !child.is_current())
        }));
        assert!(parent.is_current());
    }

    #[test]
    fn a_copy_that_asks_late_is_another_process() {
        let parent = Process::current();
        assert!(in_a_copy(|| in_a_copy(|| !parent.is_current())));
    }
}
