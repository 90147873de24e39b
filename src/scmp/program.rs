//! From a filter context to a filter in the kernel.
//!
//! libseccomp's own load keeps one notify descriptor for the whole process. Here the program is
//! taken from libseccomp and installed with `seccomp(2)`, so that every load has its own listener.

use super::error::{Result, SeccompError};
use super::filter::NotifyFd;
use super::{ensure_supported_api, ScmpFilterAttr, ScmpFilterContext, ScmpVersion};
use crate::install::{install, Install};
use crate::kernel::pipe;
use libc::sock_filter;
use std::cell::Ref;
use std::os::fd::{IntoRawFd, RawFd};

impl ScmpFilterContext {
    /// Puts the filter on the calling thread, for good: it and the threads and processes it
    /// starts from now on are bound by it. With [`set_ctl_tsync`](Self::set_ctl_tsync) all
    /// threads of the process are.
    ///
    /// A filter with a [`Notify`](crate::ScmpAction::Notify) rule gets a listener; see
    /// [`get_notify_fd`](Self::get_notify_fd). Each load gets its own.
    ///
    /// Installs the program [`export_bpf`](Self::export_bpf) gives with `seccomp(2)`. After that it
    /// makes no system call.
    ///
    /// # Errors
    ///
    /// With the kernel's own number, negated, in
    /// [`sysrawrc`](crate::error::SeccompError::sysrawrc): `EACCES` when no_new_privs is off and
    /// the caller has no `CAP_SYS_ADMIN`; `EBUSY` when the thread's filters have a listener
    /// already; `ESRCH` when another thread cannot be synchronized; `EINVAL` when the program is
    /// longer than 4096 instructions; `ENOMEM` when all filters of the thread together are too
    /// long.
    pub fn load(&self) -> Result<()> {
        let program = self.program_to_load()?;
        // What an earlier load left here is closed by the next one, as the filter may notify that.
        let mut retired = self.retired.borrow_mut();
        retired.clear();
        retired.reserve(1);
        let how = Install {
            listener: notifies(&program),
            tsync: self.is_set(ScmpFilterAttr::CtlTsync),
            log: self.is_set(ScmpFilterAttr::CtlLog),
            spec_allow: self.is_set(ScmpFilterAttr::CtlSsb),
            wait_killable: self.is_set(ScmpFilterAttr::CtlWaitkill),
            no_new_privs: self.is_set(ScmpFilterAttr::CtlNnp),
        };
        let listener = install(&program, how)
            .map_err(|error| SeccompError::from_errno(-error.errno()).because(error))?;
        if let Some(listener) = listener {
            if let NotifyFd::Owned(old) = self.notify_fd.replace(NotifyFd::Owned(listener)) {
                retired.push(old);
            }
        }
        Ok(())
    }

    /// The listener of this context's last load that made one.
    ///
    /// Until it is asked for, the listener is the context's, and closed with it or after its next
    /// such load, by the one that follows; from the first call on it is the caller's, who closes it. Further calls give
    /// the same number.
    ///
    /// Takes the place of `seccomp_notify_fd(3)`, which knows one listener per process.
    ///
    /// # Errors
    ///
    /// When libseccomp is older than 2.5.0 or the API level is below 6, and `EINVAL` when no
    /// load of this context made a listener.
    pub fn get_notify_fd(&self) -> Result<RawFd> {
        ensure_supported_api("get_notify_fd", 6, ScmpVersion::from((2, 5, 0)))?;
        let fd = match self.notify_fd.take() {
            NotifyFd::None => {
                return Err(SeccompError::invalid(
                    "no filter with a notify rule was loaded from this context",
                ))
            }
            NotifyFd::Owned(fd) => fd.into_raw_fd(),
            NotifyFd::Given(fd) => fd,
        };
        self.notify_fd.replace(NotifyFd::Given(fd));
        Ok(fd)
    }

    /// The filter as the program the kernel takes.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM` when the system has no room to write it out.
    pub(crate) fn program(&self) -> Result<Vec<sock_filter>> {
        // libseccomp before 2.6 writes programs to descriptors only.
        let bytes = pipe::written(|fd| self.export_bpf(fd)).map_err(|errno| {
            SeccompError::from_errno(-errno.0).because("write the filter out")
        })??;
        Ok(bytes
            .chunks_exact(size_of::<sock_filter>())
            .map(instruction)
            .collect())
    }

