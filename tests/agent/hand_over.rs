//! From one agent to the next, while containers wait.

use crate::runtime::*;
use crate::support::*;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

fn keeps_running() -> SupervisorOptions {
    SupervisorOptions::default().keep_running(true)
}

/// Hands `agent` over to another one in this process.
fn hand_over(agent: &Agent, supervisor: Option<&Supervisor>) -> Agent {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let taking = scope.spawn(move || Agent::take_over(theirs.as_fd(), AgentOptions::default()));
        agent.hand_over(supervisor, ours.as_fd()).unwrap();
        taking.join().unwrap().unwrap()
    })
}

#[test]
fn what_a_stuck_worker_has_received_is_answered_before_the_old_agent_may_end() {
    watched(|| {
        if !may_withhold() {
            return;
        }
        let directory = Directory::new();
        let old = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), |call| {
            let address = call.request().args[0];
            let value = if call.read(address, &mut [1]).is_ok() {
                77
            } else {
                1
            };
            let _ = call.reply_value(value);
            Verdict::Handled
        });
        let (target, listener) = withholder();
        let _runtime = start(&directory.path(), "box", &listener);
        drop(listener);
        let listener = accept(&old).take_listener().unwrap();
        supervisor.add_listener(listener, 1).unwrap();
        supervisor.start().unwrap();
        soon(|| supervisor.stats().workers_stuck == 1);
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(MOMENT);
                target.channel.tell(0);
            });
            let _new = hand_over(&old, Some(&supervisor));
            assert_eq!(supervisor.stats().workers_stuck, 0);
            drop(supervisor);
            assert_eq!(target.result(), 77);
        });
    });
}

#[test]
fn the_next_agent_has_the_socket_and_the_containers() {
    watched(|| {
        let directory = Directory::new();
        let old = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        let (served, listener) = Target::serves();
        let _runtime = start(&directory.path(), "served", &listener);
        drop(listener);
        let container = accept(&old);
        supervisor
            .add_listener(container.take_listener().unwrap(), 1)
            .unwrap();
        let (fresh, listener) = Target::serves();
        let _second = start(&directory.path(), "fresh", &listener);
        drop(listener);
        served.make_call(3);
        served.until_waiting();

        let new = hand_over(&old, Some(&supervisor));
        assert_eq!(status(old.accept_timeout(Duration::ZERO)), Status::Closed);
        drop((old, supervisor, container));
        assert!(!served.channel.said_something());
        let first = accept(&new);
        assert!(first.was_handed_over());
        assert_eq!(first.id(), "served");
        assert_eq!((first.pid(), first.init_pid()), (4711, 4712));
        assert_eq!(first.metadata(), "meta ü");
        assert_eq!(first.annotations()["b"], "2");
        let listener = first.take_listener().unwrap();
        let mut call = listener.receive().unwrap();
        assert_eq!(Container::of(&call).unwrap().id(), "served");
        call.reply_value(9).unwrap();
        assert_eq!(served.result(), 9);
        let second = accept(&new);
        assert_eq!(second.id(), "fresh");
        check_served(&fresh, &second.take_listener().unwrap());

        // The socket is the new one's, and so is its name.
        let (target, listener) = Target::serves();
        let _third = start(&directory.path(), "third", &listener);
        drop(listener);
        let third = accept(&new);
        assert!(!third.was_handed_over());
        check_served(&target, &third.take_listener().unwrap());
        drop(new);
        assert!(!directory.path().exists());
    });
}

#[test]
fn what_is_put_back_comes_again_and_is_handed_over() {
    watched(|| {
        let directory = Directory::new();
        let old = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let (target, own) = Target::serves();
        let _runtime = start(&directory.path(), "box", &own);
        assert_eq!(status(old.put_back(own)), Status::InvalidArgument);

        let listener = accept(&old).take_listener().unwrap();
        target.make_call(3);
        let mut received = listener.receive().unwrap();
        old.put_back(listener).unwrap();
        let again = accept(&old);
        assert_eq!((again.id(), again.was_handed_over()), ("box", false));
        old.put_back(again.take_listener().unwrap()).unwrap();
        // Which is nothing any more, and nothing is lost with it.
        assert_eq!(status(again.take_listener()), Status::InvalidArgument);
        drop(again);
        let new = hand_over(&old, None);
        // What was received is answered where it was.
        received.reply_value(4).unwrap();
        assert_eq!(target.result(), 4);
        let container = accept(&new);
        assert_eq!((container.id(), container.was_handed_over()), ("box", true));
        let listener = container.take_listener().unwrap();
        check_served(&target, &listener);
        assert_eq!(status(old.put_back(listener)), Status::Closed);
    });
}

