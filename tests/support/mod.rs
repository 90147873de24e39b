//! What the tests have in common: real targets under real filters, and guards against hanging.
#![allow(dead_code, unused_imports)] // no test program uses all of it

mod alone;
mod asker;
mod descriptors;
mod filters;
mod machine;
mod process;
mod programs;
mod signals;
mod supervisors;
mod target;
mod watch;
mod withheld;

pub(crate) use alone::*;
pub(crate) use asker::*;
pub(crate) use descriptors::*;
pub(crate) use filters::*;
pub(crate) use machine::*;
pub(crate) use process::*;
pub(crate) use programs::*;
pub(crate) use signals::*;
pub(crate) use supervisors::*;
pub(crate) use target::*;
pub(crate) use watch::*;
pub(crate) use withheld::*;
