//! Families: all system calls that do the same job, so that none is forgotten.

use super::error::{ErrorKind, Result, SeccompError};
use super::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpSyscall};
use std::ffi::CStr;

/// The system calls that do one job, to be notified together, and those that would do it past the
/// filter, to be refused.
///
/// `openat` alone lets `open`, `openat2`, `creat` and `io_uring` by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Family {
    name: &'static CStr,
    /// The calls that are notified, on every architecture that has them.
    pub notified: &'static [&'static str],
    /// The calls that are refused.
    pub refused: &'static [Refused],
}

/// A call that is refused, as what it does could not be supervised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The call.
    pub call: &'static str,
    /// The error number it gets, positive: one that programs know how to go on after.
    pub errno: i32,
    /// Only with these bits set in this argument.
    pub with: Option<(u32, u64)>,
}

const fn refused(call: &'static str, errno: i32) -> Refused {
    Refused {
        call,
        errno,
        with: None,
    }
}

/// Makes calls of all kinds from the kernel's own threads, or out of a ring, where no filter is.
const IO_URING: &[Refused] = &[
    refused("io_uring_setup", libc::ENOSYS),
    refused("io_uring_enter", libc::ENOSYS),
    refused("io_uring_register", libc::ENOSYS),
];

const OPEN: &[Refused] = &[
    IO_URING[0],
    IO_URING[1],
    IO_URING[2],
    // What it says to whoever may not read all files.
    refused("open_by_handle_at", libc::EPERM),
];

const fn not_fast(call: &'static str, flags: u32) -> Refused {
    Refused {
        call,
        errno: libc::EOPNOTSUPP,
        with: Some((flags, libc::MSG_FASTOPEN as u64)),
    }
}

const CONNECT: &[Refused] = &[
    IO_URING[0],
    IO_URING[1],
    IO_URING[2],
    // They connect on their way.
    not_fast("sendto", 3),
    not_fast("sendmsg", 2),
    not_fast("sendmmsg", 3),
];

/// The newer way to mount. Programs that find it missing take the older one.
const MOUNT: &[Refused] = &[
    refused("fsopen", libc::ENOSYS),
    refused("fsconfig", libc::ENOSYS),
    refused("fsmount", libc::ENOSYS),
    refused("fspick", libc::ENOSYS),
    refused("move_mount", libc::ENOSYS),
    refused("open_tree", libc::ENOSYS),
    refused("open_tree_attr", libc::ENOSYS),
    refused("mount_setattr", libc::ENOSYS),
];

/// Its flags are in memory. Programs that find it missing take `clone`.
const CLONE: &[Refused] = &[refused("clone3", libc::ENOSYS)];

const fn family(
    name: &'static CStr,
    notified: &'static [&'static str],
    refused: &'static [Refused],
) -> Family {
    Family {
        name,
        notified,
        refused,
    }
}

/// Calls that a libseccomp which this library runs with may not know yet, and the number that all
/// but a few architectures have for them.
const RECENT: &[(&str, i32)] = &[
    ("mount_setattr", 442),
    ("fchmodat2", 452),
    ("setxattrat", 463),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
];

impl Family {
    /// All families. `docs/families.md` says of each what it does not hold.
    #[rustfmt::skip]
    pub const ALL: &'static [Family] = &[
        family(c"open", &["open", "openat", "openat2", "creat"], OPEN),
        family(c"exec", &["execve", "execveat"], &[refused("uselib", libc::ENOSYS)]),
        family(c"connect", &["connect"], CONNECT),
        family(c"bind", &["bind"], IO_URING),
        family(c"listen", &["listen"], IO_URING),
        family(c"accept", &["accept", "accept4"], IO_URING),
        family(c"socket", &["socket", "socketpair"], IO_URING),
        family(c"send", &["send", "sendto", "sendmsg", "sendmmsg"], IO_URING),
        family(c"mount", &["mount"], MOUNT),
        family(c"umount", &["umount", "umount2"], &[]),
        family(c"mknod", &["mknod", "mknodat"], &[]),
        family(c"mkdir", &["mkdir", "mkdirat"], IO_URING),
        family(c"unlink", &["unlink", "unlinkat", "rmdir"], IO_URING),
        family(c"rename", &["rename", "renameat", "renameat2"], IO_URING),
        family(c"link", &["link", "linkat"], IO_URING),
        family(c"symlink", &["symlink", "symlinkat"], IO_URING),
        family(c"chmod", &["chmod", "fchmod", "fchmodat", "fchmodat2"], &[]),
        family(c"chown", &["chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32"], &[]),
        family(c"truncate", &["truncate", "ftruncate", "truncate64", "ftruncate64"], IO_URING),
        family(c"xattr", &["setxattr", "lsetxattr", "fsetxattr", "setxattrat",
            "removexattr", "lremovexattr", "fremovexattr", "removexattrat"], IO_URING),
        family(c"utime", &["utime", "utimes", "futimesat", "utimensat", "utimensat_time64"], &[]),
        family(c"clone", &["fork", "vfork", "clone"], CLONE),
        family(c"kill", &["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
            "pidfd_send_signal"], &[]),
        family(c"ptrace", &["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"], &[]),
        family(c"setid", &["setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
            "setfsuid", "setfsgid", "setgroups", "setuid32", "setgid32", "setreuid32", "setregid32",
            "setresuid32", "setresgid32", "setfsuid32", "setfsgid32", "setgroups32"], &[]),
        family(c"clock", &["settimeofday", "stime", "clock_settime", "clock_settime64", "adjtimex",
            "clock_adjtime", "clock_adjtime64"], &[]),
        family(c"module", &["init_module", "finit_module", "delete_module"], &[]),
        family(c"keyring", &["add_key", "request_key", "keyctl"], &[]),
    ];

    /// The family of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Family> {
        Self::ALL.iter().find(|family| family.name() == name)
    }

    /// What [`notify_family`](crate::ScmpFilterContext::notify_family) knows it by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        // All of them are ASCII, so the other branch is never taken.
        self.name.to_str().unwrap_or_default()
    }

    /// [`Family::name`] for C.
    #[cfg(feature = "capi")]
    pub(crate) fn name_c(&self) -> &'static CStr {
        self.name
    }
}

