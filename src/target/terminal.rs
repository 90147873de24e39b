//! What `/dev/tty` is to a target: its controlling terminal.
//!
//! `/proc/TID/stat` has its device number. That is found among the first three descriptors of the
//! target or, by the name that the device has, in its `/dev`. Numbers of pseudo-terminals are unique
//! within one devpts only, so a target that has several of them in reach may choose between those of
//! the same number; it never gets a terminal that it could not name itself.

use super::open_how::Asked;
use super::place::IN_ROOT;
use super::proc_files::proc_path;
use crate::kernel::file::{self, OpenHow};
use crate::kernel::{self, Errno};
use crate::notification::Notification;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The major numbers of pseudo-terminals, of which there were eight once.
const PTS: std::ops::RangeInclusive<u32> = 136..=143;

impl Notification {
    /// Opens the target's controlling terminal; `ENXIO` when it has none or it is out of reach.
    pub(super) fn open_terminal(
        &mut self,
        tid: libc::pid_t,
        root: BorrowedFd<'_>,
        asked: &Asked,
    ) -> kernel::Result<OwnedFd> {
        let found = find(tid, root);
        self.check_valid().map_err(|e| Errno(e.errno()))?;
        let terminal = found?.ok_or(Errno(libc::ENXIO))?;
        self.open_for_good(tid, terminal.as_fd(), asked)
    }
}

fn find(tid: libc::pid_t, root: BorrowedFd<'_>) -> kernel::Result<Option<OwnedFd>> {
    let device = match device(&file::read_all(&proc_path(tid, "stat"))?) {
        Some((0, 0)) => return Ok(None),
        device => device.ok_or(Errno(libc::EIO))?,
    };
    let is_it = |fd: &OwnedFd| {
        file::stat(fd.as_fd()).is_ok_and(|stat| stat.kind() == libc::S_IFCHR && stat.rdev == device)
    };
    for fd in 0..3 {
        let link = proc_path(tid, &format!("fd/{fd}"));
        let opened = file::open(None, &link, libc::O_PATH | libc::O_CLOEXEC).ok();
        if let Some(terminal) = opened.filter(is_it) {
            return Ok(Some(terminal));
        }
    }
    let Some(name) = name(device) else {
        return Ok(None);
    };
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: IN_ROOT,
    };
    Ok(file::openat2(root, &name, how).ok().filter(is_it))
}

/// The path below the root directory that a terminal commonly has.
fn name((major, minor): (u32, u32)) -> Option<CString> {
    let name = if PTS.contains(&major) {
        format!("pts/{}", ((major - PTS.start()) << 8) + minor)
    } else {
        let about = CString::new(format!("/sys/dev/char/{major}:{minor}/uevent")).ok()?;
        let text = String::from_utf8(file::read_all(&about).ok()?).ok()?;
        let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="));
        name?.to_owned()
    };
    CString::new(format!("dev/{name}")).ok()
}

/// Major and minor number of the controlling terminal, out of the text of `/proc/TID/stat`.
fn device(stat: &[u8]) -> Option<(u32, u32)> {
    // The name of the program, in parentheses, may be any bytes.
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    // state, parent, group, session, terminal
    let number: i32 = rest.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let number = number as u32;
    let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
    Some(((number >> 8) & 0xfff, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_read_behind_any_name() {
        let stat = b"12 (a) b 1 2) S 1 12 12 34816 12 4194304";
        assert_eq!(device(stat), Some((136, 0)));
        assert_eq!(device(b"1 (x) S 0 1 1 0 -1"), Some((0, 0)));
        assert_eq!(device(b"1 (x) S 0 1 1 276858916 1"), Some((136, 0x10824)));
        assert_eq!(device(b"1 (x) S"), None);
    }

    #[test]
    fn pseudo_terminals_are_named_by_their_number() {
        assert_eq!(name((136, 7)).as_deref(), Some(c"dev/pts/7"));
        assert_eq!(name((136, 300)).as_deref(), Some(c"dev/pts/300"));
        assert_eq!(name((137, 1)).as_deref(), Some(c"dev/pts/257"));
    }
}
