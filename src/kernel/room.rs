//! The memory that a child lives in from `clone` to `execve`.
//!
//! Copying the memory of a large process takes milliseconds, nearly all of them for page tables that
//! `execve` throws away. So a child shares it instead (`CLONE_VM`), as those of `posix_spawn(3)` do.
//! There the caller sleeps until the program runs. Here it cannot: the `execve` may wait for the
//! supervisor, which the caller is, for as long as that likes. So the child lives beside this
//! process's threads, and what follows from that is this:
//!
//! - **It touches nothing but its room**: one mapping with its stack, its plan (paths, arguments,
//!   environment, filter), and the words it tells its progress by. It is made before the clone and
//!   outlives whoever made it: a room is unmapped once the kernel says that the child has left
//!   (`CLONE_CHILD_CLEARTID`, done by `execve` and by any end), and until then it waits among the
//!   [`LEFT`]. Nobody ever waits for it.
//! - **It is no thread of the C library's.** It calls nothing of it (`errno`, lazily bound symbols and
//!   cancellation are things of the thread that cloned it), and its thread pointer leads to an empty
//!   place in its room, for compilers that look there for the stack's canary.
//! - **No handler runs in it.** It is born without any (`CLONE_CLEAR_SIGHAND`), or with every signal
//!   blocked until it has none.
//! - **A handler of `execve` that writes into the target** (another path, other arguments) writes into
//!   the room, whose ends are unmapped: nothing of this process's lies there, as if it were a copy.
//! - **Threads that fork** copy the room and not the child; in such a copy nobody is in there.
//! - **When this process ends or executes something**, the memory stays the child's.
//! - **A child that dies with a core dump**, as by a filter that kills, took every process with the
//!   same memory along before Linux 5.16. So there the memory is copied, and so it is where a
//!   sandbox or an emulator refuses such a clone.
//! - **What the kernel keeps with the memory** is both's while an `execve` waits: that it may be dumped,
//!   and `oom_score_adj` (who sets the child's sets this process's). A kernel out of memory kills both.
//!   `src/target/procfs.rs` takes the child for this process. And whoever can write to this process's
//!   memory has the child's credentials: one that gives up privileges answers first. `Spawn` says so.
//!
//! It is cloned without `CLONE_VFORK`, which would stop the thread that has to fetch the listener.

use super::clone::Task;
use super::fork::Process;
use super::signals::SignalMask;
use super::{Errno, Result};
use std::ffi::{c_char, CString};
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// How deep the child's stack is at least, of which it uses a few hundred bytes.
const STACK: usize = 32 * 1024;

/// What the words tell in the name of [`Progress`](super::child::Progress).
pub(super) const STARTING: u32 = 0;
pub(super) const INSTALLING: u32 = 1;
pub(super) const LISTENING: u32 = 2;
pub(super) const FAILED: u32 = 3;

/// What a child is to do.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Where the program may be; the first that can be executed is.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    /// Where to go before the program is looked for.
    pub(crate) directory: Option<CString>,
    pub(crate) program: Vec<libc::sock_filter>,
    /// For `seccomp(2)`.
    pub(crate) filter_flags: libc::c_ulong,
    pub(crate) no_new_privs: bool,
    /// Die with the thread that clones.
    pub(crate) die_with_parent: bool,
    /// What else kills the child as long as it may hold its listener; see [`guard`](super::guard).
    pub(crate) guard: Option<RawFd>,
    /// The signals the program is to have blocked.
    pub(crate) mask: SignalMask,
}

/// What the child tells.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) state: AtomicU32,
    pub(super) stage: AtomicU32,
    pub(super) value: AtomicI32,
    pub(super) exec_errno: AtomicI32,
}

/// What the child is to do. All that it points to is in the room.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) candidates: *const *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// Null for none.
    pub(super) directory: *const c_char,
    pub(super) filter: libc::sock_fprog,
    pub(super) filter_flags: libc::c_ulong,
    pub(super) no_new_privs: bool,
    /// Who clones, if the child is to die with it.
    pub(super) dies_with: Option<libc::pid_t>,
    pub(super) guard: Option<RawFd>,
    pub(super) mask: SignalMask,
    /// Which signals stay ignored (bit 0 is signal 1), where there are handlers to be put away.
    pub(super) ignored: Option<u64>,
}

