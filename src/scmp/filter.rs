//! The filter context: architectures and rules, kept by libseccomp until they become a program.

use super::error::{Result, SeccompError};
use super::family::Held;
use super::{check, ScmpAction, ScmpArch, ScmpArgCompare, ScmpSyscall};
use libseccomp_sys as sys;
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

/// What the `seccomp_arch_*` calls return for "there already" and for "not there".
const NOTHING_TO_DO: i32 = -libc::EEXIST;

/// The greatest error number libseccomp takes in an action, one less than the kernel's.
const MAX_ERRNO: i32 = 4094;

/// A filter in the making: a default action, architectures, and rules.
///
/// ```
/// use unotify::{ScmpAction, ScmpFilterContext, ScmpSyscall};
///
/// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
/// filter.add_rule(ScmpAction::Errno(libc::EPERM), ScmpSyscall::from_name("mkdirat")?)?;
/// filter.load()?; // this thread, and its children, make no more directories that way
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ScmpFilterContext {
    handle: Handle,
    pub(super) notify_fd: RefCell<NotifyFd>,
    /// The program that was loaded last.
    pub(super) loaded: RefCell<Vec<libc::sock_filter>>,
    /// A listener whose place another one has taken.
    pub(super) retired: RefCell<Vec<OwnedFd>>,
    pub(super) held: Held,
}

/// The listener of a context's last load.
#[derive(Debug, Default)]
pub(super) enum NotifyFd {
    /// No load yet that made one.
    #[default]
    None,
    /// Nobody has asked for it: the context closes it.
    Owned(OwnedFd),
    /// Somebody has: it is theirs to close.
    Given(RawFd),
}

/// Owns libseccomp's context.
#[derive(Debug)]
struct Handle(NonNull<libc::c_void>);

// SAFETY: a context is heap memory that no thread but its owner's touches, and libseccomp ties
// nothing of it to the thread that made it.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the context is live, and this is its only owner.
        unsafe { sys::seccomp_release(self.0.as_ptr()) }
    }
}

impl ScmpFilterContext {
    /// A filter for the native architecture that does `default_action` for every call.
    ///
    /// Corresponds to `seccomp_init(3)`.
    ///
    /// # Errors
    ///
    /// When libseccomp does not know the action or has no memory.
    pub fn new(default_action: ScmpAction) -> Result<Self> {
        // SAFETY: takes an integer; gives null or a context that is the caller's to release.
        let ctx = unsafe { sys::seccomp_init(default_action.to_sys()) };
        let ctx = NonNull::new(ctx).ok_or_else(|| {
            SeccompError::with_msg(format!("cannot make a filter of action {default_action:?}"))
        })?;
        Ok(ScmpFilterContext {
            handle: Handle(ctx),
            notify_fd: RefCell::default(),
            loaded: RefCell::default(),
            retired: RefCell::default(),
            held: Held::default(),
        })
    }

    /// The old name of [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[deprecated(since = "0.1.0", note = "use ScmpFilterContext::new")]
    pub fn new_filter(default_action: ScmpAction) -> Result<Self> {
        Self::new(default_action)
    }

    /// libseccomp's context, for calls this type lacks. It stays this type's: do not release it,
    /// and do not use it after this value is gone.
    #[must_use]
    pub fn as_ptr(&self) -> sys::scmp_filter_ctx {
        self.handle.0.as_ptr()
    }

    /// Throws away all rules, architectures and attributes and starts again with `action` as the
    /// default. A listener from an earlier load is kept.
    ///
    /// Corresponds to `seccomp_reset(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when libseccomp does not know the action.
    pub fn reset(&mut self, action: ScmpAction) -> Result<()> {
        self.reset_raw(action.to_sys())?;
        self.held = Held::default();
        Ok(())
    }

    /// [`reset`](Self::reset), but for what the families are known by.
    pub(super) fn reset_raw(&mut self, action: u32) -> Result<()> {
        // SAFETY: the context is live and ours alone.
        check(unsafe { sys::seccomp_reset(self.as_ptr(), action) })
    }

