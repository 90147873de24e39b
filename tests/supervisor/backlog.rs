//! What is received while handlers have no time for it.

use crate::support::*;
use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

/// Holds as many handlers as there are workers, and looks whether other calls are received.
fn calls_are_received_while_all_handlers_are_held(max_workers: usize, flags: HandlerFlags) {
    const OTHERS: usize = 5;
    let (enter, entered) = channel();
    let (let_go, go) = channel::<()>();
    let go = Mutex::new(go);
    let supervisor = Supervisor::new(workers(max_workers)).unwrap();
    supervisor
        .on_with("getppid", flags, move |n| {
            enter.send(()).unwrap();
            go.lock().unwrap().recv().unwrap();
            echo(n)
        })
        .unwrap();
    let targets: Vec<_> = (0..max_workers + OTHERS)
        .map(|_| {
            let (target, listener) = Target::serves();
            supervisor.add_listener(listener, 0).unwrap();
            target
        })
        .collect();
    supervisor.start().unwrap();
    for (i, target) in targets.iter().enumerate() {
        target.make_call(i as i64);
    }
    (0..max_workers).for_each(|_| entered.recv().unwrap());
    soon(|| supervisor.stats().received == targets.len() as u64);
    // None of them is handled before its time.
    thread::sleep(MOMENT);
    assert!(entered.try_recv().is_err());
    (0..targets.len()).for_each(|_| let_go.send(()).unwrap());
    for (i, target) in targets.into_iter().enumerate() {
        assert_eq!(target.result(), i as i64);
        target.end();
    }
    supervisor.join().unwrap();
    assert_eq!(supervisor.stats().values, (max_workers + OTHERS) as u64);
}

#[test]
fn one_worker_goes_on_receiving_while_its_handler_runs() {
    watched(|| calls_are_received_while_all_handlers_are_held(1, HandlerFlags::empty()));
    watched(|| calls_are_received_while_all_handlers_are_held(1, HandlerFlags::BLOCKING));
}

#[test]
fn several_workers_go_on_receiving_while_their_handlers_run() {
    watched(|| calls_are_received_while_all_handlers_are_held(3, HandlerFlags::BLOCKING));
}

/// Lets several targets make calls, with handlers that take turns in being fast and slow. The
/// threads that handlers ran on.
fn threads_of_handlers(supervisor: &Supervisor, run: impl FnOnce()) -> usize {
    let threads: Arc<Mutex<HashSet<thread::ThreadId>>> = Arc::default();
    let seen = Arc::clone(&threads);
    let overlapping = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    supervisor
        .on("getppid", move |n| {
            assert!(!overlapping.swap(true, SeqCst));
            seen.lock().unwrap().insert(thread::current().id());
            // Slow for a while, then fast for a while.
            if calls.fetch_add(1, SeqCst) / 50 % 2 == 1 {
                thread::sleep(Duration::from_micros(300));
            }
            overlapping.store(false, SeqCst);
            echo(n)
        })
        .unwrap();
    let targets: Vec<_> = (0..3)
        .map(|_| {
            let (target, listener) = Target::repeats();
            supervisor.add_listener(listener, 0).unwrap();
            target.channel.tell(200);
            target
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for target in targets {
                assert_eq!(target.result(), 200);
                target.end();
            }
        });
        run();
    });
    let threads = threads.lock().unwrap();
    if supervisor.stats().panics > 0 {
        panic!("handlers overlapped");
    }
    assert_eq!(supervisor.stats().values, 600);
    threads.len()
}

#[test]
fn with_one_worker_all_handlers_run_on_the_thread_that_called_run() {
    watched(|| {
        let supervisor = Supervisor::new(workers(1)).unwrap();
        let threads = threads_of_handlers(&supervisor, || supervisor.run().unwrap());
        assert_eq!(threads, 1);
    });
}

#[test]
fn with_one_worker_all_handlers_run_on_one_thread_in_the_background() {
    watched(|| {
        let supervisor = Supervisor::new(workers(1)).unwrap();
        let threads = threads_of_handlers(&supervisor, || {
            supervisor.start().unwrap();
            supervisor.join().unwrap();
        });
        assert_eq!(threads, 1);
    });
}

