//! Write seccomp user-notification supervisors: receive, inspect and answer the system calls of other
//! processes.
//!
//! # The model
//!
//! A *supervisor* answers chosen system calls on behalf of a *target* (see `seccomp_unotify(2)`).
//! A filter says which ones: the kernel stops a target that makes one, and a *notification* comes out
//! of the filter's *listener*. The supervisor looks at it and answers: with a value, with an error, or
//! by letting the call go on. Then the target goes on with that as the result of its call.
//!
//! | to | there is |
//! | --- | --- |
//! | say which calls are notified | [`ScmpFilterContext`], with [`ScmpAction::Notify`] |
//! | notify all calls that do the same job (`open`, `connect`, ...) | [`ScmpFilterContext::notify_family`] |
//! | start a program under the filter | [`Spawn`], which gives a [`Child`] and its [`Listener`] |
//! | put the filter on the calling thread | [`ScmpFilterContext::load_listener`] |
//! | get a listener from elsewhere | [`Listener::from_socket`], [`Listener::from_pid`], `TryFrom<OwnedFd>` |
//! | receive and answer in a loop of one's own | [`Listener::receive`], [`Listener::incoming`] |
//! | give each call a handler, on one thread or several | [`Supervisor`] |
//! | take the listeners of containers from their runtimes | [`Agent`], which gives [`Container`]s |
//! | start a program and serve it to its end, in one call | [`Supervisor::run_program`] |
//! | the same in a program that is there for that: signals, job control, its end | [`Supervisor::stand_in_for`], [`exit_like`] |
//! | answer | [`Notification::reply_value`], [`reply_error`](Notification::reply_error), [`reply_continue`](Notification::reply_continue), [`reply_fd`](Notification::reply_fd) |
//! | read and write a target's memory | [`Notification::read`], [`write`](Notification::write), [`read_string`](Notification::read_string), [`read_pointers`](Notification::read_pointers) |
//! | exchange descriptors with it | [`Notification::get_fd`], [`add_fd`](Notification::add_fd), [`open_pidfd`](Notification::open_pidfd) |
//! | open what a path names to it | [`Notification::open`], [`open_parent`](Notification::open_parent), [`reopen`](Notification::reopen) |
//! | do something in its namespaces | [`Notification::run_in`] |
//! | know who it is | [`Notification::identity`], [`executable`](Notification::executable), [`read_path`](Notification::read_path) |
//! | learn that its process has ended | [`Supervisor::on_exit`], [`Notification::watch_exit`] |
//!
//! No target is left waiting: a notification that is dropped unanswered is answered with the fallback
//! error (`ENOSYS` unless [`Listener::set_fallback_error`] says otherwise). What is read of a target
//! is handed out only when the notification was still pending after that, so it was that target's.
//!
//! # An example
//!
//! A shell that may not know its host's name, and is told another:
//!
//! ```
//! use unotify::scmp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
//! use unotify::{Spawn, Status};
//!
//! let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
//! filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("uname")?)?;
//! let mut child = Spawn::new(&filter, "sh").args(["-c", "test $(uname -n) = nowhere"]).spawn()?;
//!
//! let listener = child.take_listener().expect("nobody has taken it");
//! for call in listener.incoming() {
//!     let mut call = call?;
//!     // `struct utsname` is six texts of 65 bytes; the second is the host's name.
//!     let mut names = [[0; 65]; 6];
//!     for (name, text) in names.iter_mut().zip(["Linux", "nowhere", "6.1", "#1", "x86_64", ""]) {
//!         name[..text.len()].copy_from_slice(text.as_bytes());
//!     }
//!     let address = call.request().args[0];
//!     let answered = match call.write(address, names.as_flattened()) {
//!         Ok(()) => call.reply_value(0),
//!         Err(error) => call.reply_error(error.errno()),
//!     };
//!     match answered {
//!         Err(error) if error.status() == Status::Gone => {} // it was killed meanwhile
//!         answered => answered?,
//!     }
//! }
//! assert!(child.wait()?.success());
//! # Ok::<(), unotify::Error>(())
//! ```
//!
//! # What must be known
//!
//! - **To continue a call is not to allow it.** The kernel reads the arguments' memory again, and
//!   the target may have changed it since the supervisor looked. One who decides must also do: carry
//!   the call out and answer with the result.
//! - **The rights are the supervisor's.** What [`Notification::open`] opens, the supervisor may open.
//! - **One listener for each target.** The kernel allows one in all filters of a task
//!   ([`Status::Busy`]).
//! - A supervised program that makes a call of a foreign architecture (`int 0x80` on x86_64) meets the
//!   filter's bad-architecture action
//!   ([`set_act_badarch`](ScmpFilterContext::set_act_badarch)) unless the filter was told of it
//!   ([`add_arch`](ScmpFilterContext::add_arch)).
//!
//! # What the kernel must have
//!
//! Linux 5.0 and libseccomp 2.5.0 for anything at all. [`features`] tells what the running kernel has,
//! [`probe()`] what works here, where a container's profile or a security module may refuse the rest.
//!
//! | Linux | what it is for | without it |
//! | --- | --- | --- |
//! | 5.0 | receive, answer with a value or an error | [`Status::Unsupported`] |
//! | 5.2 | [`Child::pidfd`] | an error; waiting and killing work by pid (waiting, before 5.4) |
//! | 5.4 | [`Listener::watch_child`] | [`Status::Unsupported`] |
//! | 5.5 | [`Notification::reply_continue`] | [`Status::Unsupported`], and the target goes on waiting |
//! | 5.6 | [`Listener::from_pid`], [`Notification::get_fd`], [`Notification::open`] | [`Status::Unsupported`] |
//! | 5.7 | [`LoadFlags::TSYNC`] | [`Status::Unsupported`] |
//! | 5.9 | a listener tells that its last target has ended ([`Status::Closed`]) | receiving goes on until its time limit |
//! | 5.9 | [`Notification::add_fd`] | [`Status::Unsupported`] |
//! | 5.14 | [`Notification::reply_fd`] in one step | two steps: a signal in between leaves the descriptor there |
//! | 5.19 | only fatal signals interrupt a received call | any signal does: the call comes again under a new id |
//! | 5.19 | pending calls are received in the order they were made | the newest first |
//! | 6.6 | synchronous wake-up: much lower latency | left off |
//! | 6.9 | descriptors of a thread that does not share its leader's | [`Status::Unsupported`] |
//! | 6.11 | a target has ended when it has exited | when it was *waited for*, see [`Listener::watch_child`] |
//!
//! # The vocabulary of libseccomp
//!
//! The module [`scmp`] has the types that filters are built of and the notification types of the
//! `libseccomp` crate 0.4. Its names are here at the root as well, so that code written for that crate
//! moves over by changing one `use`.
//!
//! # C
//!
//! `libunotify.so` and `libunotify.a` are made of this crate with the feature `capi`, by meson or
//! cargo-c. A program in Rust has no use for it.

