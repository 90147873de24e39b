//! Peers that an agent refuses: each with its reason, without a trace, and without harm to others.

use crate::runtime::*;
use crate::support::*;
use std::fs::File;
use std::io::Write;
use std::os::fd::RawFd;
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

/// An agent, what it says, and a target to have a listener of.
struct Room {
    directory: Directory,
    log: Log,
    agent: Agent,
    _target: Target,
    listener: Listener,
    null: File,
}

impl Room {
    fn new() -> Self {
        Room::with(|options| options)
    }

    fn with(change: impl FnOnce(AgentOptions) -> AgentOptions) -> Self {
        let (directory, log) = (Directory::new(), Log::default());
        let agent = Agent::bind(directory.path(), change(log.options())).unwrap();
        let (target, listener) = Target::serves();
        Room {
            directory,
            log,
            agent,
            _target: target,
            listener,
            null: File::open("/dev/null").unwrap(),
        }
    }

    fn connect(&self) -> Runtime {
        Runtime::connect(&self.directory.path())
    }

    /// The reason why a peer that sends this is refused.
    fn refuses(&self, text: &[u8], fds: &[RawFd]) -> String {
        let peer = self.connect();
        peer.send(text, fds).unwrap();
        self.refused(&peer)
    }

    /// The reason why a peer is refused, which is about to happen.
    fn refused(&self, peer: &Runtime) -> String {
        let begun = Instant::now();
        loop {
            let nothing = self.agent.accept_timeout(Duration::from_millis(10));
            assert_eq!(status(nothing), Status::Timeout);
            let said = self.log.said();
            if let [sentence] = &said[..] {
                peer.until_closed();
                let (who, reason) = sentence.split_once(": ").unwrap();
                // SAFETY: no arguments.
                let user = unsafe { libc::geteuid() };
                let process = std::process::id();
                let expected = format!("refused a connection of process {process}, user {user}");
                assert_eq!(who, expected);
                return reason.to_owned();
            }
            assert!(said.is_empty(), "{said:?}");
            assert!(begun.elapsed() < slowed(Duration::from_secs(20)));
        }
    }

    /// That the agent is as it was, and nothing is left of what came.
    fn check_unharmed(&self, open: usize) {
        let _runtime = start(&self.directory.path(), "box", &self.listener);
        assert_eq!(accept(&self.agent).id(), "box");
        drop(_runtime);
        assert_eq!(entries("fd"), open);
    }
}

/// A test of a peer that is refused for this reason, in a process of its own whose descriptors are
/// counted.
fn refuses(text: &[u8], fds: impl Fn(&Room) -> Vec<RawFd>, reason: &str) {
    alone(|| {
        let room = Room::new();
        let open = entries("fd");
        let said = room.refuses(text, &fds(&room));
        assert!(said.contains(reason), "{said}");
        room.check_unharmed(open);
    });
}

fn listener(room: &Room) -> Vec<RawFd> {
    vec![raw(&room.listener)]
}

#[test]
fn one_that_sends_no_descriptor() {
    let reason = "names 1 descriptors, and 0 came";
    refuses(state("box").as_bytes(), |_| vec![], reason);
}

#[test]
fn one_that_sends_two() {
    let reason = "names 1 descriptors, and 2 came";
    refuses(
        state("box").as_bytes(),
        |room| vec![raw(&room.listener), raw(&room.null)],
        reason,
    );
}

