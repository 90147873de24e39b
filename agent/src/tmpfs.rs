//! What a program asks of a file system in memory, and what it gets.

use crate::policy::{Choice, Flag, Mount, Size};
use std::fmt::Write;

/// Flags that a program may ask for: they take away or change nothing that counts.
const HARMLESS: u64 = libc::MS_NOSUID
    | libc::MS_NODEV
    | libc::MS_NOEXEC
    | libc::MS_RDONLY
    | libc::MS_NOATIME
    | libc::MS_NODIRATIME
    | libc::MS_RELATIME
    | libc::MS_STRICTATIME
    | libc::MS_SILENT;

/// The kind of a mount, by its flags as the kernel looks at them; `None` for one of a new file system.
pub(crate) fn kind_of(flags: u64) -> Option<&'static str> {
    let propagation = libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE;
    if flags & libc::MS_REMOUNT != 0 {
        Some("remount")
    } else if flags & libc::MS_BIND != 0 {
        Some("bind")
    } else if flags & propagation != 0 {
        Some("propagation")
    } else if flags & libc::MS_MOVE != 0 {
        Some("move")
    } else {
        None
    }
}

/// Of the flags of mount(2), those without the number that old programs put there.
pub(crate) fn flags_of(argument: u64) -> u64 {
    match argument & 0xffff_0000 {
        libc::MS_MGC_VAL => argument & 0xffff,
        _ => argument,
    }
}

/// Flags and options to mount with: made anew of what was understood, never handed on.
pub(crate) fn plan(mount: &Mount, flags: u64, asked: &str) -> Result<(u64, String), String> {
    if flags & !HARMLESS != 0 {
        return Err(format!("flags {flags:#x}"));
    }
    let flags = mount.flags.iter().fold(flags, |flags, flag| {
        flags
            | match flag {
                Flag::Nosuid => libc::MS_NOSUID,
                Flag::Nodev => libc::MS_NODEV,
                Flag::Noexec => libc::MS_NOEXEC,
            }
    });
    let mut size = mount.max_size;
    let mut inodes = mount.max_inodes;
    let mut rest = String::new();
    for option in asked.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let choice = match name {
            "size" => Choice::Size,
            "nr_inodes" => Choice::NrInodes,
            "mode" => Choice::Mode,
            "uid" => Choice::Uid,
            "gid" => Choice::Gid,
            _ => return Err(format!("option `{}`", shortened(name))),
        };
        let strange = || format!("option `{}`", shortened(option));
        if !mount.options.contains(&choice) {
            return Err(strange());
        }
        match choice {
            Choice::Size => {
                let asked = Size::parse(value).ok_or_else(strange)?;
                size = Some(within(asked, mount.max_size).ok_or_else(strange)?);
            }
            Choice::NrInodes => {
                let asked = Size::parse(value).ok_or_else(strange)?;
                let most = mount.max_inodes.map(Size);
                inodes = Some(within(asked, most).ok_or_else(strange)?.0);
            }
            Choice::Mode => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| strange())?;
                let _ = write!(rest, ",mode={:o}", mode & 0o1777);
            }
            Choice::Uid | Choice::Gid => {
                let number: u32 = value.parse().map_err(|_| strange())?;
                let _ = write!(rest, ",{name}={number}");
            }
        }
    }
    let mut options = format!("size={}", size.ok_or("no size")?.0);
    if let Some(inodes) = inodes {
        let _ = write!(options, ",nr_inodes={inodes}");
    }
    Ok((flags, options + &rest))
}

/// What is not more than the most. To tmpfs 0 is no limit.
fn within(asked: Size, most: Option<Size>) -> Option<Size> {
    let fits = asked.0 > 0 && most.is_none_or(|most| asked.0 <= most.0);
    fits.then_some(asked)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn plan_of(flags: u64, asked: &str) -> Result<(u64, String), String> {
        let policy = Policy::parse(
            "[[rule]]\n[[rule.mount]]\ntype = \"tmpfs\"\naction = \"mount\"\nflags = [\"nodev\"]
            max_size = \"1m\"\nmax_inodes = 100\noptions = [\"size\", \"nr_inodes\", \"mode\"]",
        );
        let policy = policy.unwrap();
        plan(
            policy.rule("", "").unwrap().mount("tmpfs").unwrap(),
            flags,
            asked,
        )
    }

    #[test]
    fn who_asks_for_nothing_gets_the_most() {
        let (flags, options) = plan_of(0, "").unwrap();
        assert_eq!(flags, libc::MS_NODEV);
        assert_eq!(options, "size=1048576,nr_inodes=100");
    }

    #[test]
    fn who_asks_for_less_gets_that() {
        let (flags, options) = plan_of(libc::MS_NOEXEC, "size=4k,mode=0700,nr_inodes=7").unwrap();
        assert_eq!(flags, libc::MS_NODEV | libc::MS_NOEXEC);
        assert_eq!(options, "size=4096,nr_inodes=7,mode=700");
    }

    #[test]
    fn what_is_more_or_unknown_is_refused() {
        for asked in [
            "size=2m",
            "size=0",
            "size=50%",
            "nr_inodes=101",
            "nr_inodes=0",
            "mode=9",
            "uid=0",
            "huge=always",
            "mpol=bind:0",
            "size",
            "size=1k\n",
        ] {
            assert!(plan_of(0, asked).is_err(), "{asked}");
        }
        assert!(plan_of(libc::MS_REMOUNT, "").is_err());
        assert!(plan_of(1 << 40, "").is_err());
        assert!(plan_of(0, &"x".repeat(4000)).unwrap_err().len() < 100);
    }

    #[test]
    fn a_mount_is_what_the_kernel_takes_it_for() {
        assert_eq!(kind_of(libc::MS_BIND | libc::MS_REMOUNT), Some("remount"));
        assert_eq!(kind_of(libc::MS_BIND | libc::MS_REC), Some("bind"));
        assert_eq!(kind_of(libc::MS_NOSUID), None);
        assert_eq!(flags_of(libc::MS_MGC_VAL | libc::MS_NODEV), libc::MS_NODEV);
    }
}