    /// Takes over the architectures and rules of `src`, which must have the same attributes and
    /// no architecture in common with this filter.
    ///
    /// A listener that `src` still owns is closed.
    ///
    /// Corresponds to `seccomp_merge(3)`.
    ///
    /// # Errors
    ///
    /// `EEXIST` when an architecture is in both, `EINVAL` when the attributes differ. `src` is
    /// gone either way.
    pub fn merge(&mut self, src: Self) -> Result<&mut Self> {
        // SAFETY: both contexts are live, and different because both are owned here.
        check(unsafe { sys::seccomp_merge(self.as_ptr(), src.as_ptr()) })?;
        self.held.merge(&src.held);
        // libseccomp has released the source's context.
        std::mem::forget(src.handle);
        Ok(self)
    }

    /// Whether the filter was told of `arch`.
    ///
    /// Corresponds to `seccomp_arch_exist(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when libseccomp does not know the architecture.
    pub fn is_arch_present(&self, arch: ScmpArch) -> Result<bool> {
        // SAFETY: the context is live; the call only reads it.
        match unsafe { sys::seccomp_arch_exist(self.as_ptr(), arch.to_sys()) } {
            0 => Ok(true),
            NOTHING_TO_DO => Ok(false),
            rc => Err(unsupported_arch(rc, arch)),
        }
    }

    /// Makes the filter decide about calls of `arch` too. Rules added before do not apply to it, but
    /// for those of families; add architectures first. Nothing happens when it is there already.
    ///
    /// Corresponds to `seccomp_arch_add(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when libseccomp does not know the architecture, `EDOM` when its byte order is
    /// not the filter's.
    pub fn add_arch(&mut self, arch: ScmpArch) -> Result<&mut Self> {
        if !self.is_arch_present(arch)? {
            self.add_arch_to_families(arch)?;
        }
        Ok(self)
    }

    /// Whether it was not there.
    pub(super) fn arch_add(&mut self, arch: ScmpArch) -> Result<bool> {
        // SAFETY: the context is live and ours alone.
        match unsafe { sys::seccomp_arch_add(self.as_ptr(), arch.to_sys()) } {
            0 => Ok(true),
            NOTHING_TO_DO => Ok(false),
            rc => Err(unsupported_arch(rc, arch)),
        }
    }

    /// Makes the filter treat calls of `arch` by its bad-architecture action. Nothing happens when it
    /// is not there. Remove architectures before the first rule.
    ///
    /// Corresponds to `seccomp_arch_remove(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when libseccomp does not know the architecture; when the filter has rules, after which
    /// libseccomp 2.5 corrupts memory.
    pub fn remove_arch(&mut self, arch: ScmpArch) -> Result<&mut Self> {
        if self.held.has_rules() && self.is_arch_present(arch)? {
            return Err(SeccompError::invalid(format!(
                "{arch} cannot be removed from a filter that has rules"
            )));
        }
        self.arch_remove(arch)?;
        Ok(self)
    }

    /// Whether it was there.
    pub(super) fn arch_remove(&mut self, arch: ScmpArch) -> Result<bool> {
        // SAFETY: the context is live and ours alone.
        match unsafe { sys::seccomp_arch_remove(self.as_ptr(), arch.to_sys()) } {
            0 => Ok(true),
            NOTHING_TO_DO => Ok(false),
            rc => Err(unsupported_arch(rc, arch)),
        }
    }

    /// Does `action` for `syscall`, whatever its arguments, on every architecture of the filter
    /// that has the call.
    ///
    /// Corresponds to `seccomp_rule_add(3)`.
    ///
    /// # Errors
    ///
    /// As [`add_rule_conditional`](Self::add_rule_conditional).
    pub fn add_rule<S: Into<ScmpSyscall>>(
        &mut self,
        action: ScmpAction,
        syscall: S,
    ) -> Result<&mut Self> {
        self.add_rule_conditional(action, syscall, &[])
    }

