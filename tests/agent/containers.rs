//! What runtimes tell, and how an agent waits for it.

use crate::runtime::*;
use crate::support::*;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

fn agent(directory: &Directory) -> Agent {
    Agent::bind(directory.path(), AgentOptions::default()).unwrap()
}

#[test]
fn a_container_is_what_its_runtime_says_of_it() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let runtime = start(&directory.path(), "box", &listener);
        drop(listener);
        let container = accept(&agent);
        assert_eq!(container.id(), "box");
        assert_eq!((container.pid(), container.init_pid()), (4711, 4712));
        assert_eq!(container.bundle(), "/bundles/box");
        assert_eq!(container.status(), "creating");
        assert_eq!(container.metadata(), "meta ü");
        assert_eq!(container.version(), "1.0.2");
        let annotations: Vec<_> = container.annotations().iter().collect();
        let expected = [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert!(annotations
            .into_iter()
            .eq(expected.iter().map(|(k, v)| (k, v))));
        assert!(!container.was_handed_over());
        let listener = container.take_listener().unwrap();
        assert_eq!(status(container.take_listener()), Status::InvalidArgument);
        check_served(&target, &listener);
        // The connection was open all the time.
        drop(runtime);
    });
}

#[test]
fn what_a_runtime_leaves_out_is_empty_or_zero() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let runtime = Runtime::connect(&directory.path());
        let text = r#"{ "fds": [ "seccompFd" ], "metadata": null,
            "state": { "id": "", "annotations": null } }"#;
        runtime
            .send(text.as_bytes(), &[listener.as_raw_fd()])
            .unwrap();
        drop(listener);
        let container = accept(&agent);
        assert_eq!((container.id(), container.bundle()), ("", ""));
        assert_eq!((container.status(), container.metadata()), ("", ""));
        assert_eq!((container.pid(), container.init_pid()), (0, 0));
        assert_eq!(container.version(), "");
        assert!(container.annotations().is_empty());
        check_served(&target, &container.take_listener().unwrap());
    });
}

#[test]
fn a_notification_knows_the_container_that_it_comes_from() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        target.make_call(0);
        target.until_waiting();
        let container = accept(&agent);
        let mut call = container.take_listener().unwrap().receive().unwrap();
        drop(container);
        let of = Container::of(&call).unwrap();
        assert_eq!(of.id(), "box");
        assert_eq!(status(of.take_listener()), Status::InvalidArgument);
        call.reply_value(0).unwrap();
        target.make_call(0);
        let mut call = listener.receive().unwrap();
        assert!(Container::of(&call).is_none());
        call.reply_value(0).unwrap();
    });
}

#[test]
fn other_descriptors_are_found_by_name() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let runtime = Runtime::connect(&directory.path());
        let text = state("box").replace(r#""seccompFd""#, r#""null","seccompFd","pipe""#);
        let (null, (_reads, writes)) = (File::open("/dev/null").unwrap(), pipe());
        let fds = [raw(&null), raw(&listener), raw(&writes)];
        runtime.send(text.as_bytes(), &fds).unwrap();
        drop(listener);
        let container = accept(&agent);
        let kind = |name| {
            let fd = container.fd(name)?.as_raw_fd();
            std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
        };
        assert_eq!(kind("null").unwrap().to_str(), Some("/dev/null"));
        assert!(kind("pipe").unwrap().to_str().unwrap().starts_with("pipe:"));
        assert!(kind("seccompFd").is_none() && kind("other").is_none());
        check_served(&target, &container.take_listener().unwrap());
    });
}

