//! A target's memory.
//!
//! **Reading** is `process_vm_readv(2)`, and after it the check that the notification is pending.
//! The thread that waits cannot have been replaced while it waited: if it waits still, its number
//! was its own at the time of the read, its memory was the one the call's arguments point into
//! (nothing but `exec` changes that, and who waits does not exec), and so are the bytes.
//!
//! **Where `process_vm_readv` is refused or missing** (a kernel without
//! `CONFIG_CROSS_MEMORY_ATTACH`, a supervisor that is itself under a filter) the memory file
//! `/proc/TID/mem` is read instead. It is opened once for a notification and kept until the next
//! one. It stands for the memory the thread had when it was opened, whatever becomes of the number, so
//! one check after opening and one after each read prove the rest. It is *not* kept from one
//! notification to the next: the thread may have executed another program in between while its
//! old memory lived on in a process that shared it, or the number may be a new thread's, and
//! neither can be seen from the file.
//!
//! **Writing** always goes through that file: a check before `process_vm_writev(2)` says nothing
//! about the moment of the write, when the number could be another's, and a check after it comes
//! too late.

use super::memory_file::MemoryFile;
use super::proc_files::{check_proc, proc_path};
use super::{maps, permission};
use crate::error::{Error, Result, Status};
use crate::kernel::memory::{self, Scratch};
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

/// What ended a look through memory.
enum Found {
    /// What was looked for ends before this index.
    End(usize),
    /// Not in as many bytes as were allowed.
    Nothing,
}

impl Notification {
    /// Fills `buf` from the target's memory at `addr`, wholly or not at all: on any error `buf`
    /// is as it was.
    ///
    /// Two system calls: `process_vm_readv(2)` and the check that the notification is still
    /// pending. More than 8 KiB takes memory from the heap.
    ///
    /// **It blocks for as long as the target likes** where the target serves the page itself
    /// (`userfaultfd(2)`, a mapping of its own FUSE): one target stalls one thread with it.
    ///
    /// # Errors
    /// [`Status::Gone`] when the target does not wait any more; [`Status::Fault`] when any of the
    /// bytes is not readable; [`Status::Permission`] when the supervisor may not look into the
    /// target (the message says what is missing); [`Status::NotVisible`] when the target is
    /// outside the supervisor's pid namespace; [`Status::NoMemory`]; [`Status::Answered`].
    pub fn read(&mut self, addr: u64, buf: &mut [u8]) -> Result<()> {
        let mut scratch = Scratch::new();
        self.watched(|n| n.read_checked(&mut scratch, addr, buf.len()))?;
        buf.copy_from_slice(scratch.bytes());
        Ok(())
    }

    /// Exactly `len` bytes, of a target that waits.
    fn read_checked(&mut self, scratch: &mut Scratch, addr: u64, len: usize) -> Result<()> {
        let tid = self.target()?;
        let mut outcome = Ok(());
        while scratch.bytes().len() < len {
            let had = scratch.bytes().len();
            let count = match end_of(addr, had) {
                Some(at) => scratch.read_with(len - had, |buffer| self.fetch(tid, at, buffer)),
                None => Err(Errno(libc::EFAULT)),
            };
            match count {
                Ok(0) => outcome = Err(Errno(libc::EFAULT)),
                Ok(_) => continue,
                Err(errno) => outcome = Err(errno),
            }
            break;
        }
        self.check_valid()?;
        outcome.map_err(|errno| self.explain_memory(errno, "read", addr))
    }

