//! Another process's memory: `process_vm_readv(2)` and the memory file in `/proc`.

use super::known::Known;
use super::syscall::syscall;
use super::{check, retry, Errno, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How much a [`Scratch`] holds in place.
const IN_PLACE: usize = 8192;

/// By how much a [`Scratch`] on the heap grows.
const STEP: usize = 65536;

/// A buffer to read into before anybody is shown what was read: on the stack while it is small,
/// and never zeroed first.
pub(crate) struct Scratch {
    here: [MaybeUninit<u8>; IN_PLACE],
    heap: Vec<u8>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Scratch {
            here: [MaybeUninit::uninit(); IN_PLACE],
            heap: Vec::new(),
            len: 0,
        }
    }

    /// What was read.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.heap.capacity() > 0 {
            return &self.heap;
        }
        // SAFETY: `read_with` has counted `len` bytes that the kernel wrote.
        unsafe { std::slice::from_raw_parts(self.here.as_ptr().cast(), self.len) }
    }

    /// Lets `read` put up to `want` bytes behind what is there; it is shown fewer if less is
    /// convenient. `ENOMEM` when there is no memory for more.
    pub(crate) fn read_with(
        &mut self,
        want: usize,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize>,
    ) -> Result<usize> {
        let on_heap = self.heap.capacity() > 0;
        if !on_heap && self.len < IN_PLACE {
            let end = IN_PLACE.min(self.len.saturating_add(want));
            let count = read(&mut self.here[self.len..end])?;
            self.len = end.min(self.len + count);
            return Ok(count);
        }
        let want = want.min(STEP);
        let missing = if on_heap { want } else { self.len + want };
        self.heap
            .try_reserve(missing)
            .map_err(|_| Errno(libc::ENOMEM))?;
        if !on_heap {
            // SAFETY: as in `bytes`.
            let here =
                unsafe { std::slice::from_raw_parts(self.here.as_ptr().cast::<u8>(), self.len) };
            self.heap.extend_from_slice(here);
        }
        let count = read(&mut self.heap.spare_capacity_mut()[..want])?.min(want);
        // SAFETY: the kernel has written `count` bytes into the spare capacity.
        unsafe { self.heap.set_len(self.len + count) };
        self.len += count;
        Ok(count)
    }
}

/// The size of a page: what is mapped is mapped in these.
pub(crate) fn page_size() -> u64 {
    static SIZE: Known = Known::nothing();
    SIZE.get_or_find(|| {
        // SAFETY: takes an integer; the C library has the answer from when the program started.
        unsafe { libc::sysconf(libc::_SC_PAGESIZE) }
            .try_into()
            .unwrap_or(4096)
    })
}

/// `process_vm_readv(2)`: reads from the memory of the process that thread `tid` belongs to. The
/// count falls short where that memory ends; `EFAULT` when it ends at once.
pub(crate) fn read(tid: libc::pid_t, addr: u64, into: &mut [MaybeUninit<u8>]) -> Result<usize> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address(addr)? as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes into `into` and no further; `remote` is an address elsewhere.
    retry(|| unsafe {
        syscall(
            libc::SYS_process_vm_readv,
            [
                tid as usize,
                &raw const local as usize,
                1,
                &raw const remote as usize,
                1,
                0,
            ],
        )
    })
    .map(|count| count as usize)
}

/// Reads from a memory file (`/proc/PID/mem`). The count falls short where that memory ends; 0
/// when all of it is gone, `EIO` when there is none at `addr`.
pub(crate) fn pread(
    file: BorrowedFd<'_>,
    addr: u64,
    into: &mut [MaybeUninit<u8>],
) -> Result<usize> {
    let at = offset(addr)?;
    retry(|| {
        // SAFETY: the kernel writes into `into` and no further.
        check(unsafe {
            libc::pread64(file.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), at) as _
        })
    })
    .map(|count| count as usize)
}

/// Writes to a memory file (`/proc/PID/mem`); counts and errors as [`pread`]. **Does not mind
/// pages that the process itself cannot write.**
pub(crate) fn pwrite(file: BorrowedFd<'_>, addr: u64, from: &[u8]) -> Result<usize> {
    let at = offset(addr)?;
    retry(|| {
        // SAFETY: the kernel reads `from` and no further.
        check(unsafe {
            libc::pwrite64(file.as_raw_fd(), from.as_ptr().cast(), from.len(), at) as _
        })
    })
    .map(|count| count as usize)
}

/// A mapping of a process, and whether that process can write there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) writable: bool,
}

/// The kernel's `struct procmap_query`, without what names are for.
#[repr(C)]
#[derive(Debug, Default)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

const PROCMAP_QUERY: libc::Ioctl = libc::_IOWR::<ProcmapQuery>(b'f' as u32, 17);
const PROCMAP_QUERY_VMA_WRITABLE: u64 = 2;

/// The mapping that `addr` lies in (`PROCMAP_QUERY` on an open `/proc/PID/maps`, Linux 6.11).
/// `ENOENT` when there is none, `ESRCH` when the memory is gone, `ENOTTY` on an older kernel.
pub(crate) fn mapping_at(maps: BorrowedFd<'_>, addr: u64) -> Result<Mapping> {
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        query_addr: addr,
        ..ProcmapQuery::default()
    };
    retry(|| {
        // SAFETY: the structure is as long as it says, and asks for nothing to be written elsewhere.
        check(unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) }.into())
    })?;
    Ok(Mapping {
        start: query.vma_start,
        end: query.vma_end,
        writable: query.vma_flags & PROCMAP_QUERY_VMA_WRITABLE != 0,
    })
}

/// An address as a pointer is wide here; none beyond that is anybody's.
fn address(addr: u64) -> Result<usize> {
    addr.try_into().map_err(|_| Errno(libc::EFAULT))
}

/// An address as a place in a memory file; the upper half is the kernel's.
fn offset(addr: u64) -> Result<libc::off64_t> {
    addr.try_into().map_err(|_| Errno(libc::EFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(scratch: &mut Scratch, byte: u8, want: usize) -> usize {
        scratch
            .read_with(want, |buffer| {
                buffer.fill(MaybeUninit::new(byte));
                Ok(buffer.len())
            })
            .unwrap()
    }

    #[test]
    fn scratch_keeps_its_bytes_when_it_moves_to_the_heap() {
        let mut scratch = Scratch::new();
        let mut expected = Vec::new();
        for byte in 0..100 {
            let count = fill(&mut scratch, byte, 1000);
            expected.extend(std::iter::repeat_n(byte, count));
            assert_eq!(scratch.bytes(), expected);
        }
        assert!(expected.len() > IN_PLACE);
    }

    #[test]
    fn scratch_is_unchanged_by_a_failed_read() {
        let mut scratch = Scratch::new();
        fill(&mut scratch, 7, 10);
        let failed = scratch.read_with(10, |_| Err(Errno(libc::EFAULT)));
        assert_eq!(failed, Err(Errno(libc::EFAULT)));
        assert_eq!(scratch.bytes(), [7; 10]);
    }

    #[test]
    fn own_memory_reads_back() {
        let text = *b"some bytes";
        let mut scratch = Scratch::new();
        let pid = std::process::id() as libc::pid_t;
        let count = scratch.read_with(text.len(), |buffer| read(pid, text.as_ptr() as u64, buffer));
        assert_eq!(count, Ok(text.len()));
        assert_eq!(scratch.bytes(), text);
    }
}
