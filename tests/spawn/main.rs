//! Starting programs under a filter: real programs, one behaviour a test.

mod exec;
mod files;
mod hand_over;
mod inherited;
mod killed;
mod life;
mod limits;
mod memory;
mod namespace;
#[path = "../support/mod.rs"]
mod support;