#[test]
fn other_descriptors_and_long_states_go_along() {
    watched(|| {
        let directory = Directory::new();
        let old = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        let (target, listener) = Target::serves();
        let runtime = Runtime::connect(&directory.path());
        let (mut reads, writes) = UnixStream::pair().unwrap();
        let long = "\"\u{1}\\\"ü".repeat(50_000);
        let (size, long) = (long.len(), serde_json_string(&long));
        let text = state("box")
            .replace(r#""seccompFd""#, r#""seccompFd","pipe""#)
            .replace(r#""1""#, &long);
        thread::scope(|scope| {
            let fds = [raw(&listener), raw(&writes)];
            scope.spawn(move || runtime.send(text.as_bytes(), &fds).unwrap());
            let container = accept(&old);
            supervisor
                .add_listener(container.take_listener().unwrap(), 0)
                .unwrap();
        });
        drop((listener, writes));
        let new = hand_over(&old, Some(&supervisor));
        drop(old);
        let container = accept(&new);
        assert_eq!(container.annotations()["a"].len(), size);
        let pipe: OwnedFd = container.fd("pipe").unwrap().try_clone_to_owned().unwrap();
        UnixStream::from(pipe).write_all(b"x").unwrap();
        let mut byte = [0];
        reads.read_exact(&mut byte).unwrap();
        check_served(&target, &container.take_listener().unwrap());
    });
}

/// Text as JSON, as the crate under test does not make any in public.
fn serde_json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => json += &format!("\\u{:04x}", c as u32),
            c => json.push(c),
        }
    }
    json + "\""
}

#[test]
fn a_runtime_that_connects_meanwhile_waits() {
    watched(|| {
        let directory = Directory::new();
        let old = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (target, listener) = Target::serves();
        thread::scope(|scope| {
            let handing = scope.spawn(|| old.hand_over(None, ours.as_fd()));
            thread::sleep(MOMENT);
            let _runtime = start(&directory.path(), "box", &listener);
            let new = Agent::take_over(theirs.as_fd(), AgentOptions::default()).unwrap();
            handing.join().unwrap().unwrap();
            check_served(&target, &accept(&new).take_listener().unwrap());
        });
    });
}

#[test]
fn one_that_is_in_the_middle_of_its_message_is_waited_for_but_not_long() {
    watched(|| {
        let (directory, log) = (Directory::new(), Log::default());
        let old = Agent::bind(directory.path(), log.options()).unwrap();
        let _silent = Runtime::connect(&directory.path());
        let slow = Runtime::connect(&directory.path());
        let (target, listener) = Target::serves();
        let text = state("box");
        let (first, rest) = text.split_at(50);
        slow.send(first.as_bytes(), &[raw(&listener)]).unwrap();
        drop(listener);
        nothing_comes(&old);
        let begun = Instant::now();
        let new = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(200));
                slow.send(rest.as_bytes(), &[]).unwrap();
            });
            hand_over(&old, None)
        });
        assert!(begun.elapsed() < slowed(Duration::from_secs(5)));
        let said = log.said();
        assert!(
            said[0].ends_with("was handed over to another one"),
            "{said:?}"
        );
        check_served(&target, &accept(&new).take_listener().unwrap());
    });
}

#[test]
fn when_the_other_side_goes_away_nothing_is_lost() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        let back = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&back);
        supervisor
            .on_close(move |tag| told.lock().unwrap().push(tag))
            .unwrap();
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        drop(listener);
        let listener = accept(&agent).take_listener().unwrap();
        supervisor.add_listener(listener, 7).unwrap();
        for messages in 0..3 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let handed = thread::scope(|scope| {
                scope.spawn(move || {
                    let mut theirs = theirs;
                    for _ in 0..messages {
                        let mut some = [0; 4096];
                        assert!(theirs.read(&mut some).unwrap() > 0);
                        theirs.write_all(b"k").unwrap();
                    }
                });
                agent.hand_over(Some(&supervisor), ours.as_fd())
            });
            assert_eq!(status(handed), Status::Closed);
        }
        // It left the supervisor, and comes again.
        assert_eq!(*back.lock().unwrap(), [7]);
        let again = accept(&agent);
        assert_eq!((again.id(), again.was_handed_over()), ("box", false));
        check_served(&target, &again.take_listener().unwrap());
        let (second, listener) = Target::serves();
        let _second = start(&directory.path(), "second", &listener);
        drop(listener);
        check_served(&second, &accept(&agent).take_listener().unwrap());
        drop(agent);
        assert!(!directory.path().exists());
    });
}

