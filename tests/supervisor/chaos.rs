//! Everything at random and at once: workers, handlers, targets that come and die, stops and starts.
//!
//! `UNOTIFY_TEST_CHAOS` is for how many seconds (the suite's few otherwise), and
//! `UNOTIFY_TEST_SEED` where the numbers begin; a round's seed is printed.

use crate::support::*;
use std::collections::HashSet;
use std::fs;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use unotify::*;

/// Told from what the kernel says when a listener is closed.
const FALLBACK: i32 = libc::EOWNERDEAD;

/// What a handler does, by the three lowest bits of the first argument.
const MOMENT_LONG: u64 = 3;
const SLOW: u64 = 4;
const DEFERRED: u64 = 5;
const STALLED: u64 = 6;
const VERY_SLOW: u64 = 7;

/// Numbers that look random.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % sides
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.roll(most))
    }
}

/// The kind of the next call in one of a few mixtures.
fn kind(dice: &mut Dice, mixture: u64) -> u64 {
    match mixture {
        0 => 0,
        1 => [0, MOMENT_LONG, SLOW, DEFERRED][dice.roll(4) as usize],
        2 => [MOMENT_LONG, SLOW, VERY_SLOW, DEFERRED][dice.roll(4) as usize],
        _ if dice.one_in(40) => VERY_SLOW,
        _ if dice.one_in(20) => DEFERRED,
        _ => 0,
    }
}

/// What a target tells at its end if a call returned what nobody answered.
const WRONG: i64 = i64::MIN;

/// Makes calls and counts those that were not answered by a handler: the fallback error in the lower
/// half, a closed listener in the upper one.
fn make_calls(mut dice: Dice, times: u64, withheld: Option<&Withheld>) -> i64 {
    let mixture = dice.roll(4);
    let mut unanswered = 0;
    for i in 0..times {
        let (kind, page) = match withheld {
            Some(withheld) if i == times / 2 => (STALLED, withheld.page),
            _ => (kind(&mut dice, mixture), 0),
        };
        let nr = [CALL, libc::SYS_getuid][dice.roll(2) as usize];
        let argument = (dice.roll(1 << 40) << 3) | kind;
        match call(nr, [argument, page, 0]) {
            value if value == argument as i64 => {}
            value if value == -i64::from(FALLBACK) => unanswered += 1,
            value if value == -i64::from(libc::ENOSYS) => unanswered += 1 << 32,
            value => {
                eprintln!("{argument:#x} returned {value:#x}");
                return WRONG;
            }
        }
    }
    unanswered
}

/// How many calls the threads of a target make.
#[derive(Clone, Copy)]
struct Plan {
    threads: u64,
    times: u64,
    /// One call is about a page that is withheld for so long.
    withheld: Option<Duration>,
}

fn target(dice: &Dice, plan: Plan) -> (Target, Listener) {
    let dice = dice.clone();
    Target::prepared(
        &notifying(&["getppid", "getuid"]),
        LoadFlags::empty(),
        || plan.withheld.map(|_| Withheld::new().unwrap()),
        |withheld, channel| {
            let unanswered = thread::scope(|scope| {
                if let (Some(withheld), Some(time)) = (&withheld, plan.withheld) {
                    scope.spawn(move || {
                        thread::sleep(time);
                        withheld.provide();
                    });
                }
                let threads: Vec<_> = (0..plan.threads)
                    .map(|i| {
                        let dice = Dice(dice.0 ^ (i << 50));
                        let withheld = withheld.as_ref().filter(|_| i == 0);
                        scope.spawn(move || make_calls(dice, plan.times, withheld))
                    })
                    .collect();
                threads.into_iter().fold(0, |sum, thread| {
                    let unanswered = thread.join().unwrap();
                    if sum == WRONG || unanswered == WRONG {
                        WRONG
                    } else {
                        sum + unanswered
                    }
                })
            });
            channel.tell(unanswered);
            channel.until_closed();
        },
    )
}

/// How many handlers run, and whether there ever were too many.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    too_many: AtomicBool,
    /// Whether handlers ask for notice of their targets' ends.
    watches: AtomicBool,
    /// The processes that they have asked for.
    watched: Mutex<HashSet<libc::pid_t>>,
    /// Those whose ends were told.
    ended: Mutex<Vec<libc::pid_t>>,
}

impl Crowd {
    fn enter(&self, most: usize) {
        if self.now.fetch_add(1, SeqCst) >= most {
            self.too_many.store(true, SeqCst);
        }
    }

    fn leave(&self) {
        self.now.fetch_sub(1, SeqCst);
    }
}