    /// Does `action` for `syscall` when all of `comparators` hold, on every architecture of the
    /// filter that has the call; libseccomp may widen the conditions for an architecture that
    /// cannot express them.
    ///
    /// Corresponds to `seccomp_rule_add_array(3)`.
    ///
    /// # Errors
    ///
    /// `EACCES` when `action` is the filter's default action; `EINVAL` when an argument number
    /// is above 5 or comes twice, when the action's error number is not 0 to 4094, and when the
    /// running kernel lacks the action, or no architecture is left in the filter; `EEXIST` when
    /// an earlier rule has the same conditions and another action.
    ///
    /// Beware of rules without conditions: for one system call such a rule swallows those with
    /// conditions, earlier and later, and of two such rules the first counts. libseccomp reports
    /// neither.
    ///
    /// ```
    /// use unotify::{scmp_cmp, ScmpAction, ScmpFilterContext, ScmpSyscall};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// let socket = ScmpSyscall::from_name("socket")?;
    /// let inet = scmp_cmp!($arg0 == libc::AF_INET as u64);
    /// filter.add_rule_conditional(ScmpAction::Notify, socket, &[inet])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_rule_conditional<S: Into<ScmpSyscall>>(
        &mut self,
        action: ScmpAction,
        syscall: S,
        comparators: &[ScmpArgCompare],
    ) -> Result<&mut Self> {
        self.add(
            sys::seccomp_rule_add_array,
            action,
            syscall.into(),
            comparators,
        )
    }

    /// [`add_rule`](Self::add_rule), but refuses where the rule cannot be put exactly as it
    /// stands on every architecture of the filter.
    ///
    /// Corresponds to `seccomp_rule_add_exact(3)`.
    ///
    /// # Errors
    ///
    /// As [`add_rule_conditional_exact`](Self::add_rule_conditional_exact).
    pub fn add_rule_exact<S: Into<ScmpSyscall>>(
        &mut self,
        action: ScmpAction,
        syscall: S,
    ) -> Result<&mut Self> {
        self.add_rule_conditional_exact(action, syscall, &[])
    }

    /// [`add_rule_conditional`](Self::add_rule_conditional), but refuses where the rule cannot
    /// be put exactly as it stands on every architecture of the filter.
    ///
    /// Corresponds to `seccomp_rule_add_exact_array(3)`.
    ///
    /// # Errors
    ///
    /// As [`add_rule_conditional`](Self::add_rule_conditional); `EDOM` when an architecture of
    /// the filter lacks the call; `EOPNOTSUPP` when the filter has more than one architecture.
    pub fn add_rule_conditional_exact<S: Into<ScmpSyscall>>(
        &mut self,
        action: ScmpAction,
        syscall: S,
        comparators: &[ScmpArgCompare],
    ) -> Result<&mut Self> {
        self.add(
            sys::seccomp_rule_add_exact_array,
            action,
            syscall.into(),
            comparators,
        )
    }

    /// [`add_rule_conditional`](Self::add_rule_conditional) for the call of this name, refused
    /// where the rule could take effect on none of the filter's architectures.
    ///
    /// libseccomp itself accepts a rule for, say, `socketcall` in a filter for x86_64 alone, and
    /// quietly leaves it out of the program.
    ///
    /// # Errors
    ///
    /// As [`add_rule_conditional`](Self::add_rule_conditional), and when no architecture of the
    /// filter has a call of this name.
    ///
    /// ```
    /// use unotify::{ScmpAction, ScmpFilterContext};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// filter.add_rule_by_name(ScmpAction::Notify, "openat", &[])?;
    /// assert!(filter.add_rule_by_name(ScmpAction::Notify, "opennat", &[]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_rule_by_name(
        &mut self,
        action: ScmpAction,
        name: &str,
        comparators: &[ScmpArgCompare],
    ) -> Result<&mut Self> {
        let archs = self.archs();
        if !archs.iter().any(|&arch| ScmpSyscall::exists_on(name, arch)) {
            let names: Vec<_> = archs.iter().map(|arch| arch.name()).collect();
            return Err(ScmpSyscall::unknown(name, names.join(" or ")));
        }
        self.add_rule_conditional(action, ScmpSyscall::from_name(name)?, comparators)
    }

    /// The architectures the filter was told of.
    pub(super) fn archs(&self) -> Vec<ScmpArch> {
        // An architecture this libseccomp has not heard of is an error, so not present.
        let present = |arch: &ScmpArch| self.is_arch_present(*arch).unwrap_or(false);
        ScmpArch::ALL.iter().copied().filter(present).collect()
    }

    fn add(
        &mut self,
        add: AddArray,
        action: ScmpAction,
        syscall: ScmpSyscall,
        comparators: &[ScmpArgCompare],
    ) -> Result<&mut Self> {
        self.add_with(add, action, syscall, comparators)?;
        self.held.other_rules = true;
        Ok(self)
    }

    /// A rule that a later architecture gets too, as it is of a family.
    pub(super) fn add_own(
        &mut self,
        action: ScmpAction,
        syscall: ScmpSyscall,
        comparators: &[ScmpArgCompare],
    ) -> Result<()> {
        self.add_with(sys::seccomp_rule_add_array, action, syscall, comparators)
    }

    fn add_with(
        &mut self,
        add: AddArray,
        action: ScmpAction,
        syscall: ScmpSyscall,
        comparators: &[ScmpArgCompare],
    ) -> Result<()> {
        // No more than 6 pass, so the count fits.
        ScmpArgCompare::check_all(comparators)?;
        // SAFETY: the context is live and ours alone; `ScmpArgCompare` is transparent over
        // libseccomp's struct, so the slice is an array of them; the call keeps no pointer.
        let rc = unsafe {
            add(
                self.as_ptr(),
                action.to_sys(),
                syscall.to_sys(),
                comparators.len() as u32,
                comparators.as_ptr().cast(),
            )
        };
        check(rc).map_err(|error| explain_rule(error, rc, action))
    }

    /// Hints how often `syscall` is made: rules of higher priority come earlier in the program.
    ///
    /// Corresponds to `seccomp_syscall_priority(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a number no system call can have.
    pub fn set_syscall_priority<S: Into<ScmpSyscall>>(
        &mut self,
        syscall: S,
        priority: u8,
    ) -> Result<&mut Self> {
        let nr = syscall.into().to_sys();
        // SAFETY: the context is live and ours alone.
        check(unsafe { sys::seccomp_syscall_priority(self.as_ptr(), nr, priority) })?;
        Ok(self)
    }

    /// Writes the filter to `fd` as text, in libseccomp's Pseudo Filter Code.
    ///
    /// Corresponds to `seccomp_export_pfc(3)`.
    ///
    /// # Errors
    ///
    /// `ECANCELED`, or with [`set_api_sysrawrc`](Self::set_api_sysrawrc) the system's own number,
    /// when it cannot be written.
    pub fn export_pfc<T: AsFd>(&self, fd: T) -> Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: the context is live; the descriptor is open for as long as `fd` is borrowed.
        check(unsafe { sys::seccomp_export_pfc(self.as_ptr(), fd) })
    }

    /// Writes the filter to `fd` as the program the kernel takes: an array of `sock_filter`.
    ///
    /// Corresponds to `seccomp_export_bpf(3)`.
    ///
    /// # Errors
    ///
    /// As [`export_pfc`](Self::export_pfc).
    pub fn export_bpf<T: AsFd>(&self, fd: T) -> Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: the context is live; the descriptor is open for as long as `fd` is borrowed.
        check(unsafe { sys::seccomp_export_bpf(self.as_ptr(), fd) })
    }
}