/// The head of a room. The child's stack ends where it begins.
#[repr(C, align(64))]
pub(super) struct Head {
    /// Not 0 while the child may use the room. Cleared by the kernel.
    pub(super) lodger: AtomicU32,
    pub(super) words: Words,
    pub(super) plan: Plan,
    mapping: *mut u8,
    length: usize,
    process: Process,
    next: *mut Head,
    /// What the child's thread pointer leads to.
    thread: [usize; 16],
}

/// A child's memory. The child may outlive it.
#[derive(Debug)]
pub(crate) struct Room(NonNull<Head>);

// SAFETY: the words are atomics, and all else is written by who makes the room and by nobody after.
unsafe impl Send for Room {}
// SAFETY: as above.
unsafe impl Sync for Room {}

/// Rooms that nobody but a child needs. Pushed to one by one and taken all at once, by any thread,
/// without a lock: so a copy of this process finds none held by a thread that it does not have.
static LEFT: AtomicPtr<Head> = AtomicPtr::new(ptr::null_mut());

impl Room {
    /// Room for a child that does this. `shared`: with a child that has a copy of this memory.
    pub(super) fn new(launch: &Launch, shared: bool) -> Result<Self> {
        clear_away();
        let page = page_size();
        let body = size_of::<Head>() + contents(launch);
        let inside = (STACK + body).next_multiple_of(page);
        let length = inside + 2 * page;
        let kind = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        let flags = kind | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, wherever there is room. What is mapped inside is this function's.
        unsafe {
            let mapping = libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0);
            if mapping == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            let first = mapping.cast::<u8>().add(page);
            if libc::mprotect(first.cast(), inside, libc::PROT_READ | libc::PROT_WRITE) != 0 {
                let errno = Errno::last();
                libc::munmap(mapping, length);
                return Err(errno);
            }
            // At the very end, so that what is written beyond it faults.
            let head = first.add((inside - body) & !(align_of::<Head>() - 1));
            let mut writer = Writer(head.add(size_of::<Head>()));
            let head = head.cast::<Head>();
            head.write(Head {
                lodger: AtomicU32::new(0),
                words: Words {
                    state: AtomicU32::new(STARTING),
                    stage: AtomicU32::new(0),
                    value: AtomicI32::new(0),
                    exec_errno: AtomicI32::new(0),
                },
                plan: writer.plan(launch),
                mapping: mapping.cast(),
                length,
                process: Process::current(),
                next: ptr::null_mut(),
                thread: [0; 16],
            });
            // Where those who ask for it expect the pointer itself.
            let thread = &raw mut (*head).thread;
            (*thread)[0] = thread as usize;
            (*thread)[2] = thread as usize;
            Ok(Room(NonNull::new_unchecked(head)))
        }
    }

    pub(super) fn words(&self) -> &Words {
        // SAFETY: mapped at least until the drop.
        unsafe { &self.0.as_ref().words }
    }

    /// What whoever clones knows at last. For before the clone.
    pub(super) fn plan_mut(&mut self) -> &mut Plan {
        // SAFETY: mapped, and before there is a child nobody else has it.
        unsafe { &mut self.0.as_mut().plan }
    }

    /// The head, for the child.
    pub(super) fn head(&self) -> *mut Head {
        self.0.as_ptr()
    }

    /// A task that lives in here, to which `body` is told the head. Its flags are to be filled in.
    pub(super) fn task(&self, body: unsafe extern "C" fn(*mut u8) -> !) -> Task {
        let head = self.head();
        // SAFETY: mapped at least until the drop. These are places in it.
        unsafe {
            Task {
                flags: 0,
                exit_signal: 0,
                stack_end: head.cast(),
                stack_size: head.cast::<u8>().offset_from((*head).mapping) as usize - page_size(),
                thread_pointer: (&raw mut (*head).thread).cast(),
                present: (*head).lodger.as_ptr(),
                body,
                argument: head.cast(),
            }
        }
    }

    /// Says whether a child is in here: before the clone, and after it has failed.
    pub(super) fn let_to(&self, somebody: bool) {
        // SAFETY: mapped at least until the drop.
        unsafe { self.0.as_ref() }
            .lodger
            .store(u32::from(somebody), Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody but the child has it any more.
        unsafe { leave(self.0.as_ptr()) };
    }
}

