//! Families put into a filter.

use super::error::{Result, SeccompErrno, SeccompError};
use super::family::{Family, Rule};
use super::{ScmpArch, ScmpFilterAttr, ScmpFilterContext};

impl ScmpFilterContext {
    /// Notifies the supervisor of all system calls that do the same job as the one the family is
    /// called by, on every architecture of the filter, also those that are added later, and refuses
    /// those that would do it past the filter; see [`Family`].
    ///
    /// For a call that has a rule without conditions already, that one counts, as it does for
    /// [`add_rule`](Self::add_rule). Families may be combined.
    ///
    /// # Errors
    ///
    /// When there is no family of this name, and then nothing was changed; when the installed
    /// libseccomp is too old to know one of the calls on an architecture of the filter that may
    /// have it; for a family with conditions on arguments (`connect`), when an architecture of the filter
    /// has `socketcall` and there are other rules already. As for [`add_rule`](Self::add_rule).
    ///
    /// ```
    /// use unotify::{ScmpAction, ScmpFilterContext};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// filter.notify_family("open")?.notify_family("connect")?;
    /// assert!(filter.notify_family("opne").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_family(&mut self, name: &str) -> Result<&mut Self> {
        let family = Family::by_name(name)
            .ok_or_else(|| SeccompError::unknown_name("family of system calls", name))?;
        let archs = self.archs();
        let rules = family.rules(&archs)?;
        let hiding = archs.iter().filter(|&&arch| family.hides_in(arch)).count();
        if hiding == 0 || hiding == archs.len() {
            self.add_family_rules(&rules, |rule| rule.with.is_none() || hiding == 0)?;
            self.held.families.push(family);
        } else {
            self.check_order(family)?;
            self.held.families.push(family);
            self.rebuild()?;
        }
        Ok(self)
    }

    /// Gives an architecture that is about to be added the families that the filter has.
    pub(super) fn add_arch_to_families(&mut self, arch: ScmpArch) -> Result<()> {
        let mut archs = self.archs();
        archs.push(arch);
        let families = self.held.families.clone();
        let hidden = |family: &Family| archs.iter().any(|&arch| family.hides_in(arch));
        // All that can go wrong does before anything is changed.
        for family in &families {
            family.rules(&archs)?;
            if hidden(family) && !family.hides_in(arch) {
                self.check_order(family)?;
            }
        }
        self.arch_add(arch)?;
        if families
            .iter()
            .any(|family| hidden(family) && !family.hides_in(arch))
        {
            return self.rebuild();
        }
        for family in families {
            let rules = family.rules(&archs)?;
            // Where they are hidden the others have these rules already.
            self.add_family_rules(&rules, |rule| rule.with.is_none() || !hidden(family))?;
        }
        Ok(())
    }

    /// Refuses a family that is to be added to some architectures alone, as others hide the arguments
    /// of its calls, to a filter that has other rules.
    fn check_order(&self, family: &Family) -> Result<()> {
        match self.held.other_rules {
            false => Ok(()),
            true => Err(SeccompError::invalid(format!(
                "the family `{}` has conditions on arguments that an architecture of the filter hides \
                 in memory: add both before the filter's other rules",
                family.name()
            ))),
        }
    }

    /// Builds the filter anew, of nothing but its families. A condition would be on the arguments of
    /// the multiplexer where an architecture hides those of a call, which are others; libseccomp knows
    /// no rules for single architectures, so conditions come before those are there. (To take them out
    /// for a while is no way: what libseccomp 2.5 keeps of an architecture that was removed
    /// gets into another, and it crashes.)
    fn rebuild(&mut self) -> Result<()> {
        let families = self.held.families.clone();
        let archs = self.archs();
        let (hiding, telling): (Vec<_>, Vec<_>) = archs
            .iter()
            .partition(|&&arch| families.iter().any(|family| family.hides_in(arch)));
        self.clear()?;
        // The native one is there from the start.
        for &&arch in &telling {
            self.arch_add(arch)?;
        }
        if !telling.contains(&&ScmpArch::native()) && !telling.is_empty() {
            self.arch_remove(ScmpArch::native())?;
        }
        if !telling.is_empty() {
            for family in &families {
                self.add_family_rules(&family.rules(&archs)?, |rule| rule.with.is_some())?;
            }
        }
        for &&arch in &hiding {
            self.arch_add(arch)?;
        }
        if !archs.contains(&ScmpArch::native()) && telling.is_empty() {
            self.arch_remove(ScmpArch::native())?;
        }
        for family in &families {
            self.add_family_rules(&family.rules(&archs)?, |rule| rule.with.is_none())?;
        }
        Ok(())
    }

    /// Takes all rules and architectures away, and leaves the attributes.
    fn clear(&mut self) -> Result<()> {
        let default = self.get_filter_attr(ScmpFilterAttr::ActDefault)?;
        // One that this libseccomp does not have has nothing to be kept.
        let kept: Vec<_> = ScmpFilterAttr::SETTABLE
            .iter()
            .filter_map(|&attr| Some((attr, self.get_filter_attr(attr).ok()?)))
            .collect();
        self.reset_raw(default)?;
        for (attr, value) in kept {
            if self.get_filter_attr(attr)? != value {
                self.set_filter_attr(attr, value)?;
            }
        }
        Ok(())
    }

    fn add_family_rules(&mut self, rules: &[Rule], which: impl Fn(&Rule) -> bool) -> Result<()> {
        let default = self.get_act_default()?;
        // What the filter does anyhow takes no rule, and libseccomp takes none.
        for rule in rules
            .iter()
            .filter(|rule| which(rule) && rule.action != default)
        {
            match self.add_own(rule.action, rule.syscall, rule.with.as_slice()) {
                Ok(()) => {}
                // There is a rule, and the first counts.
                Err(error) if error.errno() == Some(SeccompErrno::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
