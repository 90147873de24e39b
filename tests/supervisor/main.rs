//! Supervisors: handlers, loops, workers, stopping, statistics.

#[path = "../support/mod.rs"]
mod support;

mod async_fd;
mod backlog;
mod chaos;
mod close;
mod event_loop;
mod exits;
mod handlers;
mod hot;
mod listeners;
mod modes;
mod scene;
mod stats;
mod stop;
mod stuck;
mod take;
mod workers;
