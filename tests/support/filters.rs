//! Filters.

use unotify::{ScmpAction, ScmpArgCompare, ScmpFilterContext, ScmpSyscall};

/// A filter that notifies these calls.
pub(crate) fn notifying(names: &[&str]) -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    for name in names {
        let call = ScmpSyscall::from_name(name).unwrap();
        filter.add_rule(ScmpAction::Notify, call).unwrap();
    }
    filter
}

/// A filter that notifies every call there is.
pub(crate) fn everything() -> ScmpFilterContext {
    ScmpFilterContext::new(ScmpAction::Notify).unwrap()
}

/// A filter that refuses a call with an error number, where its arguments are so.
pub(crate) fn refusing(call: &str, errno: i32, when: &[ScmpArgCompare]) -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    let call = ScmpSyscall::from_name(call).unwrap();
    filter
        .add_rule_conditional(ScmpAction::Errno(errno), call, when)
        .unwrap();
    filter
}

/// Makes the calling process look as if its kernel did not have this call.
pub(crate) fn refuse(call: &str, errno: i32, when: &[ScmpArgCompare]) {
    refusing(call, errno, when).load().unwrap();
}
