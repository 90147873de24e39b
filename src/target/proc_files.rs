//! What `/proc` tells of a thread: its files' names, and the fields of its `status`.

use crate::kernel::{self, file, Errno};
use std::ffi::CString;

/// `/proc/TID/entry`.
pub(super) fn proc_path(tid: libc::pid_t, entry: &str) -> CString {
    CString::new(format!("/proc/{tid}/{entry}")).unwrap_or_default()
}

/// The text of `/proc/TID/status`.
pub(super) fn status(tid: libc::pid_t) -> kernel::Result<Vec<u8>> {
    file::read_made_up(&proc_path(tid, "status"))
}

/// The same of the calling thread.
pub(super) fn own_status() -> kernel::Result<Vec<u8>> {
    file::read_made_up(c"/proc/thread-self/status")
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

    #[test]
    fn fields_of_a_status_are_found_by_their_whole_name() {
        let status = b"Name:\t\xff Uid:\nUmask:\t0022\nTgid:\t12\nUid:\t1\t2\t3\t4\n";
        assert_eq!(status_field(status, "Uid", 10), Some(vec![1, 2, 3, 4]));
        assert_eq!(status_field(status, "Tgid", 10), Some(vec![12]));
        assert_eq!(status_field(status, "Umask", 8), Some(vec![0o22]));
        assert_eq!(status_field(status, "id", 10), None);
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
