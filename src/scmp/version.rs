//! Which libseccomp is running.

use super::error::{ErrorKind, Result, SeccompError};
use std::fmt;

/// A version of libseccomp, ordered from old to new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScmpVersion {
    /// The 2 of 2.5.4.
    pub major: u32,
    /// The 5 of 2.5.4.
    pub minor: u32,
    /// The 4 of 2.5.4.
    pub micro: u32,
}

impl ScmpVersion {
    /// The version of the libseccomp this program runs with.
    ///
    /// Corresponds to `seccomp_version(3)`.
    ///
    /// # Errors
    ///
    /// When libseccomp does not say.
    pub fn current() -> Result<Self> {
        // SAFETY: gives null or a pointer to a constant of the loaded library.
        let version = unsafe { libseccomp_sys::seccomp_version().as_ref() };
        match version {
            Some(v) => Ok(Self::from((v.major, v.minor, v.micro))),
            None => Err(SeccompError::with_msg(
                "libseccomp does not say its version",
            )),
        }
    }
}

impl From<(u32, u32, u32)> for ScmpVersion {
    fn from((major, minor, micro): (u32, u32, u32)) -> Self {
        ScmpVersion {
            major,
            minor,
            micro,
        }
    }
}

impl fmt::Display for ScmpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// Whether the libseccomp this program runs with is `expected` or newer.
///
/// # Errors
///
/// As [`ScmpVersion::current`].
///
/// ```
/// use unotify::{check_version, ScmpVersion};
///
/// assert!(check_version(ScmpVersion::from((2, 5, 0)))?);
/// # Ok::<(), unotify::error::SeccompError>(())
/// ```
pub fn check_version(expected: ScmpVersion) -> Result<bool> {
    Ok(ScmpVersion::current()? >= expected)
}

/// Fails, saying what `name` takes, when libseccomp is older than `expected`.
pub(crate) fn ensure_supported_version(name: &str, expected: ScmpVersion) -> Result<()> {
    let current = ScmpVersion::current()?;
    if current >= expected {
        return Ok(());
    }
    Err(SeccompError::new(ErrorKind::TooOld(format!(
        "{name} needs libseccomp {expected} or newer, this is {current}"
    ))))
}

/// The version of the libseccomp this program runs with.
///
/// # Errors
///
/// As [`ScmpVersion::current`].
#[deprecated(since = "0.1.0", note = "use ScmpVersion::current")]
pub fn get_library_version() -> Result<ScmpVersion> {
    ScmpVersion::current()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_that_differs_decides() {
        let v = ScmpVersion::from((2, 5, 4));
        assert!(v > ScmpVersion::from((2, 5, 3)));
        assert!(v > ScmpVersion::from((2, 4, 9)));
        assert!(v < ScmpVersion::from((2, 6, 0)));
        assert!(v < ScmpVersion::from((3, 0, 0)));
    }

    #[test]
    fn a_version_that_is_too_old_is_told_what_it_would_take() {
        let wanted = ScmpVersion::from((100, 0, 0));
        let error = ensure_supported_version("time_travel", wanted).unwrap_err();
        let current = ScmpVersion::current().unwrap();
        assert_eq!(
            error.to_string(),
            format!("time_travel needs libseccomp 100.0.0 or newer, this is {current}")
        );
    }
}