/// What `seccomp_rule_add_array` and `_exact_array` have in common.
type AddArray = unsafe extern "C" fn(
    sys::scmp_filter_ctx,
    u32,
    i32,
    libc::c_uint,
    *const sys::scmp_arg_cmp,
) -> i32;

/// Says why libseccomp refused a rule, where its number alone is a riddle.
fn explain_rule(error: SeccompError, rc: i32, action: ScmpAction) -> SeccompError {
    match -rc {
        libc::EINVAL => match action {
            ScmpAction::Errno(errno) if !(0..=MAX_ERRNO).contains(&errno) => error.because(
                format!("error number {errno}: libseccomp takes 0 to {MAX_ERRNO}"),
            ),
            _ => error,
        },
        libc::EACCES => error.because(format!(
            "{action:?} is the filter's default action, the rule would change nothing"
        )),
        libc::EEXIST => error.because("an earlier rule has the same conditions and another action"),
        _ => error,
    }
}

/// Says which architecture libseccomp refused.
fn unsupported_arch(rc: i32, arch: ScmpArch) -> SeccompError {
    let error = SeccompError::from_errno(rc);
    match -rc {
        libc::EINVAL => error.because(format!("this libseccomp does not know {arch}")),
        libc::EDOM => error.because(format!("{arch} has another byte order than the filter")),
        _ => error,
    }
}