#[test]
fn one_that_does_not_answer_is_not_waited_for_for_ever() {
    watched(|| {
        let directory = Directory::new();
        let options = AgentOptions::default().time_limit(Duration::from_millis(100));
        let agent = Agent::bind(directory.path(), options.clone()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let handed = agent.hand_over(None, ours.as_fd());
        assert_eq!(status(handed), Status::Timeout);
        drop(theirs);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let taken = Agent::take_over(ours.as_fd(), options);
        assert_eq!(status(taken), Status::Timeout);
    });
}

#[test]
fn who_is_no_agent_is_found_out() {
    watched(|| {
        for text in [
            "{}",
            "[]",
            "{\"unotify\":2,\"socket\":null}",
            "{\"unotify\":1}",
            "{\"unotify\":1,\"socket\":7}",
            "hello",
        ] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (&theirs).write_all(text.as_bytes()).unwrap();
            let taken = Agent::take_over(ours.as_fd(), AgentOptions::default());
            assert_eq!(status(taken), Status::InvalidArgument, "{text}");
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let taken = Agent::take_over(ours.as_fd(), AgentOptions::default());
        assert_eq!(status(taken), Status::Closed);
        let file = std::fs::File::open("/dev/null").unwrap();
        let taken = Agent::take_over(file.as_fd(), AgentOptions::default());
        assert_eq!(status(taken), Status::InvalidArgument);
        let (ours, _theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let taken = Agent::take_over(ours.as_fd(), AgentOptions::default());
        assert_eq!(status(taken), Status::InvalidArgument);
    });
}

#[test]
fn another_users_agent_gets_nothing() {
    if !is_root() {
        return skip("takes root");
    }
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let place = Directory::new();
        let upgrade = UnixListener::bind(place.path()).unwrap();
        std::fs::set_permissions(
            place.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o666),
        )
        .unwrap();
        let to = place.path();
        let mut stranger = Process::fork(|| {
            become_nobody();
            let taken = Agent::take_over(
                UnixStream::connect(&to).unwrap().as_fd(),
                AgentOptions::default(),
            );
            i32::from(status(taken) != Status::Closed)
        });
        let (stream, _) = upgrade.accept().unwrap();
        let handed = agent.hand_over(None, stream.as_fd());
        assert_eq!(status(handed), Status::Permission);
        drop(stream);
        assert_eq!(stranger.wait(), 0);
        let options = AgentOptions::default().users([12345]);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let taken = Agent::take_over(ours.as_fd(), options);
        assert_eq!(status(taken), Status::Permission);
    });
}

/// Agents that replace each other, each a process.
fn generation(from: Option<UnixStream>, to: UnixStream, ready: UnixStream, path: &Path) -> i32 {
    let options = AgentOptions::default;
    let agent = match from {
        Some(from) => Agent::take_over(from.as_fd(), options()),
        None => Agent::bind(path, options()),
    };
    let agent = agent.unwrap();
    let supervisor = supervisor(keeps_running().max_workers(2), echo);
    (&ready).write_all(b"r").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Until it is told to hand over.
            let _ = (&ready).read(&mut [0]);
            agent.interrupt();
        });
        agent.serve(&supervisor, |_| Some(1)).unwrap();
    });
    agent.hand_over(Some(&supervisor), to.as_fd()).unwrap();
    0
}

#[test]
fn an_agent_that_is_replaced_again_and_again_leaves_no_call_unanswered() {
    const TIMES: u32 = 20;
    const TARGETS: usize = 8;
    alone(|| {
        let directory = Directory::new();
        let path = directory.path();
        // A byte says that the target is to end; it then tells how many calls it has made.
        let targets: Vec<_> = (0..TARGETS)
            .map(|_| {
                Target::start(|channel| {
                    let mut made = 0;
                    while !channel.said_something() {
                        for _ in 0..50 {
                            assert_eq!(call(CALL, [made as u64, 0, 0]), made);
                            made += 1;
                        }
                    }
                    channel.tell(made);
                })
            })
            .collect();
        let next = |from| {
            let (to, taken) = UnixStream::pair().unwrap();
            let (told, ready) = UnixStream::pair().unwrap();
            let process = Process::fork(|| generation(from, to, ready, &path));
            (&told).read_exact(&mut [0]).unwrap();
            (process, told, taken)
        };
        let (mut process, mut told, mut taken) = next(None);
        let (targets, runtimes): (Vec<_>, Vec<_>) = targets
            .into_iter()
            .map(|(target, listener)| {
                let runtime = start(&path, "box", &listener);
                (target, runtime)
            })
            .unzip();
        for _ in 0..TIMES {
            thread::sleep(Duration::from_millis(30));
            // One more container comes meanwhile, to whichever of the two.
            let (target, listener) = Target::serves();
            let _runtime = start(&path, "one more", &listener);
            drop(listener);
            target.make_call(5);
            (&told).write_all(b"h").unwrap();
            let (next_process, next_told, next_taken) = next(Some(taken));
            assert_eq!(process.wait(), 0);
            (process, told, taken) = (next_process, next_told, next_taken);
            assert_eq!(target.result(), 5);
            // Which the agents have the other end of, too.
            drop(target);
        }
        let mut fewest = i64::MAX;
        for mut target in targets {
            target.channel.tell(0);
            fewest = fewest.min(target.channel.hear());
            assert_eq!(target.process.wait(), 0);
        }
        eprintln!("{TIMES} replacements, each of {TARGETS} made at least {fewest} calls");
        drop(runtimes);
        process.kill();
        let _ = std::fs::remove_file(&path);
    });
}
