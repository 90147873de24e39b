//! What `/proc` tells of a thread: its files' names, and the fields of its `status`.

use crate::held::Proc;
use crate::kernel::{self, file, Errno};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// A short path below `/proc`, written in place.
#[derive(Debug)]
pub(super) struct Entry {
    text: [u8; Self::ROOM],
    len: usize,
}

impl Entry {
    /// Enough for two numbers and what is put between them, a name in a directory and the NUL.
    const ROOM: usize = 32 + libc::NAME_MAX as usize + 1;

    /// `TID/entry`; that may be as long as "status".
    #[inline]
    pub(super) fn of(tid: libc::pid_t, entry: &str) -> Self {
        Self::new().number(tid).text("/").text(entry)
    }

    /// `TID/fd/FD`.
    #[inline]
    pub(super) fn of_fd(tid: libc::pid_t, fd: RawFd) -> Self {
        Self::of(tid, "fd/").number(fd)
    }

    /// The calling thread's own descriptor.
    #[inline]
    pub(super) fn of_own(fd: BorrowedFd<'_>) -> Self {
        Self::new().text("thread-self/fd/").number(fd.as_raw_fd())
    }

    /// What lies in the directory that this leads to; nothing if the name is longer than any.
    #[inline]
    pub(super) fn then(self, name: &CStr) -> Option<Self> {
        let name = name.to_bytes();
        if name.len() > libc::NAME_MAX as usize {
            return None;
        }
        Some(self.bytes(b"/").bytes(name))
    }

    fn new() -> Self {
        Entry {
            text: [0; Self::ROOM],
            len: 0,
        }
    }

    #[inline]
    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    #[inline]
    fn bytes(mut self, text: &[u8]) -> Self {
        let end = self.len + text.len();
        self.text[self.len..end].copy_from_slice(text);
        self.len = end;
        self
    }

    /// One that is not negative.
    #[inline]
    fn number(self, number: i32) -> Self {
        let mut digits = [0; 10];
        let mut at = digits.len();
        let mut rest = number.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes(&digits[at..])
    }

    #[inline]
    pub(super) fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.text).unwrap_or_default()
    }
}

/// `/proc/TID/entry`.
pub(super) fn proc_path(tid: libc::pid_t, entry: &str) -> CString {
    CString::new(format!("/proc/{tid}/{entry}")).unwrap_or_default()
}

/// The text of `/proc/TID/status`.
pub(super) fn status(proc: &Proc, tid: libc::pid_t) -> kernel::Result<Vec<u8>> {
    file::read_made_up(proc.dir(), Entry::of(tid, "status").path())
}

/// The same of the calling thread.
pub(super) fn own_status(proc: &Proc) -> kernel::Result<Vec<u8>> {
    file::read_made_up(proc.dir(), c"thread-self/status")
}

/// Errors with `ENOENT` unless `/proc` numbers processes as this process does: after
/// `unshare(CLONE_NEWPID)` it may still be the `/proc` of the namespace above, where the target's
/// number is somebody else's.
pub(super) fn check_proc() -> kernel::Result<()> {
    let own = file::read_link(None, c"/proc/self")?;
    if own == std::process::id().to_string().as_bytes() {
        Ok(())
    } else {
        Err(Errno(libc::ENOENT))
    }
}

/// The numbers behind `field` in the text of `/proc/TID/status`.
pub(super) fn status_field(status: &[u8], field: &str, radix: u32) -> Option<Vec<u32>> {
    line(status, field)?
        .split_ascii_whitespace()
        .map(|number| u32::from_str_radix(number, radix).ok())
        .collect()
}

/// The set behind `field`, of capabilities or of signals: a bit for each.
pub(super) fn status_set(status: &[u8], field: &str) -> Option<u64> {
    u64::from_str_radix(line(status, field)?.trim(), 16).ok()
}

fn line<'a>(status: &'a [u8], field: &str) -> Option<&'a str> {
    let line = status
        .split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(field.as_bytes())?.strip_prefix(b":"))?;
    std::str::from_utf8(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn fields_of_a_status_are_found_by_their_whole_name() {
        let status = b"Name:\t\xff Uid:\nUmask:\t0022\nTgid:\t12\nUid:\t1\t2\t3\t4\n";
        assert_eq!(status_field(status, "Uid", 10), Some(vec![1, 2, 3, 4]));
        assert_eq!(status_field(status, "Tgid", 10), Some(vec![12]));
        assert_eq!(status_field(status, "Umask", 8), Some(vec![0o22]));
        assert_eq!(status_field(status, "id", 10), None);
    }

    #[test]
    fn entries_are_written_as_the_kernel_reads_them() {
        assert_eq!(Entry::of(1, "root").path(), c"1/root");
        assert_eq!(Entry::of_fd(4_194_304, 0).path(), c"4194304/fd/0");
        assert_eq!(
            Entry::of_fd(i32::MAX, i32::MAX).path(),
            c"2147483647/fd/2147483647"
        );
        let long = CString::new(vec![b'x'; 255]).unwrap();
        let longest = Entry::of_fd(i32::MAX, i32::MAX).then(&long).unwrap();
        assert_eq!(longest.path().to_bytes().len(), 24 + 1 + 255);
        let longer = CString::new(vec![b'x'; 256]).unwrap();
        assert!(Entry::of(1, "cwd").then(&longer).is_none());
        let own = std::io::stdin();
        assert_eq!(Entry::of_own(own.as_fd()).path(), c"thread-self/fd/0");
    }

    #[test]
    fn sets_of_a_status_have_64_bits() {
        let status = b"SigPnd:\t0000000000000000\nCapEff:\t800001ffffffffff\nX:\t\n";
        assert_eq!(status_set(status, "CapEff"), Some(0x8000_01ff_ffff_ffff));
        assert_eq!(status_set(status, "SigPnd"), Some(0));
        assert_eq!(status_set(status, "X"), None);
    }

    #[test]
    fn the_test_runs_with_a_proc_of_its_own_namespace() {
        assert_eq!(check_proc(), Ok(()));
    }
}
