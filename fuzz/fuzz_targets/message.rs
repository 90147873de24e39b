//! What a peer may send to an agent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| unotify::fuzzing::message(bytes));