#[test]
fn what_waits_for_a_handler_is_answered_when_the_run_is_stopped() {
    watched(|| {
        const TARGETS: i64 = 10;
        let supervisor = supervisor(workers(1), |n| {
            thread::sleep(Duration::from_millis(15));
            echo(n)
        });
        let targets: Vec<_> = (0..TARGETS)
            .map(|_| {
                let (target, listener) = Target::serves();
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        supervisor.start().unwrap();
        for (i, target) in targets.iter().enumerate() {
            target.make_call(i as i64);
        }
        soon(|| supervisor.stats().received == TARGETS as u64);
        supervisor.stop();
        assert_eq!(status(supervisor.join()), Status::Stopped);
        let mut handled = 0;
        for (i, target) in targets.iter().enumerate() {
            match target.result() {
                value if value == i as i64 => handled += 1,
                other => assert_eq!(other, -i64::from(libc::ENOSYS)),
            }
        }
        let stats = supervisor.stats();
        // The handler at work, those for which there was time, and not all.
        assert!((1..TARGETS as u64).contains(&handled));
        assert_eq!(
            (stats.values, stats.fallbacks),
            (handled, TARGETS as u64 - handled)
        );
    });
}

/// How many pipelines of a shell hang under one worker whose handler takes so long. A call that a
/// signal interrupts before it was received fails, and `dash` does not try again.
fn hanging_pipelines(handler: Duration, times: u32) -> u32 {
    let supervisor = Supervisor::new(workers(1)).unwrap();
    supervisor
        .on_default(move |n| {
            let begun = Instant::now();
            while begun.elapsed() < handler {
                std::hint::spin_loop();
            }
            n.reply_continue().ok();
            Verdict::Handled
        })
        .unwrap();
    let filter = notifying(&["close", "clone", "vfork"]);
    let script = "x=$(echo 1 | cat | cat); y=$(echo 2 | cat); [ $x$y = 12 ]";
    let mut children = Vec::new();
    supervisor_runs(&supervisor, || {
        for _ in 0..times {
            let mut child = Spawn::new(&filter, "sh")
                .args(["-c", script])
                .stdout(Stdio::Null)
                .stderr(Stdio::Null)
                .kill_on_parent_death(true)
                .spawn()
                .unwrap();
            let listener = child.take_listener().unwrap();
            supervisor.add_listener(listener, 0).unwrap();
            children.push(child);
            if children.len() % 4 == 0 {
                wait_for(&children[children.len() - 4..]);
            }
        }
        wait_for(&children);
    });
    let hanging: Vec<_> = children
        .iter()
        .filter(|c| !matches!(c.try_wait(), Ok(Some(_))))
        .collect();
    hanging.iter().for_each(|c| c.kill(libc::SIGKILL).unwrap());
    children.iter().for_each(|c| drop(c.wait()));
    hanging.len() as u32
}

fn supervisor_runs(supervisor: &Supervisor, while_it_runs: impl FnOnce()) {
    // A first listener that stays, so that the run goes on.
    let (target, listener) = Target::serves();
    supervisor.add_listener(listener, 0).unwrap();
    supervisor.start().unwrap();
    while_it_runs();
    supervisor.stop();
    assert_eq!(status(supervisor.join()), Status::Stopped);
    drop(target);
}

fn wait_for(children: &[Child]) {
    let begun = Instant::now();
    let ended = |c: &Child| matches!(c.try_wait(), Ok(Some(_)));
    while !children.iter().all(ended) && begun.elapsed() < slowed(Duration::from_secs(3)) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn pipelines_of_a_shell_do_not_hang_behind_a_slow_handler() {
    if !Command::new("sh")
        .args(["-c", "exit 0"])
        .status()
        .is_ok_and(|s| s.success())
    {
        return println!("skipped: no sh");
    }
    // As many as one likes, for once.
    let times = std::env::var("UNOTIFY_TEST_PIPELINES").map_or(fewer(24), |n| n.parse().unwrap());
    for micros in [300, 1000] {
        let handler = Duration::from_micros(micros);
        let hanging = hanging_pipelines(handler, times);
        // On a machine with other things to do, the thread that receives may come too late for once. With
        // nobody who receives meanwhile, one of four hangs.
        assert!(
            hanging <= times / 12,
            "{hanging} with a handler of {handler:?}"
        );
    }
}