    /// The string at `addr` in the target's memory, copied into `buf` with its NUL, which has to
    /// be among the first `buf.len()` bytes. On any error `buf` is as it was.
    ///
    /// Two system calls, and no allocation, for a string that lies in one page. A page is only
    /// touched when the string goes on into it.
    ///
    /// # Errors
    /// As [`Notification::read`]; [`Status::TooLong`] when there is no NUL in as many bytes.
    pub fn read_string<'b>(&mut self, addr: u64, buf: &'b mut [u8]) -> Result<&'b CStr> {
        let mut scratch = Scratch::new();
        let string = self.watched(|n| {
            let string = n.unchecked_string(&mut scratch, addr, buf.len())?;
            n.check_valid().map(|()| string)
        })?;
        let string = string.to_bytes_with_nul();
        let copy = &mut buf[..string.len()];
        copy.copy_from_slice(string);
        // The one NUL is at the end of it, so this finds it.
        Ok(CStr::from_bytes_until_nul(copy).unwrap_or_default())
    }

    /// The string at `addr`, with its NUL at most `limit` bytes long. **Not yet checked to be of the
    /// target**: nobody may be shown it before that. An error is of the target's.
    pub(super) fn unchecked_string<'s>(
        &mut self,
        scratch: &'s mut Scratch,
        addr: u64,
        limit: usize,
    ) -> Result<&'s CStr> {
        let tid = self.target()?;
        let found = self.look(tid, scratch, addr, limit, |bytes, new| {
            let string = CStr::from_bytes_until_nul(&bytes[new..]).ok()?;
            Some(new + string.count_bytes() + 1)
        });
        match found {
            Ok(Found::End(end)) => {
                Ok(CStr::from_bytes_with_nul(&scratch.bytes()[..end]).unwrap_or_default())
            }
            Ok(Found::Nothing) => {
                self.check_valid()?;
                Err(Error::with_errno(
                    Status::TooLong,
                    Errno(libc::ENAMETOOLONG),
                    "the string at this address is longer than the room for it",
                ))
            }
            Err(errno) => {
                self.check_valid()?;
                Err(self.explain_memory(errno, "read", addr))
            }
        }
    }

    /// The pointers of a null-terminated array (`argv`, `envp`) at `addr` in the target's memory,
    /// without the terminator; how wide they are follows from the architecture the call was made
    /// for. At most `out.len()`; returns how many there are. On any error `out` is as it was.
    ///
    /// # Errors
    /// As [`Notification::read`]; [`Status::TooLong`] when there are more than `out.len()`.
    pub fn read_pointers(&mut self, addr: u64, out: &mut [u64]) -> Result<usize> {
        let width = pointer_width(self.request().arch, self.request().syscall);
        let limit = out.len().saturating_add(1).saturating_mul(width);
        let mut scratch = Scratch::new();
        let found = self.checked_look(&mut scratch, addr, limit, |bytes, new| {
            let first = new / width;
            bytes[first * width..]
                .chunks_exact(width)
                .position(|entry| entry.iter().all(|&b| b == 0))
                .map(|at| first + at)
        })?;
        match found {
            Found::End(count) => {
                for (to, entry) in out
                    .iter_mut()
                    .zip(scratch.bytes().chunks_exact(width))
                    .take(count)
                {
                    *to = pointer(entry);
                }
                Ok(count)
            }
            Found::Nothing => Err(Error::with_errno(
                Status::TooLong,
                Errno(libc::E2BIG),
                "the array at this address is longer than the room for it",
            )),
        }
    }

    /// [`Notification::look`], which the target can make last, and the check that the target still
    /// waits.
    fn checked_look(
        &mut self,
        scratch: &mut Scratch,
        addr: u64,
        limit: usize,
        end: impl Fn(&[u8], usize) -> Option<usize>,
    ) -> Result<Found> {
        self.watched(|n| {
            let tid = n.target()?;
            let outcome = n.look(tid, scratch, addr, limit, end);
            n.check_valid()?;
            outcome.map_err(|errno| n.explain_memory(errno, "read", addr))
        })
    }

    /// Reads page by page, at most `limit` bytes, until `end` finds what it looks for in what was
    /// read: it is given everything and the index where the latest bytes begin. Not yet checked to be
    /// of the target.
    fn look(
        &mut self,
        tid: libc::pid_t,
        scratch: &mut Scratch,
        addr: u64,
        limit: usize,
        end: impl Fn(&[u8], usize) -> Option<usize>,
    ) -> kernel::Result<Found> {
        while scratch.bytes().len() < limit {
            let had = scratch.bytes().len();
            let at = end_of(addr, had).ok_or(Errno(libc::EFAULT))?;
            let page = memory::page_size();
            let rest = usize::try_from(page - at % page).unwrap_or(usize::MAX);
            let want = rest.min(limit - had);
            if scratch.read_with(want, |buffer| self.fetch(tid, at, buffer))? == 0 {
                return Err(Errno(libc::EFAULT));
            }
            if let Some(at) = end(scratch.bytes(), had) {
                return Ok(Found::End(at));
            }
        }
        Ok(Found::Nothing)
    }

    /// One read, not yet checked to be of the target.
    fn fetch(
        &mut self,
        tid: libc::pid_t,
        addr: u64,
        buffer: &mut [MaybeUninit<u8>],
    ) -> kernel::Result<usize> {
        if !self.has_memory_file() {
            match memory::read(tid, addr, buffer) {
                Err(errno @ Errno(libc::ENOSYS | libc::EPERM)) => {
                    // The file may be refused as well; then the first reason is the better one.
                    self.open_memory(tid, false).map_err(|_| errno)?;
                }
                other => return other,
            }
        }
        match &self.memory {
            Some(memory) => memory::pread(memory.file.as_fd(), addr, buffer),
            None => Err(Errno(libc::ENOSYS)),
        }
    }

    /// Copies `data` into the target's memory at `addr`.
    ///
    /// Goes through `/proc/TID/mem`, opened at the first use for this notification, so that it
    /// cannot reach any memory but this target's even if the target dies meanwhile. The pages
    /// must be writable to the target itself, which the kernel is asked first: one call for each
    /// mapping that is touched. **Before Linux 6.11** the list of the target's mappings is read up to
    /// there, and no more than a MiB of it: some ten thousand mappings, beyond which a target is not
    /// written to.
    ///
    /// Like [`Notification::read`] it blocks on pages that the target serves itself.
    ///
    /// # Errors
    /// As [`Notification::read`]; [`Status::Fault`] when any of the bytes is not writable, of
    /// which nothing is written, unless the target unmaps it at that very moment;
    /// [`Status::Gone`] can come after the bytes were written; [`Status::Unsupported`] before Linux
    /// 6.11 for a target with so many mappings.
    pub fn write(&mut self, addr: u64, data: &[u8]) -> Result<()> {
        self.watched(|n| n.write_checked(addr, data))
    }

    fn write_checked(&mut self, addr: u64, data: &[u8]) -> Result<()> {
        let tid = self.target()?;
        let outcome = self.prepare_write(tid, addr, data.len());
        self.check_valid()?;
        let explained = |n: &Self, errno| n.explain_memory(errno, "write", addr);
        outcome.map_err(|errno| explained(self, errno))?;
        // From here on the file is known to be the target's.
        let outcome = self.write_all(addr, data);
        self.check_valid()?;
        outcome.map_err(|errno| explained(self, errno))
    }

    fn prepare_write(&mut self, tid: libc::pid_t, addr: u64, len: usize) -> kernel::Result<()> {
        if !self.memory.as_ref().is_some_and(|m| m.writable) || !self.has_memory_file() {
            self.open_memory(tid, true)?;
        }
        let end = addr.checked_add(len as u64).ok_or(Errno(libc::EFAULT))?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let maps = file::open(None, &proc_path(tid, "maps"), flags)?;
        if maps::is_writable(maps.as_fd(), addr, end)? {
            Ok(())
        } else {
            Err(Errno(libc::EFAULT))
        }
    }

    fn write_all(&self, addr: u64, data: &[u8]) -> kernel::Result<()> {
        let memory = self.memory.as_ref().ok_or(Errno(libc::ENOSYS))?;
        let mut done = 0;
        while done < data.len() {
            match memory::pwrite(memory.file.as_fd(), addr + done as u64, &data[done..])? {
                0 => return Err(Errno(libc::EFAULT)),
                count => done += count,
            }
        }
        Ok(())
    }

    fn has_memory_file(&self) -> bool {
        self.memory
            .as_ref()
            .is_some_and(|memory| memory.id == self.request().id)
    }

    /// Opens the memory file and checks that it is the target's.
    fn open_memory(&mut self, tid: libc::pid_t, writable: bool) -> kernel::Result<()> {
        self.memory = None;
        check_proc()?;
        let access = if writable {
            libc::O_RDWR
        } else {
            libc::O_RDONLY
        };
        let file = file::open(None, &proc_path(tid, "mem"), access | libc::O_CLOEXEC)?;
        self.check_valid().map_err(|e| Errno(e.errno()))?;
        self.memory = Some(MemoryFile {
            id: self.request().id,
            file,
            writable,
        });
        Ok(())
    }

    /// What a failed access means, for a target that still waits.
    fn explain_memory(&self, errno: Errno, verb: &str, addr: u64) -> Error {
        match errno.0 {
            libc::EFAULT | libc::EIO => Error::with_errno(
                Status::Fault,
                Errno(libc::EFAULT),
                format!("cannot {verb} the target's memory at {addr:#x}: not accessible there"),
            ),
            libc::E2BIG => Error::with_errno(
                Status::Unsupported,
                Errno(libc::ENOSYS),
                "writing to a target with so many mappings takes Linux 6.11",
            ),
            libc::EPERM | libc::EACCES => permission::explain(
                errno,
                &format!("{verb} the target's memory"),
                self.request().pid,
            ),
            _ => Error::system(errno, &format!("{verb} the target's memory")),
        }
    }
}

