//! Supervisors: handlers, loops, workers, stopping, statistics.

#[path = "../support/mod.rs"]
mod support;

mod handlers;
