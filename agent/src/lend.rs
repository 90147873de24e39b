//! To look at files as the target may: with its user, group and rights over files, on this thread.

use unotify::Identity;

const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SETGID: u32 = 6;
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
pub(crate) const CAP_MKNOD: u32 = 27;

/// Whether the target has a capability in its own user namespace.
pub(crate) fn has(who: &Identity, capability: u32) -> bool {
    who.capabilities & (1 << capability) != 0
}

/// As long as it lives the target's user and group decide on files, and what the target may not pass
/// by, this thread may not either. What the agent needs to make devices it keeps.
pub(crate) struct Lent {
    own: Option<Capabilities>,
    /// `setfsuid(2)` gives no error: these were here before.
    user: u32,
    group: u32,
}

impl Lent {
    /// `None` when the kernel did not let this thread.
    pub(crate) fn new(who: &Identity, groups: &[u32]) -> Option<Self> {
        let own = Capabilities::get()?;
        if !take_groups(groups, own) {
            return None;
        }
        let (user, group);
        // SAFETY: integers. The calls are raw so that they are this thread's alone.
        unsafe {
            group = libc::syscall(libc::SYS_setfsgid, who.fsgid) as u32;
            user = libc::syscall(libc::SYS_setfsuid, who.fsuid) as u32;
        }
        let lent = Lent {
            own: Some(own),
            user,
            group,
        };
        let over_files = (1 << CAP_DAC_OVERRIDE) | (1 << CAP_DAC_READ_SEARCH);
        let theirs = match who.same_user_namespace {
            true => who.capabilities as u32 & over_files,
            false => 0,
        };
        let mut rights = own;
        rights.data[0].effective &= !over_files | theirs;
        // SAFETY: an integer that is no user: nothing changes, and the user that counts is given.
        let now = unsafe { libc::syscall(libc::SYS_setfsuid, -1) } as u32;
        (now == who.fsuid && rights.set()).then_some(lent)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: integers.
        unsafe {
            libc::syscall(libc::SYS_setfsuid, self.user);
            libc::syscall(libc::SYS_setfsgid, self.group);
        }
        if let Some(own) = self.own.take() {
            own.set();
        }
        // Those that it began with are not wanted again: no target has them from it.
        set_groups(&[]);
    }
}

/// Whether the target's groups count on this thread now. An agent that may not take them is an ordinary
/// user's, as its containers are: without the capability, or in a user namespace without
/// `setgroups(2)`, where theirs are its own.
fn take_groups(groups: &[u32], own: Capabilities) -> bool {
    set_groups(groups) || !own.has(CAP_SETGID) || own_groups() == groups
}

/// Sets the groups of this thread alone.
fn set_groups(groups: &[u32]) -> bool {
    // SAFETY: as many of them as is said.
    unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0 }
}

/// Those of this thread, in the kernel's order.
fn own_groups() -> Vec<u32> {
    // SAFETY: no room for any, which only counts them.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: room for as many. Nobody else changes this thread's.
    let got = unsafe { libc::getgroups(groups.len() as i32, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(got).unwrap_or(0));
    groups
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

#[derive(Clone, Copy)]
struct Capabilities {
    data: [Data; 2],
}

impl Capabilities {
    /// `_LINUX_CAPABILITY_VERSION_3`, of this thread.
    const HEADER: Header = Header {
        version: 0x2008_0522,
        pid: 0,
    };

    fn get() -> Option<Self> {
        let mut header = Capabilities::HEADER;
        let mut data = [Data::default(); 2];
        // SAFETY: version 3 has two of these, and both places live.
        let got = unsafe { libc::syscall(libc::SYS_capget, &mut header, data.as_mut_ptr()) };
        (got == 0).then_some(Capabilities { data })
    }

    /// Of the first 32.
    fn has(&self, capability: u32) -> bool {
        self.data[0].effective & (1 << capability) != 0
    }

    fn set(&self) -> bool {
        let mut header = Capabilities::HEADER;
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_capset, &mut header, self.data.as_ptr()) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_groups_cannot_be_set_only_targets_with_the_same_are_served() {
        // SAFETY: the child has one thread, and ends here.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: integers only.
            let status = match unsafe { libc::unshare(libc::CLONE_NEWUSER) } {
                0 => {
                    let own = Capabilities::get().unwrap();
                    let same = own_groups();
                    let others: Vec<u32> = same.iter().copied().chain([1]).collect();
                    let right = own.has(CAP_SETGID)
                        && take_groups(&same, own)
                        && !take_groups(&others, own);
                    i32::from(!right)
                }
                _ => 77,
            };
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: the place lives; it is a child of this process.
        unsafe { libc::waitpid(child, &mut status, 0) };
        match libc::WEXITSTATUS(status) {
            77 => println!("skipped: it takes the right to make a user namespace"),
            code => assert_eq!((status, code), (0, 0)),
        }
    }
}
