//! Write seccomp user-notification supervisors: receive, inspect and answer system calls.
