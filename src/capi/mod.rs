//! The C ABI: one file per room of the core, and [`boundary`], which every function goes through.
//!
//! cbindgen makes `include/unotify.h` from this folder. A function here checks its pointers and
//! integers, calls the core, and hands the result out; it decides nothing else.

#![allow(non_camel_case_types)] // the names are C's
#![allow(unreachable_pub)] // reached by the linker
#![allow(dead_code)] // Rust 1.85 takes the constants for unused, which only the header needs

mod action;
mod agent;
mod arch;
mod boundary;
mod container;
mod features;
mod filter;
mod listener;
mod load;
mod notification;
mod probe;
mod serve;
mod spawn;
mod status;
mod supervisor;
mod supervisor_exits;
mod supervisor_options;
mod supervisor_stats;
mod target_connect;
mod target_create;
mod target_descriptors;
mod target_fifo;
mod target_identity;
mod target_memory;
mod target_open;
mod target_run;
mod target_within;
mod throw;
