//! The agent with the runtimes that there are, and containers that they start: `scripts/check oci`.
//!
//! What one test does stands there once and is done with each runtime. A container is busybox under a
//! profile that notifies what makes files and mounts; root is enough to start one.

mod agentd;
mod bundle;
mod containers;
mod example;
mod go_agent;
mod go_notify;
mod go_program;
mod lives;
mod rootless;
mod runtimes;
// What a runtime sends, without one.
#[allow(dead_code)]
#[path = "../../tests/agent/runtime.rs"]
mod sent;
#[path = "../../tests/support/mod.rs"]
mod support;