fn handler(
    crowd: &Arc<Crowd>,
    most: usize,
    later: &Sender<Notification>,
) -> impl Fn(&mut Notification) -> Verdict + Send + Sync + 'static {
    let crowd = Arc::clone(crowd);
    let later = Mutex::new(later.clone());
    move |n| {
        crowd.enter(most);
        let [argument, page, ..] = n.request().args;
        if crowd.watches.load(SeqCst) && (argument >> 3) % 4 == 0 {
            if let Ok(process) = n.watch_exit() {
                crowd.watched.lock().unwrap().insert(process);
            }
        }
        match argument & 7 {
            MOMENT_LONG => {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_micros(150) {
                    std::hint::spin_loop();
                }
            }
            SLOW => thread::sleep(Duration::from_millis(1)),
            VERY_SLOW => thread::sleep(Duration::from_millis(8)),
            DEFERRED => {
                later.lock().unwrap().send(n.take().unwrap()).unwrap();
                crowd.leave();
                return Verdict::Handled;
            }
            STALLED => {
                // Within this call others may run.
                crowd.leave();
                let _ = n.read(page, &mut [0]);
                crowd.enter(most);
                thread::sleep(Duration::from_micros(argument % 500));
            }
            _ => {}
        }
        let _ = n.reply_value(argument as i64);
        crowd.leave();
        Verdict::Handled
    }
}

/// Answers what handlers have put off, in the order of its own.
fn answer_later(mut dice: Dice) -> (Sender<Notification>, JoinHandle<()>) {
    let (later, deferred) = channel::<Notification>();
    let thread = thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok(n) = deferred.recv() {
            kept.push(n);
            kept.extend(deferred.try_iter());
            thread::sleep(dice.micros(500));
            while !kept.is_empty() {
                let mut n = kept.swap_remove(dice.roll(kept.len() as u64) as usize);
                let _ = n.reply_value(n.request().args[0] as i64);
            }
        }
    });
    (later, thread)
}

/// A run, on a thread of its own.
type Run = JoinHandle<Result<()>>;

static RUNNER: AtomicI32 = AtomicI32::new(0);

fn start(supervisor: &Arc<Supervisor>, in_background: bool) -> Run {
    let supervisor = Arc::clone(supervisor);
    thread::spawn(move || {
        if in_background {
            supervisor.start()?;
            return supervisor.join();
        }
        RUNNER.store(thread_id(), SeqCst);
        let result = supervisor.run();
        RUNNER.store(0, SeqCst);
        result
    })
}

/// Sends a signal to the thread that runs, if it is known.
fn signal_runner() {
    handle(libc::SIGUSR1, nothing, libc::SA_RESTART);
    let runner = RUNNER.load(SeqCst);
    if runner != 0 {
        // SAFETY: integers only; a number of a thread that has ended is nobody's in this process.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), runner, libc::SIGUSR1) };
    }
}

/// Dispatches for a while.
fn dispatch(supervisor: &Supervisor, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if polled(supervisor.as_fd(), Duration::from_millis(5)) != 0 {
            let status = status(supervisor.dispatch());
            assert!(
                matches!(status, Status::Ok | Status::Stopped | Status::Closed),
                "{status:?}"
            );
        }
    }
}

/// How many threads of the library's there are.
fn threads_of_library() -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let path = task.ok()?.path().join("comm");
        fs::read_to_string(path).ok()
    });
    names.filter(|name| name.starts_with("unotify")).count()
}

/// What became of the targets.
#[derive(Default)]
struct Tally {
    calls: u64,
    killed: bool,
    fallbacks: u64,
    closed: u64,
}

impl Tally {
    fn collect(&mut self, (target, plan): (Target, Plan)) {
        let unanswered = target.channel.hear();
        assert_ne!(unanswered, WRONG);
        self.calls += plan.threads * plan.times;
        self.fallbacks += unanswered as u64 & u64::from(u32::MAX);
        self.closed += unanswered as u64 >> 32;
        target.end();
    }
}