#[test]
fn one_that_names_two_listeners() {
    let text = state("box").replace(r#""seccompFd""#, r#""seccompFd","seccompFd""#);
    refuses(
        text.as_bytes(),
        |room| vec![raw(&room.listener), raw(&room.listener)],
        "not one descriptor of its is `seccompFd`",
    );
}

#[test]
fn one_that_names_no_listener() {
    let text = state("box").replace("seccompFd", "other");
    refuses(
        text.as_bytes(),
        listener,
        "not one descriptor of its is `seccompFd`",
    );
}

#[test]
fn one_whose_listener_is_beyond_what_came() {
    let text = state("box").replace(r#""seccompFd""#, r#""one","two","seccompFd""#);
    refuses(text.as_bytes(), listener, "names 3 descriptors, and 1 came");
}

#[test]
fn one_that_sends_another_kind_of_descriptor() {
    refuses(
        state("box").as_bytes(),
        |room| vec![raw(&room.null)],
        "its `seccompFd` is no seccomp listener",
    );
}

#[test]
fn one_that_sends_more_descriptors_than_allowed() {
    refuses(
        b"{",
        |room| vec![raw(&room.null); 17],
        "it sent more than 16 descriptors",
    );
}

#[test]
fn one_that_sends_as_many_as_can_be_sent() {
    refuses(
        b"{",
        |room| vec![raw(&room.null); 253],
        "it sent more than 16 descriptors",
    );
}

#[test]
fn one_whose_message_is_no_json() {
    refuses(b"{\"fds\":[,]}", listener, "its message is no JSON: ");
}

#[test]
fn one_whose_brackets_do_not_match() {
    refuses(b"{\"fds\":[}", listener, "its brackets do not match");
}

#[test]
fn one_whose_message_is_no_object() {
    refuses(b"[]", listener, "does not begin with a brace");
}

#[test]
fn one_whose_message_is_no_utf8() {
    let mut text = state("box").into_bytes();
    let at = text.windows(3).position(|part| part == b"box").unwrap();
    text[at] = 0xff;
    refuses(&text, listener, "its message is no JSON: ");
}

#[test]
fn one_whose_message_has_a_nul() {
    let text = state("box").replace("box", "b\\u0000x");
    refuses(text.as_bytes(), listener, "its `id` has a NUL in it");
}

#[test]
fn one_whose_message_is_as_deep_as_it_is_long() {
    let text = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    refuses(text.as_bytes(), listener, "nested too deep");
}

#[test]
fn one_whose_message_is_followed_by_another() {
    let text = state("box").repeat(2);
    refuses(text.as_bytes(), listener, "more follows its message");
}

#[test]
fn one_whose_message_says_something_else() {
    alone(|| {
        let room = Room::new();
        let open = entries("fd");
        let whole = state("box");
        for (from, to, reason) in [
            (r#""state":"#, r#""other":"#, "has no `state`"),
            (r#""id":"box","#, "", "has no `id`"),
            (r#""id":"box""#, r#""id":7"#, "its `id` is no text"),
            (
                r#""pid":4711"#,
                r#""pid":"4711""#,
                "its `pid` is no process id",
            ),
            (r#""pid":4711"#, r#""pid":-1"#, "its `pid` is no process id"),
            (
                r#""pid":4712"#,
                r#""pid":4294967296"#,
                "its `pid` is no process id",
            ),
            (
                r#""pid":4712"#,
                r#""pid":1e99"#,
                "its `pid` is no process id",
            ),
            (r#"["seccompFd"]"#, r#""seccompFd""#, "its `fds` is no list"),
            (r#"["seccompFd"]"#, "[0]", "its `fds` has no names"),
            (r#""fds":["seccompFd"],"#, "", "names no descriptors"),
            (
                r#""a":"1""#,
                r#""a":1"#,
                "one of its annotations is no text",
            ),
            (
                r#"{"a":"1","b":"2"}"#,
                "7",
                "its `annotations` is no object",
            ),
        ] {
            let text = whole.replace(from, to);
            assert_ne!(text, whole);
            let said = room.refuses(text.as_bytes(), &listener(&room));
            assert!(said.contains(reason), "{said}, not {reason}");
        }
        room.check_unharmed(open);
    });
}

#[test]
fn one_that_hangs_up_in_the_middle() {
    alone(|| {
        let room = Room::new();
        let open = entries("fd");
        let peer = room.connect();
        peer.send(b"{\"fds\":", &listener(&room)).unwrap();
        peer.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(
            room.refused(&peer),
            "it hung up before its message was complete"
        );
        drop(peer);
        room.check_unharmed(open);
    });
}

#[test]
fn one_that_sends_a_byte_now_and_then() {
    alone(|| {
        let room = Room::with(|options| options.time_limit(Duration::from_millis(300)));
        let open = entries("fd");
        let peer = room.connect();
        let said = thread::scope(|scope| {
            let peer = &peer;
            scope.spawn(|| {
                while peer.send(b" ", &[]).is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            room.refused(peer)
        });
        assert_eq!(said, "its message took longer than 300ms");
        drop(peer);
        room.check_unharmed(open);
    });
}

#[test]
fn one_that_sends_nothing_and_waits() {
    alone(|| {
        let room = Room::with(|options| options.time_limit(Duration::from_millis(100)));
        let open = entries("fd");
        let peer = room.connect();
        assert_eq!(room.refused(&peer), "its message took longer than 100ms");
        drop(peer);
        room.check_unharmed(open);
    });
}

#[test]
fn one_whose_time_is_up_shows_in_the_descriptor() {
    watched(|| {
        let room = Room::with(|options| options.time_limit(Duration::from_millis(200)));
        let _peer = room.connect();
        nothing_comes(&room.agent);
        assert_eq!(polled(&room.agent, Duration::from_millis(20)), 0);
        assert_ne!(polled(&room.agent, slowed(Duration::from_secs(10))), 0);
        nothing_comes(&room.agent);
        assert_eq!(room.log.said().len(), 1);
    });
}

#[test]
fn one_that_sends_megabytes() {
    alone(|| {
        let room = Room::new();
        let open = entries("fd");
        let peer = room.connect();
        let said = thread::scope(|scope| {
            let peer = &peer;
            scope.spawn(|| {
                let mut socket = &peer.0;
                let _ = socket.write_all(b"{\"");
                while socket.write_all(&[b'x'; 4096]).is_ok() {}
            });
            room.refused(peer)
        });
        assert_eq!(said, "its message is longer than 1048576 bytes");
        drop(peer);
        room.check_unharmed(open);
    });
}

#[test]
fn one_of_another_user() {
    if !is_root() {
        return skip("takes root");
    }
    alone(|| {
        // As a user who is not listened to, though root is the one who asks.
        let room = Room::with(|options| options.users([12345]));
        let open = entries("fd");
        let said = room.refuses(state("box").as_bytes(), &listener(&room));
        assert_eq!(said, "it is not listened to");
        assert_eq!(entries("fd"), open);
    });
}

#[test]
fn who_is_listened_to_can_be_chosen() {
    if !is_root() {
        return skip("takes root");
    }
    watched(|| {
        for (users, is_heard) in [(vec![], false), (vec![7, 65534], true)] {
            let (directory, log) = (Directory::new(), Log::default());
            let options = log.options().mode(0o666).users(users);
            let agent = Agent::bind(directory.path(), options).unwrap();
            let (_target, listener) = Target::serves();
            let path = directory.path();
            let mut peer = Process::fork(|| {
                become_nobody();
                let peer = Runtime::connect(&path);
                // Who is refused may be so before.
                let _ = peer.send(state("box").as_bytes(), &[raw(&listener)]);
                peer.until_closed();
                0
            });
            if is_heard {
                assert_eq!(accept(&agent).id(), "box");
            } else {
                let nothing = agent.accept_timeout(Duration::from_millis(200));
                assert_eq!(status(nothing), Status::Timeout);
                let said = log.said();
                assert!(
                    said[0].ends_with("user 65534: it is not listened to"),
                    "{said:?}"
                );
            }
            assert_eq!(peer.wait(), 0);
        }
    });
}

#[test]
fn the_oldest_of_too_many_that_wait() {
    alone(|| {
        let room = Room::new();
        let open = entries("fd");
        let silent: Vec<_> = (0..300).map(|_| room.connect()).collect();
        nothing_comes(&room.agent);
        let said = room.log.said();
        assert_eq!(said.len(), 300 - 256);
        assert!(said[0].ends_with(": so many came after it"));
        drop(silent);
        nothing_comes(&room.agent);
        room.check_unharmed(open);
    });
}

#[test]
fn ten_thousand_of_all_kinds_leave_nothing_behind() {
    alone(|| {
        let room = Room::new();
        room.check_unharmed(entries("fd"));
        let open = entries("fd");
        let whole = state("box");
        let (listener, null) = (raw(&room.listener), raw(&room.null));
        let kinds: [(&[u8], &[RawFd]); 10] = [
            (b"", &[]),
            (b"{", &[null]),
            (b"[", &[listener]),
            (b"{}", &[listener]),
            (b"{\"fds\":}", &[listener]),
            (whole.as_bytes(), &[]),
            (whole.as_bytes(), &[null]),
            (whole.as_bytes(), &[listener, null]),
            (b"\xff", &[null, null, listener]),
            (&whole.as_bytes()[..100], &[listener]),
        ];
        let times = fewer(1000);
        for _ in 0..times {
            for (text, fds) in kinds {
                let peer = room.connect();
                if !text.is_empty() {
                    let _ = peer.send(text, fds);
                }
                drop(peer);
                let nothing = room.agent.accept_timeout(Duration::ZERO);
                assert_eq!(status(nothing), Status::Timeout);
            }
        }
        nothing_comes(&room.agent);
        // All but those who hung up without a word.
        assert_eq!(room.log.said().len(), 9 * times as usize);
        room.check_unharmed(open);
    });
}
