//! The agent: its socket, what runtimes tell it, and what it does not put up with.

mod bind;
mod containers;
mod hand_over;
mod hostile;
mod runtime;
mod serve;
#[path = "../support/mod.rs"]
mod support;
