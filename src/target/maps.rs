//! Where a target can write in its memory.
//!
//! Its memory file lets the supervisor write where the target itself cannot, so this has to be known
//! beforehand. A target may have 65,530 mappings, and a list of them (`/proc/TID/maps`) takes the
//! kernel tenths of a second to write, so **what is asked is bounded by what is written**: one call for
//! each mapping that it touches (`PROCMAP_QUERY`, Linux 6.11), which is one for each page at most. An
//! older kernel only has the list, which is read up to the mappings in question, and no further
//! than [`MOST_TEXT`]: what lies behind that is not written to.
//!
//! The mappings may change while they are asked for, and up to the write. All that can come of it is
//! that a target changes memory of its own that it could write to at one moment and not at another.

use crate::kernel::file;
use crate::kernel::memory::{self, Mapping};
use crate::kernel::{self, Errno};
use std::os::fd::BorrowedFd;

/// Some ten thousand mappings, or tens of milliseconds.
const MOST_TEXT: usize = 1 << 20;

/// Whether every address from `addr` to `end` is writable to the process whose `/proc/PID/maps` was
/// just opened as `maps`. `E2BIG` when a kernel before 6.11 would have to list too many.
pub(super) fn is_writable(maps: BorrowedFd<'_>, addr: u64, end: u64) -> kernel::Result<bool> {
    let mut covered = addr;
    while covered < end {
        match memory::mapping_at(maps, covered) {
            Ok(mapping) if mapping.writable && mapping.end > covered => covered = mapping.end,
            Ok(_) | Err(Errno(libc::ENOENT)) => return Ok(false),
            Err(errno @ Errno(libc::ESRCH)) => return Err(errno),
            // An older kernel; or a filter that does not let this through.
            Err(_) => return is_listed_writable(maps, covered, end),
        }
    }
    Ok(true)
}

/// [`is_writable`], by the list.
fn is_listed_writable(maps: BorrowedFd<'_>, addr: u64, end: u64) -> kernel::Result<bool> {
    let mut range = Range { covered: addr, end };
    let mut text = Vec::new();
    let mut total = 0;
    loop {
        let count = file::read_some(maps, &mut text)?;
        total += count;
        // All of the lines that are there wholly; the last one is when nothing follows it.
        let whole = match text.iter().rposition(|&b| b == b'\n') {
            Some(at) if count > 0 => at + 1,
            _ if count > 0 => 0,
            _ => text.len(),
        };
        for line in text[..whole].split(|&b| b == b'\n') {
            if let Some(answer) = parse(line).and_then(|mapping| range.pass(&mapping)) {
                return Ok(answer);
            }
        }
        if count == 0 {
            return Ok(range.covered >= end);
        }
        if total >= MOST_TEXT {
            return Err(Errno(libc::E2BIG));
        }
        text.drain(..whole);
    }
}

/// What is left of a range while mappings pass by in ascending order.
struct Range {
    covered: u64,
    end: u64,
}

impl Range {
    /// Whether all of the range is writable, once that is known.
    fn pass(&mut self, mapping: &Mapping) -> Option<bool> {
        if self.covered >= self.end {
            return Some(true);
        }
        if mapping.end <= self.covered {
            return None;
        }
        if mapping.start > self.covered || !mapping.writable {
            return Some(false);
        }
        self.covered = mapping.end;
        (self.covered >= self.end).then_some(true)
    }
}

/// One line of `/proc/PID/maps`.
fn parse(line: &[u8]) -> Option<Mapping> {
    // The name at the end may be any bytes; the range and the modes are ASCII.
    let mut words = line.split(|&b| b == b' ');
    let range = std::str::from_utf8(words.next()?).ok()?;
    let (start, end) = range.split_once('-')?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        writable: words.next()?.get(1) == Some(&b'w'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::{AsFd, OwnedFd};

    const MAPS: &[u8] = b"1000-2000 rw-p 00000000 00:00 0 /a \xff b\n\
        2000-3000 rw-p 00000000 00:00 0\n\
        3000-4000 r--p 00000000 00:00 0\n\
        5000-6000 rw-p 00000000 00:00 0\n";

    /// A file that does not know `PROCMAP_QUERY`.
    fn file(text: &[u8]) -> OwnedFd {
        // SAFETY: NUL-terminated; new, and this is its only owner.
        let fd = unsafe {
            use std::os::fd::FromRawFd;
            OwnedFd::from_raw_fd(libc::memfd_create(c"maps".as_ptr(), libc::MFD_CLOEXEC))
        };
        let mut file = std::fs::File::from(fd);
        file.write_all(text).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file.into()
    }

    fn listed(text: &[u8], addr: u64, end: u64) -> kernel::Result<bool> {
        is_writable(file(text).as_fd(), addr, end)
    }

    #[test]
    fn only_ranges_that_are_writable_throughout_are() {
        for (addr, end, expected) in [
            (0x1000, 0x3000, true),
            (0x1ff8, 0x2008, true),
            (0x5fff, 0x6000, true),
            (0x2ff8, 0x3008, false),
            (0x0fff, 0x1001, false),
            (0x4000, 0x5001, false),
            (0x5fff, 0x6001, false),
            (0x9000, 0x9001, false),
        ] {
            assert_eq!(listed(MAPS, addr, end), Ok(expected), "{addr:x}-{end:x}");
        }
        assert_eq!(listed(b"", 0, 1), Ok(false));
        assert_eq!(listed(b"1000-2000 rw-p 0", 0x1000, 0x2000), Ok(true));
    }

    #[test]
    fn a_line_may_lie_across_two_reads() {
        let mut text = Vec::new();
        for at in 1..2000 {
            writeln!(
                text,
                "{at:x}000-{:x}000 rw-p 00000000 00:00 0 /name",
                at + 1
            )
            .unwrap();
        }
        assert!(text.len() > 4 * 16384);
        assert_eq!(listed(&text, 0x1000, 0x7d0_000), Ok(true));
        assert_eq!(listed(&text, 0x1000, 0x7d0_001), Ok(false));
    }

    #[test]
    fn no_more_than_so_much_is_read() {
        let mut text = Vec::new();
        while text.len() < MOST_TEXT + 100_000 {
            let at = text.len() + 0x1000;
            writeln!(text, "{at:x}-{:x} rw-p 00000000 00:00 0", at + 1).unwrap();
        }
        let last = (text.len() + 0x10_0000) as u64;
        assert_eq!(listed(&text, last, last + 1), Err(Errno(libc::E2BIG)));
        assert_eq!(listed(&text, 0x1000, 0x1001), Ok(true));
        let file = file(&text);
        let _ = is_writable(file.as_fd(), 0x1000, 0x1001);
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut rest).unwrap();
        assert!(rest.len() >= text.len() - 16384, "read on although it knew");
    }

    #[test]
    fn the_kernels_answer_is_that_of_the_list() {
        let maps = || std::fs::File::open("/proc/self/maps").unwrap();
        let mut writable = 0u64;
        for addr in [
            &raw mut writable as u64,
            MAPS.as_ptr() as u64,
            only_ranges_that_are_writable_throughout_are as *const () as u64,
            8,
        ] {
            let asked = is_writable(maps().as_fd(), addr, addr + 8);
            assert_eq!(asked, is_listed_writable(maps().as_fd(), addr, addr + 8));
        }
    }
}
