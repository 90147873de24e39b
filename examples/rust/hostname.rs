//! Runs `uname -n` in a world whose `uname` is refused, and shows what it makes of that: the
//! supervisor answers one call with an error and lets the others go on.
//!
//!     cargo run --example hostname

use unotify::{
    ScmpAction, ScmpFilterContext, ScmpSyscall, Spawn, Supervisor, SupervisorOptions, Verdict,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    for name in ["uname", "openat"] {
        filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name(name)?)?;
    }

    let supervisor = Supervisor::new(SupervisorOptions::default())?;
    supervisor.on("uname", |notification| {
        println!("{} asks for its host: refused", notification.request().pid);
        // Fails only if the target is gone, and then nobody waits for the answer.
        let _ = notification.reply_error(1);
        Verdict::Handled
    })?;
    supervisor.on_default(|notification| {
        let _ = notification.reply_continue();
        Verdict::Handled
    })?;

    let mut child = Spawn::new(&filter, "uname").arg("-n").spawn()?;
    let listener = child.take_listener().ok_or("the listener was taken")?;
    supervisor.add_listener(listener, 0)?;
    supervisor.run()?; // until the last target has ended
    println!("{}, after {:?}", child.wait()?, supervisor.stats());
    Ok(())
}