#[test]
fn a_long_state_is_taken_in_whatever_parts_it_comes() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        for size in [3_000, 300_000, 900_000] {
            let (target, listener) = Target::serves();
            let runtime = Runtime::connect(&directory.path());
            let long = format!("\"a\":\"{}\"", "x".repeat(size));
            let text = state("box").replace("\"a\":\"1\"", &long);
            let sending = thread::spawn(move || {
                runtime
                    .send(text.as_bytes(), &[listener.as_raw_fd()])
                    .unwrap();
                runtime
            });
            let container = accept(&agent);
            assert_eq!(container.annotations()["a"].len(), size);
            sending.join().unwrap();
            check_served(&target, &container.take_listener().unwrap());
        }
    });
}

#[test]
fn a_byte_at_a_time_is_a_message_too() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let runtime = Runtime::connect(&directory.path());
        let text = state("box");
        let (last, rest) = text.as_bytes().split_last().unwrap();
        for (at, byte) in rest.iter().enumerate() {
            // The descriptor comes somewhere in the middle.
            let fds = [listener.as_raw_fd()];
            let fds = if at == 50 { &fds[..] } else { &[] };
            runtime.send(&[*byte], fds).unwrap();
            if at % 16 == 0 {
                nothing_comes(&agent);
            }
        }
        drop(listener);
        nothing_comes(&agent);
        runtime.send(&[*last], &[]).unwrap();
        check_served(&target, &accept(&agent).take_listener().unwrap());
    });
}

#[test]
fn one_that_sends_nothing_delays_nobody() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let silent: Vec<_> = (0..20)
            .map(|_| Runtime::connect(&directory.path()))
            .collect();
        let slow = Runtime::connect(&directory.path());
        slow.send(b"{\"fds\":", &[]).unwrap();
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        drop(listener);
        let begun = Instant::now();
        let container = accept(&agent);
        assert!(begun.elapsed() < slowed(Duration::from_secs(2)));
        check_served(&target, &container.take_listener().unwrap());
        drop(silent);
    });
}

#[test]
fn one_that_hangs_up_without_a_word_is_nothing_to_speak_of() {
    watched(|| {
        let (directory, log) = (Directory::new(), Log::default());
        let agent = Agent::bind(directory.path(), log.options()).unwrap();
        drop(Runtime::connect(&directory.path()));
        nothing_comes(&agent);
        assert_eq!(log.said(), [""; 0]);
    });
}

#[test]
fn many_that_come_at_once_are_all_taken() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (_target, listener) = Target::serves();
        let runtimes: Vec<_> = (0..300)
            .map(|number| start(&directory.path(), &number.to_string(), &listener))
            .collect();
        let mut ids: Vec<u32> = (0..300)
            .map(|_| accept(&agent).id().parse().unwrap())
            .collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..300));
        nothing_comes(&agent);
        drop(runtimes);
    });
}

#[test]
fn its_descriptor_is_readable_while_there_is_something_to_do() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let readable = |limit| polled(&agent, limit) & libc::POLLIN != 0;
        let (_target, listener) = Target::serves();
        assert!(!readable(MOMENT));
        let _one = start(&directory.path(), "one", &listener);
        let _two = start(&directory.path(), "two", &listener);
        for _ in 0..2 {
            while agent.accept_timeout(Duration::ZERO).is_err() {
                assert!(readable(slowed(Duration::from_secs(10))));
            }
        }
        // What it woke itself for, it looks at.
        nothing_comes(&agent);
        assert!(!readable(MOMENT));
    });
}

#[test]
fn an_interruption_ends_one_accept_and_no_other() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        thread::scope(|scope| {
            let waits = scope.spawn(|| agent.accept());
            thread::sleep(MOMENT);
            agent.interrupt();
            assert_eq!(status(waits.join().unwrap()), Status::Stopped);
        });
        nothing_comes(&agent);
        agent.interrupt();
        assert_eq!(
            status(agent.accept_timeout(Duration::ZERO)),
            Status::Stopped
        );
        nothing_comes(&agent);
        let (_target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        agent.interrupt();
        let mut containers = agent.containers();
        assert!(containers.next().is_none());
        assert_eq!(accept(&agent).id(), "box");
    });
}