fn round(seed: u64, withhold: bool) {
    let mut dice = Dice(seed);
    let max_workers = 1 + dice.roll(4) as usize;
    let options = SupervisorOptions::default()
        .max_workers(max_workers)
        .fallback_error(FALLBACK)
        .keep_running(dice.one_in(2))
        .wake_up([WakeUp::Auto, WakeUp::Sync, WakeUp::Async][dice.roll(3) as usize])
        .return_on_signal(dice.one_in(4));
    let may_stop = dice.one_in(2);
    // Those of supervisors that were dropped while they were stuck sleep for good.
    let threads = threads_of_library();
    let crowd = Arc::<Crowd>::default();
    let (later, answerer) = answer_later(dice.clone());
    let supervisor = Arc::new(Supervisor::new(options).unwrap());
    for (call, flags) in [
        ("getppid", HandlerFlags::empty()),
        ("getuid", HandlerFlags::BLOCKING),
    ] {
        let handler = handler(&crowd, max_workers, &later);
        supervisor.on_with(call, flags, handler).unwrap();
    }
    drop(later);
    if dice.one_in(2) {
        crowd.watches.store(true, SeqCst);
        let crowd = Arc::clone(&crowd);
        supervisor
            .on_exit(move |process| {
                crowd.enter(max_workers);
                crowd.ended.lock().unwrap().push(process);
                thread::sleep(Duration::from_micros(process as u64 % 300));
                crowd.leave();
            })
            .unwrap();
    }

    let mut tally = Tally::default();
    let mut targets: Vec<(Target, Plan)> = Vec::new();
    let mut left = 4 + dice.roll(8);
    let mut run = Some(start(&supervisor, dice.one_in(2)));
    let stop = |run: Run| {
        supervisor.stop();
        let result = run.join().unwrap();
        let status = status(result);
        match status {
            Status::Stopped | Status::Interrupted => {}
            Status::Ok if !options.keep_running => {}
            other => panic!("{other:?}"),
        }
    };
    while left > 0 || !targets.is_empty() {
        if run.as_ref().is_none_or(JoinHandle::is_finished) {
            match run.take().map(|r| status(r.join().unwrap())) {
                None | Some(Status::Stopped) => {}
                Some(Status::Ok) => assert!(!options.keep_running),
                Some(Status::Interrupted) => assert!(options.return_on_signal),
                Some(other) => panic!("{other:?}"),
            }
            run = Some(start(&supervisor, dice.one_in(2)));
        }
        match dice.roll(16) {
            0..=5 if left > 0 && targets.len() < 6 => {
                left -= 1;
                let plan = Plan {
                    threads: 1 + dice.roll(3),
                    times: 1 + dice.roll(60),
                    withheld: (withhold && dice.one_in(4)).then(|| dice.micros(200_000)),
                };
                let (target, listener) = target(&dice, plan);
                supervisor.add_listener(listener, 0).unwrap();
                targets.push((target, plan));
            }
            6 if !targets.is_empty() && dice.one_in(8) => {
                let (mut target, _) = targets.swap_remove(dice.roll(targets.len() as u64) as usize);
                target.process.kill();
                tally.killed = true;
            }
            7 if may_stop => {
                run.take().into_iter().for_each(stop);
                if dice.one_in(2) {
                    dispatch(&supervisor, dice.micros(30_000));
                }
            }
            8 => signal_runner(),
            _ => {
                let done = |(t, _): &(Target, Plan)| t.channel.said_something();
                if let Some(i) = targets.iter().position(done) {
                    tally.collect(targets.swap_remove(i));
                }
                thread::sleep(dice.micros(4_000));
            }
        }
    }
    run.take().into_iter().for_each(stop);
    soon(|| supervisor.stats().workers == 0);
    soon(|| supervisor.stats().deferred_outstanding == 0);
    // What has ended since the last run.
    let _ = supervisor.dispatch();
    let mut ended = std::mem::take(&mut *crowd.ended.lock().unwrap());
    ended.sort_unstable();
    let mut watched: Vec<_> = crowd.watched.lock().unwrap().drain().collect();
    watched.sort_unstable();
    assert_eq!(ended, watched);
    assert!(!crowd.too_many.load(SeqCst), "handlers overlapped");
    assert_eq!(crowd.now.load(SeqCst), 0);
    assert_eq!(tally.closed, 0);

    let stats = supervisor.stats();
    let settled =
        stats.values + stats.errors + stats.continued + stats.fds + stats.fallbacks + stats.gone;
    assert_eq!(stats.received, settled, "{stats:?}");
    assert_eq!((stats.panics, stats.workers_stuck), (0, 0), "{stats:?}");
    if !tally.killed {
        assert_eq!(stats.received, tally.calls, "{stats:?}");
        assert_eq!(stats.fallbacks, tally.fallbacks, "{stats:?}");
    }
    if !may_stop && !options.return_on_signal {
        assert_eq!(tally.fallbacks, 0, "{stats:?}");
    }
    drop(supervisor);
    soon(|| threads_of_library() <= threads);
    answerer.join().unwrap();
}

