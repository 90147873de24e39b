//! A supervisor in a runtime whose readiness is told once for each change, as tokio's is.

use crate::support::*;
use std::io;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::runtime;
use unotify::*;

/// Serves until the last listener has closed; how many notifications there were.
async fn serve(supervisor: Supervisor) -> io::Result<usize> {
    // SAFETY: a supervisor has the same descriptor until it is dropped.
    let supervisor = unsafe { AsyncFd::register(supervisor) }?;
    let mut handled = 0;
    loop {
        let mut ready = supervisor.readable().await?;
        loop {
            match supervisor.get_ref().dispatch() {
                Ok(0) => break,
                Ok(n) => handled += n,
                Err(error) => {
                    assert_eq!(error.status(), Status::Closed, "{error}");
                    return Ok(handled);
                }
            }
        }
        ready.clear_ready();
    }
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap()
}

#[test]
fn it_serves_several_targets_to_their_end() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let targets: Vec<_> = (0..4)
            .map(|_| {
                let (target, listener) = Target::start(|_| {
                    for i in 0..200 {
                        assert_eq!(call(CALL, [i, 0, 0]), i as i64);
                    }
                });
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        assert_eq!(runtime().block_on(serve(supervisor)).unwrap(), 800);
        targets.into_iter().for_each(Target::end);
    });
}

#[test]
fn more_at_once_than_a_dispatch_handles_is_handled_too() {
    watched(|| {
        const TARGETS: usize = 100;
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let targets: Vec<_> = (0..TARGETS)
            .map(|i| {
                let (target, listener) = Target::calls_once(i as u64);
                supervisor.add_listener(listener, 0).unwrap();
                target
            })
            .collect();
        targets.iter().for_each(Target::until_waiting);
        assert_eq!(runtime().block_on(serve(supervisor)).unwrap(), TARGETS);
        for (i, target) in targets.into_iter().enumerate() {
            assert_eq!(target.result(), i as i64);
            target.end();
        }
    });
}

#[test]
fn it_takes_turns_with_what_else_the_runtime_does() {
    watched(|| {
        let supervisor = supervisor(SupervisorOptions::default(), echo);
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let talker = std::thread::spawn(move || {
            for i in 0..20 {
                target.make_call(i);
                assert_eq!(target.result(), i);
                io::Write::write_all(&mut &theirs, b"x").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            target.end();
        });
        let heard = runtime().block_on(async {
            ours.set_nonblocking(true).unwrap();
            let ours = UnixStream::from_std(ours).unwrap();
            let serving = tokio::spawn(serve(supervisor));
            let mut heard = 0;
            while heard < 20 {
                ours.readable().await.unwrap();
                match ours.try_read(&mut [0; 32]) {
                    Ok(0) => break,
                    Ok(n) => heard += n,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            assert_eq!(serving.await.unwrap().unwrap(), 20);
            heard
        });
        assert_eq!(heard, 20);
        talker.join().unwrap();
    });
}

#[test]
fn the_end_of_a_process_wakes_it() {
    watched(|| {
        let options = SupervisorOptions::default().keep_running(true);
        let supervisor = supervisor(options, |n| {
            n.watch_exit().unwrap();
            echo(n)
        });
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        supervisor
            .on_exit(move |process| tell.lock().unwrap().send(process).unwrap())
            .unwrap();
        let (target, listener) = Target::serves();
        supervisor.add_listener(listener, 0).unwrap();
        let pid = target.process.pid;
        target.make_call(1);
        let told = runtime().block_on(async {
            // SAFETY: a supervisor has the same descriptor until it is dropped.
            let supervisor = unsafe { AsyncFd::register(supervisor) }.unwrap();
            loop {
                let mut ready = supervisor.readable().await.unwrap();
                while supervisor.get_ref().dispatch().unwrap() > 0 {
                    assert_eq!(target.result(), 1);
                    target.process.signal(libc::SIGKILL);
                }
                if let Ok(process) = told.try_recv() {
                    return process;
                }
                ready.clear_ready();
            }
        });
        assert_eq!(told, pid);
    });
}