#[test]
fn several_threads_share_what_comes() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (_target, listener) = Target::serves();
        thread::scope(|scope| {
            let count = || agent.containers().filter(Result::is_ok).count();
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(count)).collect();
            let runtimes: Vec<_> = (0..60)
                .map(|_| start(&directory.path(), "box", &listener))
                .collect();
            // The agent closes a connection when it has taken what it brought.
            runtimes.iter().for_each(Runtime::until_closed);
            let counts: usize = threads
                .into_iter()
                .map(|thread| {
                    while !thread.is_finished() {
                        agent.interrupt();
                        thread::yield_now();
                    }
                    thread.join().unwrap()
                })
                .sum();
            // An interruption comes before what is there already, which is for the next to accept.
            let mut left = 0;
            loop {
                match agent.accept_timeout(Duration::ZERO) {
                    Ok(_) => left += 1,
                    Err(error) if error.status() == Status::Timeout => break,
                    Err(error) => assert_eq!(error.status(), Status::Stopped, "{error}"),
                }
            }
            assert_eq!(counts + left, 60);
        });
    });
}

#[test]
fn a_container_that_is_dropped_is_let_go_of() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        drop(listener);
        target.make_call(0);
        target.until_waiting();
        drop(accept(&agent));
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
    });
}

#[test]
fn an_agent_that_ends_lets_go_of_what_nobody_has_accepted() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let _one = start(&directory.path(), "one", &listener);
        let _two = start(&directory.path(), "two", &listener);
        drop(listener);
        target.make_call(0);
        target.until_waiting();
        drop(accept(&agent));
        drop(agent);
        assert_eq!(target.result(), -i64::from(libc::ENOSYS));
    });
}

#[test]
fn in_a_copy_of_the_process_it_is_the_parents() {
    watched(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let mut copy = Process::fork(|| {
            agent.interrupt();
            let accepted = agent.accept_timeout(Duration::ZERO);
            // SAFETY: a bitwise copy of what is not used again, to be dropped.
            drop(unsafe { std::ptr::read(&agent) });
            i32::from(status(accepted) != Status::InvalidArgument)
        });
        assert_eq!(copy.wait(), 0);
        let _runtime = start(&directory.path(), "box", &listener);
        drop(listener);
        check_served(&target, &accept(&agent).take_listener().unwrap());
    });
}

/// Takes all descriptors that there are. They are free again with what this gives.
fn take_all_descriptors() -> Vec<OwnedFd> {
    let limit = libc::rlimit {
        rlim_cur: 64,
        rlim_max: 64,
    };
    // SAFETY: the structure is ours.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let mut taken = Vec::new();
    loop {
        // SAFETY: integers only.
        match unsafe { libc::dup(0) } {
            -1 => return taken,
            // SAFETY: new, and this is its only owner.
            fd => taken.push(unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

#[test]
fn with_no_descriptor_left_it_waits_until_there_is_one() {
    alone(|| {
        let directory = Directory::new();
        let agent = agent(&directory);
        let (target, listener) = Target::serves();
        let runtime = Runtime::connect(&directory.path());
        nothing_comes(&agent);
        let taken = take_all_descriptors();
        let text = state("box");
        runtime
            .send(text.as_bytes(), &[listener.as_raw_fd()])
            .unwrap();
        nothing_comes(&agent);
        drop(taken);
        drop(listener);
        check_served(&target, &accept(&agent).take_listener().unwrap());
    });
}

#[test]
fn with_the_last_descriptor_taken_by_its_connection_it_waits_too() {
    alone(|| {
        let (directory, log) = (Directory::new(), Log::default());
        let agent = Agent::bind(directory.path(), log.options()).unwrap();
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        let mut taken = take_all_descriptors();
        taken.pop();
        nothing_comes(&agent);
        assert_eq!(log.said(), [""; 0]);
        drop(taken);
        drop(listener);
        check_served(&target, &accept(&agent).take_listener().unwrap());
    });
}