// Compiles and runs the README's Rust program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod error;

mod agent;
#[cfg(feature = "capi")]
mod capi;
mod ending;
mod exits;
mod features;
#[cfg(feature = "capi")]
mod for_c;
mod held;
mod install;
mod kernel;
mod listener;
mod load;
mod lock;
mod notification;
mod probe;
mod receive_lock;
pub mod scmp;
mod serve;
mod shared;
mod spawn;
mod stall;
mod stand_in;
mod supervisor;
mod target;
mod transport;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use agent::fuzzing;
pub use agent::{Agent, AgentLog, AgentOptions, Container, Containers};
#[doc(inline)]
pub use error::{Error, Result, Status};
pub use features::{features, Features};
pub use listener::{Incoming, Listener, ReceiveFlags};
pub use load::LoadFlags;
pub use notification::{Notification, Request};
pub use probe::{probe, Probe, ProbeOutcome, ProbePart};
// Documented where they are.
#[doc(hidden)]
#[allow(deprecated)]
pub use scmp::{
    check_api, check_version, get_api, get_library_version, get_syscall_from_name,
    get_syscall_name_from_arch, notify_id_valid, reset_global_state, set_api, RawSyscall,
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFd, ScmpFilterAttr, ScmpFilterContext,
    ScmpNotifData, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall, ScmpVersion,
    NOTIF_FLAG_CONTINUE,
};
pub use serve::exit_like;
pub use spawn::{Child, Spawn, Stdio};
pub use supervisor::{HandlerFlags, Stats, Supervisor, SupervisorOptions, Verdict, WakeUp};
pub use target::{Identity, Namespaces, OpenHow, Rights, Roots};
