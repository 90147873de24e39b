//! Peer: `greenhook`, which starts the command of its arguments under a filter of its own.

use greenhook::Supervisor;
use libseccomp03::ScmpSyscall;
use std::process::Command;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next().expect("a command"));
    command.args(arguments);

    let mut supervisor = Supervisor::new(1).expect("a supervisor");
    let getppid = ScmpSyscall::from_name("getppid").expect("a system call");
    supervisor.insert_handler(getppid, |request| request.return_syscall(1));
    let (mut child, thread, pool) = supervisor.exec(&mut command).expect("a child");
    let status = Supervisor::wait(&mut child, thread, pool).expect("an exit status");
    std::process::exit(status.code().unwrap_or(1));
}
