//! The names of errors, as a policy has them.

use serde::{de::Error, Deserialize, Deserializer};

/// An error number that a call can be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

const NAMES: &[(&str, i32)] = &[
    ("EPERM", libc::EPERM),
    ("ENOENT", libc::ENOENT),
    ("EIO", libc::EIO),
    ("EAGAIN", libc::EAGAIN),
    ("ENOMEM", libc::ENOMEM),
    ("EACCES", libc::EACCES),
    ("EBUSY", libc::EBUSY),
    ("EEXIST", libc::EEXIST),
    ("ENODEV", libc::ENODEV),
    ("ENOTDIR", libc::ENOTDIR),
    ("EINVAL", libc::EINVAL),
    ("ENOSPC", libc::ENOSPC),
    ("EROFS", libc::EROFS),
    ("ENOSYS", libc::ENOSYS),
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
];

impl Errno {
    pub(crate) fn of_name(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, number)| Errno(*number)).ok_or_else(|| {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("`{name}` is none of the errors {}", known.join(", "))
        })
    }

    /// Its name, or its number.
    pub(crate) fn name(self) -> String {
        let found = NAMES.iter().find(|(_, number)| *number == self.0);
        found.map_or_else(|| self.0.to_string(), |(name, _)| (*name).to_owned())
    }
}

impl<'de> Deserialize<'de> for Errno {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Errno::of_name(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
