//! A child that believes that its parent is process 1234.

use unotify::scmp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use unotify::Spawn;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("getppid")?)?;
    let mut child = Spawn::new(&filter, "sh").args(["-c", "test $PPID = 1234"]).spawn()?;
    let listener = child.take_listener().ok_or("it has no listener")?;
    for call in listener.incoming() {
        call?.reply_value(1234)?;
    }
    assert!(child.wait()?.success());
    Ok(())
}
