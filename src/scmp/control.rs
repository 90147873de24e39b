//! The attributes of a filter context, each as a pair of methods.

use super::error::Result;
use super::{
    check, ensure_supported_api, ScmpAction, ScmpFilterAttr, ScmpFilterContext, ScmpVersion,
};
use libseccomp_sys as sys;

impl ScmpFilterContext {
    /// The raw value of an attribute.
    ///
    /// Corresponds to `seccomp_attr_get(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when this libseccomp does not have the attribute.
    pub fn get_filter_attr(&self, attr: ScmpFilterAttr) -> Result<u32> {
        let mut value = 0;
        // SAFETY: the context is live; the call writes one integer to `value`.
        check(unsafe { sys::seccomp_attr_get(self.as_ptr(), attr.to_sys(), &mut value) })?;
        Ok(value)
    }

    /// Sets the raw value of an attribute.
    ///
    /// Corresponds to `seccomp_attr_set(3)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when this libseccomp does not have the attribute or refuses the value, `EACCES`
    /// when it is read-only, `EOPNOTSUPP` when the running kernel lacks it.
    pub fn set_filter_attr(&mut self, attr: ScmpFilterAttr, value: u32) -> Result<&mut Self> {
        // SAFETY: the context is live and ours alone.
        check(unsafe { sys::seccomp_attr_set(self.as_ptr(), attr.to_sys(), value) })?;
        Ok(self)
    }

