//! What machine the tests run on: a slow one, as emulated ones are, or one with an old kernel.
#![allow(dead_code)] // no test program uses all of it

use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How much slower than usual this machine is: what `UNOTIFY_TEST_SLOWNESS` says, or 1.
pub(crate) fn slowness() -> u32 {
    std::env::var("UNOTIFY_TEST_SLOWNESS").map_or(1, |text| text.parse().unwrap())
}

/// A limit on how long something takes, grown as the machine needs it.
pub(crate) fn slowed(limit: Duration) -> Duration {
    limit * slowness()
}

/// How often a slow machine does what others do so many times to meet a rare moment.
pub(crate) fn fewer(times: u32) -> u32 {
    times.div_ceil(slowness())
}

/// Whether the kernel is of an earlier version. A process that is told another one by
/// `personality(2)` still reads the true one.
pub(crate) fn kernel_before(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) < (major, minor)
}

/// Waits for the end of a child and gives its status.
pub(crate) fn wait_for(pid: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: `status` is ours.
    while unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR));
    }
    status
}

/// Waits for a child's end beside the test where the kernel needs it: before Linux 6.11 a zombie
/// keeps its filter, so a listener does not hang up as long as nobody has waited for its target.
pub(crate) fn reaper(pid: libc::pid_t) -> Option<JoinHandle<libc::c_int>> {
    // With a small stack: each target is a copy of this process, and of the page tables of all.
    let small = || thread::Builder::new().stack_size(64 << 10);
    // A process whose children are in another pid namespace can have no further thread.
    let start = || small().spawn(move || wait_for(pid)).ok();
    kernel_before(6, 11).then(start).flatten()
}