/// A supervisor that is dropped in the midst of it leaves no target waiting.
fn round_cut_short(seed: u64, withhold: bool) {
    let mut dice = Dice(seed);
    let max_workers = 1 + dice.roll(4) as usize;
    let options = SupervisorOptions::default()
        .max_workers(max_workers)
        .fallback_error(FALLBACK);
    let crowd = Arc::<Crowd>::default();
    let (later, answerer) = answer_later(dice.clone());
    let supervisor = Supervisor::new(options).unwrap();
    for (call, flags) in [
        ("getppid", HandlerFlags::empty()),
        ("getuid", HandlerFlags::BLOCKING),
    ] {
        let handler = handler(&crowd, max_workers, &later);
        supervisor.on_with(call, flags, handler).unwrap();
    }
    drop(later);
    let targets: Vec<_> = (0..1 + dice.roll(4))
        .map(|_| {
            let plan = Plan {
                threads: 1 + dice.roll(3),
                times: 1 + dice.roll(60),
                withheld: (withhold && dice.one_in(2)).then(|| dice.micros(200_000)),
            };
            let (target, listener) = target(&dice, plan);
            supervisor.add_listener(listener, 0).unwrap();
            (target, plan)
        })
        .collect();
    supervisor.start().unwrap();
    thread::sleep(dice.micros(200_000));
    drop(supervisor);
    // Whoever is in a handler now is so for good.
    assert!(!crowd.too_many.load(SeqCst), "handlers overlapped");
    let mut tally = Tally::default();
    targets.into_iter().for_each(|t| tally.collect(t));
    drop(answerer);
}

fn rounds(time: Duration, mut seed: u64) {
    let withhold = may_withhold() && PAGE == 4096;
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < time {
        println!("seed {seed}");
        watched(|| round(seed, withhold));
        if seed % 4 == 0 {
            watched(|| round_cut_short(seed, withhold));
        }
        seed += 1;
        rounds += 1;
    }
    println!("{rounds} rounds");
}

#[test]
fn nobody_is_forgotten_whatever_happens_at_once() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let seed = number("UNOTIFY_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 16);
    match number("UNOTIFY_TEST_CHAOS") {
        Some(seconds) => rounds(Duration::from_secs(seconds), seed),
        None => alone(|| rounds(briefly(Duration::from_secs(4)), seed)),
    }
}

/// Several receive from one listener, and are interrupted all the time.
#[test]
fn interrupted_receivers_lose_nothing_and_nobody() {
    watched(|| {
        let seconds = std::env::var("UNOTIFY_TEST_CHAOS").map_or(1, |n| n.parse().unwrap());
        let time = Duration::from_secs(std::cmp::min(seconds, 15));
        let begun = Instant::now();
        let (target, listener) = Target::start(|channel| {
            let wrong = thread::scope(|scope| {
                let threads: Vec<_> = (0..3u64)
                    .map(|i| {
                        scope.spawn(move || {
                            let mut wrong = 0;
                            let mut n = 0;
                            while begun.elapsed() < time {
                                n += 1;
                                wrong += i64::from(
                                    call(CALL, [(i << 40) | n, 0, 0]) as u64 != (i << 40) | n,
                                );
                            }
                            wrong
                        })
                    })
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).sum()
            });
            channel.tell(wrong);
        });
        let over = AtomicBool::new(false);
        let stops = AtomicU64::new(0);
        thread::scope(|scope| {
            for i in 0..3u64 {
                let (listener, over, stops) = (&listener, &over, &stops);
                scope.spawn(move || {
                    let mut dice = Dice(i);
                    loop {
                        let limit = dice.one_in(2).then(|| dice.micros(3_000));
                        let received = match limit {
                            Some(limit) => listener.receive_timeout(limit),
                            None => listener.receive(),
                        };
                        match received {
                            Ok(mut n) => {
                                let argument = n.request().args[0] as i64;
                                n.reply_value(argument).unwrap();
                            }
                            Err(error) if error.status() == Status::Closed => break,
                            Err(error) if error.status() == Status::Timeout => {}
                            Err(error) => {
                                assert_eq!(error.status(), Status::Stopped);
                                stops.fetch_add(1, SeqCst);
                                thread::sleep(dice.micros(200));
                            }
                        }
                        if over.load(SeqCst) {
                            break;
                        }
                    }
                });
            }
            let mut dice = Dice(99);
            while !target.channel.said_something() {
                listener.set_interrupted(true);
                thread::sleep(dice.micros(300));
                listener.set_interrupted(false);
                thread::sleep(dice.micros(2_000));
            }
            over.store(true, SeqCst);
            listener.set_interrupted(true);
        });
        assert_eq!(target.result(), 0);
        assert!(stops.load(SeqCst) > 0);
    });
}