/// Unmaps a room, or leaves it to the child that is in it.
///
/// # Safety
/// It is the caller's, and not used by it any more.
unsafe fn leave(head: *mut Head) {
    // SAFETY: mapped, as nobody else unmaps it; what is pushed to the list is the list's.
    unsafe {
        let lives_here = (*head).lodger.load(Ordering::Acquire) != 0;
        // In a copy of the process that made it, the child is not.
        if !lives_here || !(*head).process.is_current() {
            libc::munmap((*head).mapping.cast(), (*head).length);
            return;
        }
        let mut first = LEFT.load(Ordering::Relaxed);
        loop {
            (*head).next = first;
            match LEFT.compare_exchange_weak(first, head, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }
}

/// Unmaps the rooms that were left to children which have left as well.
fn clear_away() {
    if LEFT.load(Ordering::Relaxed).is_null() {
        return;
    }
    let mut head = LEFT.swap(ptr::null_mut(), Ordering::Acquire);
    while !head.is_null() {
        // SAFETY: whoever takes the list has all of it, and each room was put there by who had it.
        unsafe {
            let next = (*head).next;
            leave(head);
            head = next;
        }
    }
}

fn page_size() -> usize {
    // SAFETY: integers only.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Everything begins at a multiple of this.
const ALIGN: usize = 8;

fn strings(launch: &Launch) -> impl Iterator<Item = &CString> {
    let Launch {
        candidates,
        argv,
        envp,
        directory,
        ..
    } = launch;
    let all = candidates.iter().chain(argv).chain(envp);
    all.chain(directory)
}

/// How much the plan points to, in bytes.
fn contents(launch: &Launch) -> usize {
    let bytes = strings(launch).map(|s| s.count_bytes() + 1).sum::<usize>();
    // Each of the three lists ends with null.
    let pointers = strings(launch).count() + 3;
    size_of_val(launch.program.as_slice())
        + pointers * size_of::<*const c_char>()
        + bytes.next_multiple_of(ALIGN)
}

/// Writes one thing behind the other.
struct Writer(*mut u8);

impl Writer {
    /// # Safety
    /// There is room for [`contents`] bytes.
    unsafe fn plan(&mut self, launch: &Launch) -> Plan {
        // SAFETY: the sum of these is what there is room for. Strings, which need no alignment, come
        // last.
        unsafe {
            let program = self.copy(launch.program.as_ptr(), launch.program.len());
            let lists = [&launch.candidates, &launch.argv, &launch.envp]
                .map(|list| (self.reserve::<*const c_char>(list.len() + 1), list));
            let pointers = lists.map(|(to, list)| {
                for (i, string) in list.iter().enumerate() {
                    to.add(i).write(self.string(string));
                }
                to.add(list.len()).write(ptr::null());
                to.cast_const()
            });
            let [candidates, argv, envp] = pointers;
            let directory = launch.directory.as_ref();
            Plan {
                candidates,
                argv,
                envp,
                directory: directory.map_or(ptr::null(), |d| self.string(d)),
                filter: libc::sock_fprog {
                    // Checked by who has made the program.
                    len: launch.program.len() as u16,
                    filter: program,
                },
                filter_flags: launch.filter_flags,
                no_new_privs: launch.no_new_privs,
                dies_with: None,
                guard: launch.guard,
                mask: launch.mask,
                ignored: None,
            }
        }
    }

    unsafe fn reserve<T>(&mut self, count: usize) -> *mut T {
        let place = self.0;
        // SAFETY: there is room, as the caller promises.
        self.0 = unsafe { place.add(count * size_of::<T>()) };
        place.cast()
    }

    unsafe fn copy<T>(&mut self, from: *const T, count: usize) -> *mut T {
        // SAFETY: there is room, as the caller promises, and nothing else is there.
        unsafe {
            let place = self.reserve(count);
            ptr::copy_nonoverlapping(from, place, count);
            place
        }
    }

    unsafe fn string(&mut self, string: &CString) -> *const c_char {
        let bytes = string.as_bytes_with_nul();
        // SAFETY: there is room, as the caller promises.
        unsafe { self.copy(bytes.as_ptr(), bytes.len()) }.cast()
    }
}
