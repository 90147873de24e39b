//! The agent at work: from its socket to its end, or to the next one's beginning.

use crate::args::Args;
use crate::decide::Decider;
use crate::log::Log;
use crate::policy::Policy;
use crate::signals::Signals;
use crate::systemd;
use crate::upgrade::{self, Control};
use serde_json::json;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use unotify::{Agent, AgentOptions, Container, Supervisor, SupervisorOptions};

/// Why serving was interrupted.
enum Next {
    End(i32),
    HandOver(UnixStream),
}

type Interruption = Arc<Mutex<Option<Next>>>;

/// Serves until a signal says not to, or a new agent takes over.
pub(crate) fn serve(args: &Args) -> Result<(), String> {
    let signals = Signals::block();
    // What is made here is nobody else's; what is made for containers has their umask.
    // SAFETY: an integer.
    unsafe { libc::umask(0o077) };
    let log = Log::new(args.log.clone()).map_err(|error| format!("the log: {error}"))?;
    let log = Arc::new(log);
    let path = args.policy.clone().ok_or("--policy is missing")?;
    let decider = Arc::new(Decider::new(Policy::load(&path)?, Arc::clone(&log)));
    let supervisor = supervisor(&decider).map_err(|error| error.to_string())?;

    let agent = Arc::new(open(args, &log)?);
    let control = args.control().map(|path| {
        Control::bind(&path)
            .map(Arc::new)
            .map_err(|error| format!("{}: {error}", path.display()))
    });
    let control = control.transpose()?;
    let next = Interruption::default();
    {
        let (agent, next, decider) = (Arc::downgrade(&agent), next.clone(), decider.clone());
        let listen = move || loop {
            match signals.next() {
                libc::SIGHUP => reload(&decider, &path),
                libc::SIGUSR2 => upgrade(&decider.log),
                signal => interrupt(&agent, &next, Next::End(signal)),
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(listen)
            .map_err(|error| error.to_string())?;
    }
    if let Some(control) = control.clone() {
        let (agent, next, log) = (Arc::downgrade(&agent), next.clone(), log.clone());
        let listen = move || loop {
            let socket = control.accept(|why| log.note("refused", why));
            interrupt(&agent, &next, Next::HandOver(socket));
        };
        thread::Builder::new()
            .name("control".into())
            .spawn(listen)
            .map_err(|error| error.to_string())?;
    }
    let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    log.line("started", json!({ "version": version, "pid": pid }));
    systemd::ready();

    let names = Arc::new(Mutex::new((0, HashMap::new())));
    told_of_ends(&supervisor, &log, &names).map_err(|error| error.to_string())?;
    loop {
        let served = agent.serve(&supervisor, |container| {
            Some(welcome(&container, &log, &names))
        });
        served.map_err(|error| format!("serve: {error}"))?;
        let taken = next.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            None => {}
            Some(Next::End(signal)) => {
                systemd::tell("STOPPING=1\n");
                if let Some(control) = control {
                    control.remove();
                }
                log.note("ended", format!("signal {signal}"));
                return Ok(());
            }
            Some(Next::HandOver(socket)) => {
                match agent.hand_over(Some(&supervisor), socket.as_fd()) {
                    Ok(()) => {
                        // The handlers have returned, and none defers; stuck workers were waited for,
                        // as long as the time limit: what a target withholds for longer is its own.
                        log.note("handed over", "a new agent serves");
                        return Ok(());
                    }
                    Err(error) => log.note("not handed over", error),
                }
            }
        }
    }
}

fn supervisor(decider: &Arc<Decider>) -> unotify::Result<Supervisor> {
    let options = SupervisorOptions::default()
        .keep_running(true)
        .max_workers(8)
        .fallback_error(libc::EPERM);
    let supervisor = Supervisor::new(options)?;
    decider.attach(&supervisor)?;
    Ok(supervisor)
}

/// The agent: another one's, systemd's socket, or a new one.
fn open(args: &Args, log: &Arc<Log>) -> Result<Agent, String> {
    let refused = Arc::clone(log);
    let options = AgentOptions::default().log(move |why| refused.note("refused", why));
    if args.upgrade {
        let path = args.control().ok_or("--upgrade: of which --socket?")?;
        let asked = upgrade::ask(&path);
        if let Some(socket) = asked.map_err(|error| format!("{}: {error}", path.display()))? {
            let agent = Agent::take_over(socket.as_fd(), options);
            return agent.map_err(|error| format!("take over: {error}"));
        }
    }
    let passed = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let agent = match &args.socket {
        _ if passed => Agent::from_environment(options),
        Some(path) => Agent::bind(path, options),
        None => return Err("--socket is missing, and systemd has passed none".into()),
    };
    agent.map_err(|error| format!("the socket: {error}"))
}

/// One interruption at a time: an end is not forgotten for an upgrade.
fn interrupt(agent: &Weak<Agent>, next: &Interruption, why: Next) {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(*next, Some(Next::End(_))) {
        *next = Some(why);
    }
    // The threads that wait for this go on for ever: they must not keep the agent, nor its socket. While it
    // is held here, `next` is too, and who serves looks there before it ends.
    if let Some(agent) = agent.upgrade() {
        agent.interrupt();
    }
}

/// The new policy counts from here on; if it is wrong, the old one goes on.
fn reload(decider: &Decider, path: &Path) {
    systemd::reloading();
    if let Err(error) = decider.log.reopen() {
        decider.log.note("the log stays where it was", error);
    }
    match Policy::load(path) {
        Ok(policy) => {
            decider.set_policy(policy);
            decider.log.note("reloaded", path.display());
        }
        Err(error) => decider.log.note("the old policy stays", error),
    }
    systemd::ready();
}

/// Starts a new agent, which asks for everything. If it does not come to that, this one goes on.
fn upgrade(log: &Arc<Log>) {
    let log = Arc::clone(log);
    let wait = move || match upgrade::start_successor().and_then(|mut new| new.wait()) {
        Ok(status) => log.note("the new agent has ended", status),
        Err(error) => log.note("no new agent", error),
    };
    // Without a thread there is no new agent either.
    let _ = thread::Builder::new().name("successor".into()).spawn(wait);
}

type Names = Arc<Mutex<(usize, HashMap<usize, String>)>>;

/// Logs a container that has come, and gives it a number.
fn welcome(container: &Container, log: &Log, names: &Names) -> usize {
    log.line(
        "container",
        json!({
            "id": container.id(), "metadata": container.metadata(), "pid": container.pid(),
            "bundle": container.bundle(), "handed_over": container.was_handed_over(),
        }),
    );
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    names.0 += 1;
    let number = names.0;
    names.1.insert(number, container.id().to_owned());
    number
}

/// Logs those that leave.
fn told_of_ends(supervisor: &Supervisor, log: &Arc<Log>, names: &Names) -> unotify::Result<()> {
    let (log, names) = (Arc::clone(log), Arc::clone(names));
    supervisor.on_close(move |number| {
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = names.1.remove(&number) {
            log.line("left", json!({ "id": id }));
        }
    })
}
