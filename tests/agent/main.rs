//! The agent: its socket, what runtimes tell it, and what it does not put up with.

mod bind;
mod containers;
mod hostile;
mod runtime;
#[path = "../support/mod.rs"]
mod support;
