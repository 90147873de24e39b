//! Errors.

pub use crate::scmp::error::{SeccompErrno, SeccompError};

/// What the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(i32);

impl Error {
    pub(crate) fn last() -> Self {
        Error(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// The kernel's error number, positive.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.0
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Error {}