    /// The action for calls no rule matches; given to [`new`](Self::new) or
    /// [`reset`](Self::reset).
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr).
    pub fn get_act_default(&self) -> Result<ScmpAction> {
        ScmpAction::from_sys(self.get_filter_attr(ScmpFilterAttr::ActDefault)?)
    }

    /// The action for calls of an architecture the filter was not told of.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr).
    pub fn get_act_badarch(&self) -> Result<ScmpAction> {
        ScmpAction::from_sys(self.get_filter_attr(ScmpFilterAttr::ActBadArch)?)
    }

    /// Sets the action for calls of an architecture the filter was not told of;
    /// [`KillThread`](ScmpAction::KillThread) unless set otherwise.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr).
    pub fn set_act_badarch(&mut self, action: ScmpAction) -> Result<&mut Self> {
        self.set_filter_attr(ScmpFilterAttr::ActBadArch, action.to_sys())
    }

    /// Whether loading sets no_new_privs first.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr).
    pub fn get_ctl_nnp(&self) -> Result<bool> {
        Ok(self.get_filter_attr(ScmpFilterAttr::CtlNnp)? != 0)
    }

    /// Sets whether loading sets no_new_privs first.
    /// On unless set otherwise; without it, loading takes `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr).
    pub fn set_ctl_nnp(&mut self, state: bool) -> Result<&mut Self> {
        self.set_filter_attr(ScmpFilterAttr::CtlNnp, state.into())
    }

    /// Whether loading puts the filter on all threads of the process.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr), and when libseccomp is older than 2.2.0 or the API level is
    /// below 2.
    pub fn get_ctl_tsync(&self) -> Result<bool> {
        ensure_supported_api("get_ctl_tsync", 2, ScmpVersion::from((2, 2, 0)))?;
        Ok(self.get_filter_attr(ScmpFilterAttr::CtlTsync)? != 0)
    }

    /// Sets whether loading puts the filter on all threads of the process.
    /// Off unless set otherwise.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr), and when libseccomp is older than 2.2.0 or the API level is
    /// below 2.
    pub fn set_ctl_tsync(&mut self, state: bool) -> Result<&mut Self> {
        ensure_supported_api("set_ctl_tsync", 2, ScmpVersion::from((2, 2, 0)))?;
        self.set_filter_attr(ScmpFilterAttr::CtlTsync, state.into())
    }

    /// Whether the kernel logs every action but [`Allow`](ScmpAction::Allow).
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr), and when libseccomp is older than 2.4.0 or the API level is
    /// below 3.
    pub fn get_ctl_log(&self) -> Result<bool> {
        ensure_supported_api("get_ctl_log", 3, ScmpVersion::from((2, 4, 0)))?;
        Ok(self.get_filter_attr(ScmpFilterAttr::CtlLog)? != 0)
    }

    /// Sets whether the kernel logs every action but [`Allow`](ScmpAction::Allow).
    /// Off unless set otherwise. Which actions are really logged is up to the
    /// administrator (`/proc/sys/kernel/seccomp/actions_logged`).
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr), and when libseccomp is older than 2.4.0 or the API level is
    /// below 3.
    pub fn set_ctl_log(&mut self, state: bool) -> Result<&mut Self> {
        ensure_supported_api("set_ctl_log", 3, ScmpVersion::from((2, 4, 0)))?;
        self.set_filter_attr(ScmpFilterAttr::CtlLog, state.into())
    }

    /// Whether loading leaves the Speculative Store Bypass mitigation off.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr), and when libseccomp is older than 2.5.0 or the API level is
    /// below 4.
    pub fn get_ctl_ssb(&self) -> Result<bool> {
        ensure_supported_api("get_ctl_ssb", 4, ScmpVersion::from((2, 5, 0)))?;
        Ok(self.get_filter_attr(ScmpFilterAttr::CtlSsb)? != 0)
    }

    /// Sets whether loading leaves the Speculative Store Bypass mitigation off.
    /// Off unless set otherwise: before Linux 5.16 loading a filter turns the mitigation on,
    /// which makes the target slower.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr), and when libseccomp is older than 2.5.0 or the API level is
    /// below 4.
    pub fn set_ctl_ssb(&mut self, state: bool) -> Result<&mut Self> {
        ensure_supported_api("set_ctl_ssb", 4, ScmpVersion::from((2, 5, 0)))?;
        self.set_filter_attr(ScmpFilterAttr::CtlSsb, state.into())
    }

    /// Whether libseccomp returns the system's error numbers instead of `ECANCELED`.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr).
    pub fn get_api_sysrawrc(&self) -> Result<bool> {
        Ok(self.get_filter_attr(ScmpFilterAttr::ApiSysRawRc)? != 0)
    }

    /// Sets whether libseccomp returns the system's error numbers instead of `ECANCELED`.
    /// Off unless set otherwise. [`load`](Self::load) gives the kernel's own number either way.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr).
    pub fn set_api_sysrawrc(&mut self, state: bool) -> Result<&mut Self> {
        self.set_filter_attr(ScmpFilterAttr::ApiSysRawRc, state.into())
    }

    /// Whether only fatal signals interrupt a target whose notification was received.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr), and when libseccomp is older than 2.6.0 or the API level is
    /// below 7.
    pub fn get_ctl_waitkill(&self) -> Result<bool> {
        ensure_supported_api("get_ctl_waitkill", 7, ScmpVersion::from((2, 6, 0)))?;
        Ok(self.get_filter_attr(ScmpFilterAttr::CtlWaitkill)? != 0)
    }

    /// Sets whether only fatal signals interrupt a target whose notification was received.
    /// Off unless set otherwise.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr), and when libseccomp is older than 2.6.0 or the API level is
    /// below 7.
    pub fn set_ctl_waitkill(&mut self, state: bool) -> Result<&mut Self> {
        ensure_supported_api("set_ctl_waitkill", 7, ScmpVersion::from((2, 6, 0)))?;
        self.set_filter_attr(ScmpFilterAttr::CtlWaitkill, state.into())
    }

    /// Whether rules for system call -1 are allowed.
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr).
    pub fn get_api_tskip(&self) -> Result<bool> {
        Ok(self.get_filter_attr(ScmpFilterAttr::ApiTskip)? != 0)
    }

    /// Sets whether rules for system call -1 are allowed.
    /// Off unless set otherwise. A tracer writes that number to skip a call.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr).
    pub fn set_api_tskip(&mut self, state: bool) -> Result<&mut Self> {
        self.set_filter_attr(ScmpFilterAttr::ApiTskip, state.into())
    }

    /// The shape of the program; see [`set_ctl_optimize`](Self::set_ctl_optimize).
    ///
    /// # Errors
    ///
    /// As [`get_filter_attr`](Self::get_filter_attr).
    pub fn get_ctl_optimize(&self) -> Result<u32> {
        self.get_filter_attr(ScmpFilterAttr::CtlOptimize)
    }

    /// Sets the shape of the program: 1 (unless set otherwise) tries the rules one after the
    /// other by priority, 2 makes a binary tree, which is faster for many rules.
    ///
    /// # Errors
    ///
    /// As [`set_filter_attr`](Self::set_filter_attr); `EOPNOTSUPP` for another level.
    pub fn set_ctl_optimize(&mut self, level: u32) -> Result<&mut Self> {
        self.set_filter_attr(ScmpFilterAttr::CtlOptimize, level)
    }

    /// The old name of [`get_ctl_nnp`](Self::get_ctl_nnp).
    ///
    /// # Errors
    ///
    /// As [`get_ctl_nnp`](Self::get_ctl_nnp).
    #[deprecated(since = "0.1.0", note = "use ScmpFilterContext::get_ctl_nnp")]
    pub fn get_no_new_privs_bit(&self) -> Result<bool> {
        self.get_ctl_nnp()
    }

    /// The old name of [`set_ctl_nnp`](Self::set_ctl_nnp).
    ///
    /// # Errors
    ///
    /// As [`set_ctl_nnp`](Self::set_ctl_nnp).
    #[deprecated(since = "0.1.0", note = "use ScmpFilterContext::set_ctl_nnp")]
    pub fn set_no_new_privs_bit(&mut self, state: bool) -> Result<&mut Self> {
        self.set_ctl_nnp(state)
    }
}