/// The families that a filter holds, for architectures that come later.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) families: Vec<&'static Family>,
    /// Whether there are other rules.
    pub(super) other_rules: bool,
}

impl Held {
    /// Whether there is any rule.
    pub(super) fn has_rules(&self) -> bool {
        self.other_rules || !self.families.is_empty()
    }

    /// Takes over what another filter holds.
    pub(super) fn merge(&mut self, other: &Held) {
        self.families.extend(&other.families);
        self.other_rules |= other.other_rules;
    }
}

/// What is done about one call of a family.
pub(super) struct Rule {
    pub(super) action: ScmpAction,
    pub(super) syscall: ScmpSyscall,
    pub(super) with: Option<ScmpArgCompare>,
}

impl Family {
    /// The rules that it takes on these architectures.
    pub(super) fn rules(&self, archs: &[ScmpArch]) -> Result<Vec<Rule>> {
        let notified = self
            .notified
            .iter()
            .map(|call| (ScmpAction::Notify, *call, None));
        let refused = self.refused.iter();
        let refused = refused.map(|r| (ScmpAction::Errno(r.errno), r.call, r.with));
        let mut rules = Vec::new();
        for (action, call, with) in notified.chain(refused) {
            let with = with.map(|(arg, bits)| {
                ScmpArgCompare::new(arg, ScmpCompareOp::MaskedEqual(bits), bits)
            });
            if let Some(syscall) = in_filter(call, archs)? {
                rules.push(Rule {
                    action,
                    syscall,
                    with,
                });
            }
        }
        Ok(rules)
    }

    /// Whether some of its rules are on arguments which lie in memory on this architecture.
    pub(super) fn hides_in(&self, arch: ScmpArch) -> bool {
        let mut conditional = self.refused.iter().filter(|refused| refused.with.is_some());
        conditional.any(|refused| is_multiplexed(refused.call, arch))
    }
}

/// The call of this name if any of these architectures has it.
fn in_filter(call: &str, archs: &[ScmpArch]) -> Result<Option<ScmpSyscall>> {
    if let Ok(syscall) = ScmpSyscall::from_name(call) {
        let exists = archs.iter().any(|&arch| ScmpSyscall::exists_on(call, arch));
        return Ok(exists.then_some(syscall));
    }
    // Newer than the installed libseccomp, which passes numbers on for the native architecture.
    let number = RECENT.iter().find(|(name, _)| *name == call);
    match (number, archs) {
        (Some(&(_, number)), [only])
            if *only == ScmpArch::native() && has_common_numbers(*only) =>
        {
            Ok(Some(ScmpSyscall::from(number)))
        }
        _ => Err(SeccompError::new(ErrorKind::TooOld(format!(
            "the installed libseccomp does not know `{call}`, which belongs to the family"
        )))),
    }
}

/// Whether calls since Linux 5.1 have the number here that they have on most architectures.
fn has_common_numbers(arch: ScmpArch) -> bool {
    let name = arch.name().to_ascii_lowercase();
    !name.contains("mips") && name != "x32"
}

/// Whether the call can be made through another one, such as `socketcall`.
fn is_multiplexed(call: &str, arch: ScmpArch) -> bool {
    let direct = ScmpSyscall::from_name_by_arch(call, arch);
    let rewritten = ScmpSyscall::from_name_by_arch_rewrite(call, arch);
    matches!((direct, rewritten), (Ok(direct), Ok(rewritten)) if direct != rewritten)
}
