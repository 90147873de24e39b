//! What the kernel tells about a mount.

use super::{check, retry, Result};

/// The kernel's `struct mnt_id_req`, in its first version.
#[repr(C)]
struct MntIdReq {
    size: u32,
    spare: u32,
    mnt_id: u64,
    param: u64,
}

/// The beginning of the kernel's `struct statmount`, and room for the strings behind it.
#[repr(C)]
struct Statmount {
    size: u32,
    mnt_opts: u32,
    mask: u64,
    sb_dev: [u32; 2],
    sb_magic: u64,
    sb_flags: u32,
    fs_type: u32,
    mnt_id: [u64; 2],
    mnt_old_id: [u32; 2],
    propagation: [u64; 5],
    mnt_root: u32,
    mnt_point: u32,
    ns: u64,
    spare: [u64; 49],
    strings: [u8; 64],
}

const SB_BASIC: u64 = 1;
const MNT_ROOT: u64 = 8;

/// File systems whose every directory lies below the one root that all of their mounts share: not so
/// with NFS, and a procfs is different for everybody.
const OF_ONE_ROOT: [u64; 9] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    0xca45_1a4e, // bcachefs
    0x0102_1994, // tmpfs
    0x794c_7630, // overlay
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
];

#[cfg(any(target_arch = "mips64", target_arch = "mips64r6"))]
const SYS_STATMOUNT: libc::c_long = 5457;
#[cfg(any(target_arch = "mips", target_arch = "mips32r6"))]
const SYS_STATMOUNT: libc::c_long = 4457;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "32"))]
const SYS_STATMOUNT: libc::c_long = 0x4000_0000 + 457;
#[cfg(not(any(
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "mips",
    target_arch = "mips32r6",
    all(target_arch = "x86_64", target_pointer_width = "32")
)))]
const SYS_STATMOUNT: libc::c_long = 457;

/// Whether the mount of this unique number, in this process's mount namespace, shows its file system
/// from its root on, and that is one of those that are known to have one root (`statmount(2)`, Linux
/// 6.8). `ENOENT` for a mount of another namespace.
pub(crate) fn is_whole(mount: u64) -> Result<bool> {
    let request = MntIdReq {
        size: size_of::<MntIdReq>() as u32,
        spare: 0,
        mnt_id: mount,
        param: SB_BASIC | MNT_ROOT,
    };
    // SAFETY: integers only, for which zero is a value.
    let mut answer: Statmount = unsafe { std::mem::zeroed() };
    retry(|| {
        // SAFETY: both structures are as long as said.
        check(unsafe {
            libc::syscall(
                SYS_STATMOUNT,
                &raw const request,
                &raw mut answer,
                size_of::<Statmount>(),
                0,
            )
        })
    })?;
    let root = answer.strings.get(answer.mnt_root as usize..);
    Ok(answer.mask & request.param == request.param
        && root.is_some_and(|root| root.starts_with(b"/\0"))
        && OF_ONE_ROOT.contains(&answer.sb_magic))
}
