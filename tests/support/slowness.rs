//! How much slower than usual this machine is: an emulated one runs the tests as well.
#![allow(dead_code)] // no test program uses all of it

use std::time::Duration;

/// What `UNOTIFY_TEST_SLOWNESS` says, 1 when it says nothing.
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
