//! How a rule compares an argument.

use super::error::{Result, SeccompError};
use libseccomp_sys::scmp_compare;
use std::str::FromStr;

/// How a system call's argument must relate to the given value for a rule to match.
///
/// Arguments are compared as unsigned 64-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScmpCompareOp {
    /// The argument differs from the value.
    NotEqual,
    /// The argument is less than the value.
    Less,
    /// The argument is at most the value.
    LessOrEqual,
    /// The argument is the value.
    Equal,
    /// The argument is at least the value.
    GreaterEqual,
    /// The argument is greater than the value.
    Greater,
    /// The argument, cut down to the bits of this mask, is the value.
    MaskedEqual(u64),
}

impl ScmpCompareOp {
    pub(crate) const fn to_sys(self) -> scmp_compare {
        match self {
            Self::NotEqual => scmp_compare::SCMP_CMP_NE,
            Self::Less => scmp_compare::SCMP_CMP_LT,
            Self::LessOrEqual => scmp_compare::SCMP_CMP_LE,
            Self::Equal => scmp_compare::SCMP_CMP_EQ,
            Self::GreaterEqual => scmp_compare::SCMP_CMP_GE,
            Self::Greater => scmp_compare::SCMP_CMP_GT,
            Self::MaskedEqual(_) => scmp_compare::SCMP_CMP_MASKED_EQ,
        }
    }
}

impl FromStr for ScmpCompareOp {
    type Err = SeccompError;

    /// The comparison with libseccomp's constant for it, such as `"SCMP_CMP_EQ"`.
    /// `"SCMP_CMP_MASKED_EQ"` comes with mask 0, to be replaced.
    ///
    /// # Errors
    ///
    /// When no comparison has that constant.
    fn from_str(constant: &str) -> Result<Self> {
        Ok(match constant {
            "SCMP_CMP_NE" => Self::NotEqual,
            "SCMP_CMP_LT" => Self::Less,
            "SCMP_CMP_LE" => Self::LessOrEqual,
            "SCMP_CMP_EQ" => Self::Equal,
            "SCMP_CMP_GE" => Self::GreaterEqual,
            "SCMP_CMP_GT" => Self::Greater,
            "SCMP_CMP_MASKED_EQ" => Self::MaskedEqual(0),
            _ => return Err(SeccompError::unknown_name("comparison", constant)),
        })
    }
}
