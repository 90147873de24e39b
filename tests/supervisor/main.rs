//! Supervisors: handlers, loops, workers, stopping, statistics.

#[path = "../support/mod.rs"]
mod support;

mod handlers;
mod listeners;
mod run;
mod statistics;
mod stop;
mod system_calls;
mod workers;
