//! unotify-agent: serves the containers that runc, crun and youki start, by a policy.

mod args;
mod check;
mod decide;
mod errno;
mod lend;
mod log;
mod policy;
mod serve;
mod signals;
mod systemd;
mod tmpfs;
mod upgrade;

use args::{Args, USAGE};
use std::process::ExitCode;

/// 0 at the end that was asked for, 1 when something fails, 2 for a command line that is none.
fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprint!("unotify-agent: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if args.version {
        println!("unotify-agent of libunotify {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if args.check {
        return if check::check(&args) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    if args.policy.is_none() {
        eprint!("unotify-agent: --policy is missing\n{USAGE}");
        return ExitCode::from(2);
    }
    match serve::serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("unotify-agent: {why}");
            ExitCode::FAILURE
        }
    }
}
