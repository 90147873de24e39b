//! One agent and one supervisor that serve all containers.

use crate::runtime::*;
use crate::support::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use unotify::*;

fn keeps_running() -> SupervisorOptions {
    SupervisorOptions::default().keep_running(true)
}

/// Serves containers during `body`, on a thread.
fn while_served<T>(
    agent: &Agent,
    supervisor: &Supervisor,
    on_container: impl FnMut(Container) -> Option<usize> + Send,
    body: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let serving = scope.spawn(|| agent.serve(supervisor, on_container));
        let result = body();
        agent.interrupt();
        serving.join().unwrap().unwrap();
        result
    })
}

#[test]
fn a_handler_sees_which_container_a_call_comes_from() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), |call| {
            let container = Container::of(call).unwrap();
            assert_eq!(container.id().len(), call.tag());
            let _ = call.reply_value(container.id().len() as i64);
            Verdict::Handled
        });
        let by_length = |container: Container| Some(container.id().len());
        while_served(&agent, &supervisor, by_length, || {
            let all: Vec<_> = ["a", "bb", "ccc"]
                .into_iter()
                .map(|id| {
                    let (target, listener) = Target::serves();
                    (target, start(&directory.path(), id, &listener))
                })
                .collect();
            for _ in 0..3 {
                for (at, (target, _)) in all.iter().enumerate() {
                    target.make_call(0);
                    assert_eq!(target.result(), at as i64 + 1);
                }
            }
        });
    });
}

#[test]
fn the_tag_is_given_back_when_the_container_has_ended() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        let back = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&back);
        supervisor
            .on_close(move |tag| told.lock().unwrap().push(tag))
            .unwrap();
        while_served(
            &agent,
            &supervisor,
            |c| c.id().parse().ok(),
            || {
                for id in 1..4 {
                    let (target, listener) = Target::serves();
                    let _runtime = start(&directory.path(), &id.to_string(), &listener);
                    drop(listener);
                    target.make_call(5);
                    assert_eq!(target.result(), 5);
                    target.end();
                    soon(|| back.lock().unwrap().last() == Some(&id));
                }
            },
        );
    });
}

#[test]
fn a_container_that_is_not_wanted_is_let_go_of() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        while_served(
            &agent,
            &supervisor,
            |_| None,
            || {
                let (target, listener) = Target::serves();
                target.make_call(5);
                target.until_waiting();
                let _runtime = start(&directory.path(), "box", &listener);
                drop(listener);
                assert_eq!(target.result(), -i64::from(libc::ENOSYS));
            },
        );
    });
}

#[test]
fn what_is_pending_at_its_end_waits_for_the_next_time() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        let (target, listener) = Target::serves();
        while_served(
            &agent,
            &supervisor,
            |_| Some(1),
            || {
                let _runtime = start(&directory.path(), "box", &listener);
                target.make_call(5);
                assert_eq!(target.result(), 5);
            },
        );
        drop(listener);
        target.make_call(6);
        target.until_waiting();
        thread::sleep(MOMENT);
        assert!(!target.channel.said_something());
        while_served(
            &agent,
            &supervisor,
            |_| Some(1),
            || {
                assert_eq!(target.result(), 6);
            },
        );
    });
}

#[test]
fn it_ends_when_a_handler_fails_or_the_supervisor_is_stopped() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = Arc::new(supervisor(keeps_running(), |call| {
            let _ = call.reply_value(0);
            Verdict::Failed
        }));
        let (target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        target.make_call(0);
        target.until_waiting();
        let served = agent.serve(&supervisor, |_| Some(0));
        assert_eq!(status(served), Status::Handler);
        let other = Arc::clone(&supervisor);
        let _second = start(&directory.path(), "box", &listener);
        let stopped = agent.serve(&supervisor, move |_| {
            other.stop();
            None
        });
        assert_eq!(status(stopped), Status::Stopped);
    });
}

#[test]
fn a_supervisor_that_would_end_or_runs_already_is_refused() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let ends = supervisor(SupervisorOptions::default(), echo);
        let served = agent.serve(&ends, |_| None);
        assert_eq!(status(served), Status::InvalidArgument);
        let runs = supervisor(keeps_running(), echo);
        runs.start().unwrap();
        let served = agent.serve(&runs, |_| None);
        assert_eq!(status(served), Status::InvalidArgument);
        runs.stop();
        assert_eq!(status(runs.join()), Status::Stopped);
    });
}

#[test]
fn a_function_that_panics_ends_it() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running(), echo);
        let (_target, listener) = Target::serves();
        let _runtime = start(&directory.path(), "box", &listener);
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            agent.serve(&supervisor, |_| panic!("as it should"))
        }));
        assert!(served.is_err());
    });
}

#[test]
fn many_containers_come_and_go_beside_each_other() {
    watched(|| {
        let directory = Directory::new();
        let agent = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let supervisor = supervisor(keeps_running().max_workers(2), echo);
        let (come, gone) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let left = Arc::clone(&gone);
        supervisor
            .on_close(move |_| {
                left.fetch_add(1, SeqCst);
            })
            .unwrap();
        let on_container = |_: Container| Some(come.fetch_add(1, SeqCst));
        while_served(&agent, &supervisor, on_container, || {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..25 {
                            let (target, listener) = Target::serves();
                            let _runtime = start(&directory.path(), "box", &listener);
                            drop(listener);
                            for arg in 0..20 {
                                target.make_call(arg);
                                assert_eq!(target.result(), arg);
                            }
                            target.end();
                        }
                    });
                }
            });
            soon(|| gone.load(SeqCst) == 100);
        });
        assert_eq!(come.into_inner(), 100);
    });
}
