//! One condition of a rule.

use super::error::{Result, SeccompError};
use super::ScmpCompareOp;
use libseccomp_sys::scmp_arg_cmp;

/// How many arguments a system call has room for.
const MAX_ARGS: usize = 6;

/// A condition on one argument of a system call.
///
/// A rule with several matches when all of them hold. [`scmp_cmp!`](crate::scmp_cmp) writes them
/// as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)] // a slice of these is libseccomp's array
pub struct ScmpArgCompare(scmp_arg_cmp);

impl ScmpArgCompare {
    /// The condition that argument number `arg` (from 0) relates to `datum` by `op`.
    ///
    /// An argument number above 5 is refused when the rule is added.
    #[must_use]
    pub const fn new(arg: u32, op: ScmpCompareOp, datum: u64) -> Self {
        // libseccomp's masked comparison takes the mask first and the value second.
        let (datum_a, datum_b) = match op {
            ScmpCompareOp::MaskedEqual(mask) => (mask, datum),
            _ => (datum, 0),
        };
        ScmpArgCompare(scmp_arg_cmp {
            arg,
            op: op.to_sys(),
            datum_a,
            datum_b,
        })
    }

    /// Refuses what libseccomp would refuse with a bare `EINVAL`, naming the culprit.
    pub(crate) fn check_all(conditions: &[ScmpArgCompare]) -> Result<()> {
        let mut seen = [false; MAX_ARGS];
        for ScmpArgCompare(condition) in conditions {
            let arg = condition.arg;
            match seen.get_mut(arg as usize) {
                None => {
                    return Err(SeccompError::invalid(format!(
                        "comparison with argument {arg}: a system call has arguments 0 to 5"
                    )))
                }
                Some(true) => {
                    return Err(SeccompError::invalid(format!(
                        "two comparisons with argument {arg}: a rule takes one for each argument"
                    )))
                }
                Some(seen) => *seen = true,
            }
        }
        Ok(())
    }
}

impl From<ScmpArgCompare> for scmp_arg_cmp {
    fn from(condition: ScmpArgCompare) -> Self {
        condition.0
    }
}

impl From<&ScmpArgCompare> for scmp_arg_cmp {
    fn from(condition: &ScmpArgCompare) -> Self {
        condition.0
    }
}

/// Writes a [`ScmpArgCompare`] as it is read: `scmp_cmp!($arg0 == 7)`.
///
/// The argument is `$arg0` to `$arg5`; the comparison is one of `!=`, `<`, `<=`, `==`, `>=`, `>`,
/// or `& mask ==`, where a mask of more than one token stands in parentheses.
///
/// ```
/// use unotify::scmp::{scmp_cmp, ScmpArgCompare, ScmpCompareOp};
///
/// let writes = scmp_cmp!($arg1 & (libc::O_ACCMODE as u64) == libc::O_WRONLY as u64);
/// let mask = ScmpCompareOp::MaskedEqual(libc::O_ACCMODE as u64);
/// assert_eq!(writes, ScmpArgCompare::new(1, mask, libc::O_WRONLY as u64));
/// ```
#[doc(hidden)] // at the root: it is documented in `scmp`
#[macro_export]
macro_rules! scmp_cmp {
    // Internal rules first: `@index` names the argument, `@new` makes the condition.
    (@index arg0) => { 0 };
    (@index arg1) => { 1 };
    (@index arg2) => { 2 };
    (@index arg3) => { 3 };
    (@index arg4) => { 4 };
    (@index arg5) => { 5 };
    (@new $arg:tt $op:expr, $datum:expr) => {
        $crate::ScmpArgCompare::new($crate::scmp_cmp!(@index $arg), $op, $datum)
    };
    ($_:tt $arg:tt != $datum:expr) => {
        $crate::scmp_cmp!(@new $arg $crate::ScmpCompareOp::NotEqual, $datum)
    };
    ($_:tt $arg:tt < $datum:expr) => {
        $crate::scmp_cmp!(@new $arg $crate::ScmpCompareOp::Less, $datum)
    };
    ($_:tt $arg:tt <= $datum:expr) => {
        $crate::scmp_cmp!(@new $arg $crate::ScmpCompareOp::LessOrEqual, $datum)
    };
    ($_:tt $arg:tt == $datum:expr) => {
        $crate::scmp_cmp!(@new $arg $crate::ScmpCompareOp::Equal, $datum)
    };
    ($_:tt $arg:tt >= $datum:expr) => {
        $crate::scmp_cmp!(@new $arg $crate::ScmpCompareOp::GreaterEqual, $datum)
    };
    ($_:tt $arg:tt > $datum:expr) => {
        $crate::scmp_cmp!(@new $arg $crate::ScmpCompareOp::Greater, $datum)
    };
    ($_:tt $arg:tt & $mask:tt == $datum:expr) => {
        $crate::scmp_cmp!(
            @new $arg
            #[allow(unused_parens)]
            $crate::ScmpCompareOp::MaskedEqual($mask),
            $datum
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use libseccomp_sys::scmp_compare;

    #[test]
    fn a_plain_comparison_has_the_value_first() {
        let raw = scmp_arg_cmp::from(ScmpArgCompare::new(3, ScmpCompareOp::Less, 9));
        assert_eq!(raw.arg, 3);
        assert_eq!(raw.op, scmp_compare::SCMP_CMP_LT);
        assert_eq!((raw.datum_a, raw.datum_b), (9, 0));
    }

    #[test]
    fn a_masked_comparison_has_the_mask_first() {
        let raw = scmp_arg_cmp::from(&ScmpArgCompare::new(
            0,
            ScmpCompareOp::MaskedEqual(0xf0),
            0x10,
        ));
        assert_eq!(raw.op, scmp_compare::SCMP_CMP_MASKED_EQ);
        assert_eq!((raw.datum_a, raw.datum_b), (0xf0, 0x10));
    }
}
