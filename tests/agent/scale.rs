//! Many containers.

use crate::runtime::*;
use crate::support::*;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};
use unotify::*;

const MANY: usize = 1000;

/// The memory that this process has, in bytes.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse::<usize>().unwrap() * 1024
}

/// Lets this process have as many descriptors as it may.
fn raise_limit() -> bool {
    // SAFETY: the structure is ours.
    unsafe {
        let mut limit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur as usize > 3 * MANY
    }
}

#[test]
fn a_thousand_idle_containers_take_little_memory_and_are_handed_over_quickly() {
    alone(|| {
        if !raise_limit() {
            return skip("takes 3,000 descriptors");
        }
        let directory = Directory::new();
        let old = Agent::bind(directory.path(), AgentOptions::default()).unwrap();
        let options = SupervisorOptions::default().keep_running(true);
        let supervisor = supervisor(options, echo);
        let (target, listener) = Target::serves();
        let take = |agent: &Agent, supervisor: &Supervisor, count| {
            for _ in 0..count {
                let container = accept(agent);
                let listener = container.take_listener().unwrap();
                supervisor.add_listener(listener, 1).unwrap();
            }
        };
        let start = |count| {
            for _ in 0..count {
                start(&directory.path(), "a-name-as-long-as-they-are", &listener);
            }
        };
        start(10);
        take(&old, &supervisor, 10);
        let before = memory();
        for _ in 0..MANY / 100 {
            start(100);
            take(&old, &supervisor, 100);
        }
        let each = memory().saturating_sub(before) / MANY;
        assert!(each < 8192, "{each} bytes each");

        let (ours, theirs) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        let new = thread::scope(|scope| {
            let taking = scope.spawn(|| Agent::take_over(theirs.as_fd(), AgentOptions::default()));
            old.hand_over(Some(&supervisor), ours.as_fd()).unwrap();
            taking.join().unwrap().unwrap()
        });
        let took = begun.elapsed();
        eprintln!("{each} bytes each; {MANY} were handed over in {took:?}");
        assert!(took < slowed(Duration::from_secs(10)));
        for _ in 0..MANY + 9 {
            drop(accept(&new));
        }
        let last = accept(&new).take_listener().unwrap();
        drop(listener);
        check_served(&target, &last);
    });
}
