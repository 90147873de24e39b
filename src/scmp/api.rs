//! What the running kernel can do, as libseccomp sees it: its API level.

use super::error::{ErrorKind, Result, SeccompError};
use super::version::ensure_supported_version;
use super::{check, check_version, ScmpVersion};
use libseccomp_sys as sys;

/// Sets the API level libseccomp works at, for the whole process.
///
/// For tests and odd kernels: libseccomp finds the right level by itself. Level 6 is the first
/// with user notification.
///
/// Corresponds to `seccomp_api_set(3)`.
///
/// # Errors
///
/// `EINVAL` when libseccomp knows no such level.
pub fn set_api(level: u32) -> Result<()> {
    // SAFETY: takes an integer.
    check(unsafe { sys::seccomp_api_set(level) })
}

/// The API level libseccomp works at: what the running kernel supports, unless set otherwise.
///
/// Corresponds to `seccomp_api_get(3)`. The first call of a process asks the kernel.
#[must_use]
pub fn get_api() -> u32 {
    // SAFETY: takes nothing.
    unsafe { sys::seccomp_api_get() }
}

/// Whether the API level is at least `min_level` and libseccomp is `expected` or newer.
///
/// # Errors
///
/// As [`ScmpVersion::current`].
///
/// ```
/// use unotify::{check_api, ScmpVersion};
///
/// let can_notify = check_api(6, ScmpVersion::from((2, 5, 0)))?;
/// # let _ = can_notify;
/// # Ok::<(), unotify::error::SeccompError>(())
/// ```
pub fn check_api(min_level: u32, expected: ScmpVersion) -> Result<bool> {
    Ok(get_api() >= min_level && check_version(expected)?)
}

/// Fails, saying what `name` takes, when the API level is below `min_level` or libseccomp is
/// older than `expected`.
pub(crate) fn ensure_supported_api(
    name: &str,
    min_level: u32,
    expected: ScmpVersion,
) -> Result<()> {
    ensure_supported_version(name, expected)?;
    let level = get_api();
    if level >= min_level {
        return Ok(());
    }
    Err(SeccompError::new(ErrorKind::TooOld(format!(
        "{name} needs libseccomp API level {min_level}, this kernel has {level}"
    ))))
}

/// Makes libseccomp forget what it found out about the kernel, so that it asks again.
///
/// For code that also uses libseccomp directly: this library keeps no state in it, and filters
/// and listeners are not affected.
///
/// Corresponds to `seccomp_reset(3)` without a context.
///
/// # Errors
///
/// `EINVAL` before libseccomp 2.5.1.
pub fn reset_global_state() -> Result<()> {
    // SAFETY: a null context asks for the global state to be reset, and is an error otherwise.
    check(unsafe { sys::seccomp_reset(std::ptr::null_mut(), 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_this_kernel_lacks_is_told_what_it_would_take() {
        let error = ensure_supported_api("mind_reading", 99, (2, 0, 0).into()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("mind_reading needs libseccomp API level 99"),
            "{error}"
        );
    }
}