    /// [`program`](Self::program), kept here until the next load: freeing it could be a system
    /// call, which the filter may notify once it is installed.
    pub(crate) fn program_to_load(&self) -> Result<Ref<'_, [sock_filter]>> {
        let program = self.program()?;
        self.loaded.replace(program);
        Ok(Ref::map(self.loaded.borrow(), Vec::as_slice))
    }

    /// Whether a switch is on. One this libseccomp does not have is not.
    fn is_set(&self, attr: ScmpFilterAttr) -> bool {
        self.get_filter_attr(attr).is_ok_and(|value| value != 0)
    }
}

/// Whether some path through `program` ends in a notification.
pub(crate) fn notifies(program: &[sock_filter]) -> bool {
    const RETURN_CONSTANT: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    program.iter().any(|instruction| {
        instruction.code == RETURN_CONSTANT
            && instruction.k & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_USER_NOTIF
    })
}

/// What `program` says to a call of this number and architecture; `None` when that depends on the
/// call's arguments or on where it is made, and of a program that is not one.
pub(crate) fn verdict(program: &[sock_filter], nr: u32, arch: u32) -> Option<u32> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let (mut at, mut loaded) = (0, 0);
    loop {
        // Jumps lead forward only, so this ends.
        let &sock_filter { code, jt, jf, k } = program.get(at)?;
        let holds = match code {
            LOAD => {
                // `nr` and `arch` of `struct seccomp_data`.
                loaded = match k {
                    0 => nr,
                    4 => arch,
                    _ => return None,
                };
                at += 1;
                continue;
            }
            AND => {
                loaded &= k;
                at += 1;
                continue;
            }
            JUMP => {
                at = at.checked_add(k as usize + 1)?;
                continue;
            }
            RETURN => return Some(k),
            EQUAL => loaded == k,
            GREATER => loaded > k,
            AT_LEAST => loaded >= k,
            ANY_BIT => loaded & k != 0,
            _ => return None,
        };
        at += 1 + usize::from(if holds { jt } else { jf });
    }
}

/// One `struct sock_filter` from the bytes it is in memory.
fn instruction(bytes: &[u8]) -> sock_filter {
    sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scmp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpSyscall};

    /// What a filter says to a native call of this name.
    fn said(filter: &ScmpFilterContext, name: &str) -> Option<u32> {
        let nr = i32::from(ScmpSyscall::from_name(name).unwrap()) as u32;
        verdict(&filter.program().unwrap(), nr, ScmpArch::native().to_sys())
    }

    fn filter(rules: &[(&str, ScmpAction)]) -> ScmpFilterContext {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
        for (name, action) in rules {
            filter
                .add_rule(*action, ScmpSyscall::from_name(name).unwrap())
                .unwrap();
        }
        filter
    }

    #[test]
    fn a_verdict_is_the_rules_or_the_default() {
        let filter = filter(&[
            ("execve", ScmpAction::Notify),
            ("uname", ScmpAction::Errno(7)),
        ]);
        assert_eq!(said(&filter, "execve"), Some(libc::SECCOMP_RET_USER_NOTIF));
        assert_eq!(said(&filter, "uname"), Some(libc::SECCOMP_RET_ERRNO | 7));
        assert_eq!(said(&filter, "getppid"), Some(libc::SECCOMP_RET_ALLOW));
    }

    #[test]
    fn a_verdict_among_many_rules_is_found() {
        let all: Vec<_> = (0..300)
            .filter_map(|nr| ScmpSyscall::from(nr).get_name().ok())
            .collect();
        let rules: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(i, name)| (name.as_str(), ScmpAction::Errno(1 + i as i32)))
            .collect();
        let filter = filter(&rules);
        for (i, name) in all.iter().enumerate() {
            let expected = libc::SECCOMP_RET_ERRNO | (1 + i as u32);
            assert_eq!(said(&filter, name), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_verdict_that_depends_on_arguments_is_none() {
        let mut filter = filter(&[]);
        let call = ScmpSyscall::from_name("execve").unwrap();
        let compare = ScmpArgCompare::new(1, ScmpCompareOp::Equal, 0);
        filter
            .add_rule_conditional(ScmpAction::Notify, call, &[compare])
            .unwrap();
        assert_eq!(said(&filter, "execve"), None);
        assert_eq!(said(&filter, "uname"), Some(libc::SECCOMP_RET_ALLOW));
    }

    #[test]
    fn what_is_no_program_has_no_verdict() {
        let load = libc::sock_filter {
            code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
            jt: 0,
            jf: 0,
            k: 0,
        };
        assert_eq!(verdict(&[], 1, 2), None);
        assert_eq!(verdict(&[load], 1, 2), None);
    }
}
