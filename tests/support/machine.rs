//! What machine the tests run on: a slow one, as emulated ones are, one with an old kernel, one
//! where not everything may be done.

use super::Process;
use std::io::{self, Write};
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

/// For how long a slow machine tries what others try for so long.
pub(crate) fn briefly(time: Duration) -> Duration {
    if slowness() > 1 {
        time / 2
    } else {
        time
    }
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

pub(crate) fn is_root() -> bool {
    // SAFETY: takes nothing.
    unsafe { libc::geteuid() == 0 }
}

/// Whether this may be done here; if not, says what it takes. A process of its own tries, before a
/// test starts a target in vain.
pub(crate) fn can(what: &str, attempt: impl FnOnce() -> bool) -> bool {
    let can = Process::fork(|| i32::from(!attempt())).wait() == 0;
    if !can {
        skip(&format!("takes {what}"));
    }
    can
}

/// Says why a test does nothing here. To be decided before a target is started: one that nobody
/// answers would wait for ever.
pub(crate) fn skip(why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}