/// Where the byte `had` behind `addr` is, if there is such an address.
fn end_of(addr: u64, had: usize) -> Option<u64> {
    addr.checked_add(had as u64)
}

/// How wide a pointer is in a call made for this architecture. `__AUDIT_ARCH_64BIT` tells, with
/// two exceptions whose calls are 64 bits wide and whose pointers are not: x32 and MIPS n32.
fn pointer_width(arch: u32, syscall: i32) -> usize {
    const BITS_64: u32 = 0x8000_0000;
    const MIPS_N32: u32 = 0x2000_0000;
    const X86_64: u32 = 0xc000_003e;
    const X32_SYSCALL: i32 = 0x4000_0000;
    let x32 = arch == X86_64 && syscall & X32_SYSCALL != 0;
    if arch & BITS_64 != 0 && arch & MIPS_N32 == 0 && !x32 {
        8
    } else {
        4
    }
}

/// A pointer of 4 or 8 bytes.
fn pointer(entry: &[u8]) -> u64 {
    match (entry.try_into(), entry.try_into()) {
        (Ok(wide), _) => u64::from_ne_bytes(wide),
        (_, Ok(narrow)) => u32::from_ne_bytes(narrow).into(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_as_wide_as_the_architecture_has_them() {
        assert_eq!(pointer_width(0xc000_003e, 59), 8); // x86_64
        assert_eq!(pointer_width(0xc000_003e, 0x4000_0208), 4); // x32
        assert_eq!(pointer_width(0x4000_0003, 11), 4); // i386
        assert_eq!(pointer_width(0xc000_00b7, 221), 8); // aarch64
        assert_eq!(pointer_width(0x4000_0028, 11), 4); // arm
        assert_eq!(pointer_width(0xe000_0008, 6057), 4); // mipsel n32
        assert_eq!(pointer(&7u64.to_ne_bytes()), 7);
        assert_eq!(pointer(&7u32.to_ne_bytes()), 7);
    }
}
