//! Which program is executed and with what, and what happens when it cannot be.

use crate::support::*;
use std::os::unix::process::ExitStatusExt;
use unotify::*;

/// Why it cannot be started, told by `spawn` itself.
fn refusal(filter: &ScmpFilterContext, file: impl AsRef<std::ffi::OsStr>) -> Error {
    Spawn::new(filter, file).spawn().unwrap_err()
}

#[test]
fn a_program_runs_and_its_calls_are_notified() {
    watched(|| {
        let mut child = Spawn::new(&notifying(&["uname"]), "uname").spawn().unwrap();
        let listener = child.take_listener().unwrap();
        let mut notification = listener.receive().unwrap();
        assert_eq!(i64::from(notification.request().syscall), libc::SYS_uname);
        assert_eq!(notification.request().pid, child.pid());
        notification.reply_error(libc::EPERM).unwrap();
        assert_eq!(continue_all(&listener), [0i64; 0]);
        assert_eq!(child.wait().unwrap().code(), Some(1));
    });
}

#[test]
fn a_name_is_looked_for_in_path() {
    watched(|| assert_eq!(text(Spawn::new(&everything(), "echo").arg("hi")), "hi"));
}

#[test]
fn a_path_is_not_looked_for() {
    watched(|| {
        let error = refusal(&everything(), "./echo");
        assert_eq!(error.errno(), libc::ENOENT);
    });
}

#[test]
fn arguments_arrive_as_they_are() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "printf");
        spawn.args(["[%s]", "a b", "", "'\"\\"]);
        assert_eq!(text(&mut spawn), "[a b][]['\"\\]");
    });
}

#[test]
fn a_program_can_be_told_another_name() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "sh");
        spawn.argv0("my shell").args(["-c", "echo $0"]);
        assert_eq!(text(&mut spawn), "my shell");
    });
}

#[test]
fn variables_are_set_and_taken_away() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "sh");
        spawn.args(["-c", "echo $A,$B,${PATH-none},${HOME+some}"]);
        spawn.env("A", "1").envs([("B", "2")]).env_remove("PATH");
        let expected = format!(
            "1,2,none,{}",
            std::env::var_os("HOME").map_or("", |_| "some")
        );
        // Shells that find no PATH have one of their own.
        let found = text(&mut spawn);
        let fields: Vec<_> = found.split(',').collect();
        let wanted: Vec<_> = expected.split(',').collect();
        assert_eq!(
            (&fields[..2], fields[3]),
            (&wanted[..2], wanted[3]),
            "{found}"
        );
    });
}

#[test]
fn a_cleared_environment_has_what_was_set_after() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "env");
        spawn.env("A", "1").env_clear().env("B", "x=y");
        assert_eq!(text(&mut spawn), "B=x=y");
    });
}

#[test]
fn an_exact_environment_is_passed_on_as_it_is_and_can_be_changed() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "/usr/bin/env");
        let exact = [c"odd", c"B=1", c"C=2", c"BB=3"].map(|s| s.to_owned());
        spawn.env("A", "1").env_exact(exact);
        assert_eq!(text(&mut spawn), "odd\nB=1\nC=2\nBB=3");
        spawn.env("B", "new").env_remove("C");
        assert_eq!(text(&mut spawn), "odd\nBB=3\nB=new");
    });
}

#[test]
fn a_program_starts_in_the_directory_it_is_given() {
    watched(|| {
        let filter = everything();
        assert_eq!(text(Spawn::new(&filter, "pwd").current_dir("/usr")), "/usr");
    });
}

#[test]
fn a_relative_program_counts_from_the_new_directory() {
    watched(|| {
        let filter = notifying(&[]);
        let mut spawn = Spawn::new(&filter, "bin/echo");
        assert_eq!(text(spawn.arg("hi").current_dir("/usr")), "hi");
    });
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    watched(|| {
        let filter = everything();
        let error = Spawn::new(&filter, "true")
            .current_dir("/no/such")
            .spawn()
            .unwrap_err();
        assert_eq!(error.errno(), libc::ENOENT);
        assert!(error.to_string().contains("`/no/such`"), "{error}");
    });
}

#[test]
fn a_program_that_is_not_there_is_told() {
    watched(|| {
        for filter in [everything(), notifying(&[])] {
            let error = refusal(&filter, "no-such-program");
            assert_eq!(
                (error.status(), error.errno()),
                (Status::System, libc::ENOENT)
            );
            assert!(error.to_string().contains("`no-such-program`"), "{error}");
        }
    });
}

#[test]
fn an_empty_name_is_not_found() {
    watched(|| assert_eq!(refusal(&everything(), "").errno(), libc::ENOENT));
}

#[test]
fn a_file_that_is_not_executable_is_told() {
    watched(|| {
        let error = refusal(&everything(), file("not-executable", "#!/bin/sh\n", 0o644));
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Permission, libc::EACCES)
        );
    });
}

#[test]
fn a_directory_is_no_program() {
    watched(|| {
        let error = refusal(&everything(), "/usr");
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Permission, libc::EACCES)
        );
    });
}

#[test]
fn an_unknown_format_is_told_when_execve_is_not_notified() {
    watched(|| {
        let error = refusal(&notifying(&["uname"]), file("no-format", "nothing", 0o755));
        assert_eq!(error.errno(), libc::ENOEXEC);
    });
}

#[test]
fn an_interpreter_that_is_not_there_is_told_when_execve_is_not_notified() {
    watched(|| {
        let script = file("no-interpreter", "#!/no/such/interpreter\n", 0o755);
        let error = refusal(&notifying(&["exit_group"]), script);
        assert_eq!(error.errno(), libc::ENOENT);
    });
}

#[test]
fn an_unknown_format_is_told_later_when_execve_is_notified() {
    watched(|| {
        let script = file("no-format-late", "nothing", 0o755);
        let mut child = Spawn::new(&everything(), script).spawn().unwrap();
        assert_eq!(child.exec_error(), None);
        let calls = continue_all(&child.take_listener().unwrap());
        assert_eq!(calls, [libc::SYS_execve, libc::SYS_exit_group]);
        assert_eq!(child.wait().unwrap().code(), Some(127));
        assert_eq!(child.exec_error(), Some(libc::ENOEXEC));
    });
}

#[test]
fn a_supervisor_can_refuse_execve() {
    watched(|| {
        let mut child = Spawn::new(&everything(), "true").spawn().unwrap();
        let listener = child.take_listener().unwrap();
        listener
            .receive()
            .unwrap()
            .reply_error(libc::EXDEV)
            .unwrap();
        assert_eq!(continue_all(&listener), [libc::SYS_exit_group]);
        assert_eq!(child.wait().unwrap().code(), Some(127));
        assert_eq!(child.exec_error(), Some(libc::EXDEV));
    });
}

#[test]
fn an_execve_that_is_answered_with_a_value_has_failed() {
    watched(|| {
        let mut child = Spawn::new(&everything(), "true").spawn().unwrap();
        let listener = child.take_listener().unwrap();
        listener.receive().unwrap().reply_value(0).unwrap();
        continue_all(&listener);
        assert_eq!(child.wait().unwrap().code(), Some(127));
        assert_eq!(child.exec_error(), Some(libc::ENOEXEC));
    });
}

#[test]
fn a_child_that_may_not_exit_ends_all_the_same() {
    watched(|| {
        let mut child = Spawn::new(&everything(), "true").spawn().unwrap();
        let listener = child.take_listener().unwrap();
        for _ in 0..2 {
            listener
                .receive()
                .unwrap()
                .reply_error(libc::EPERM)
                .unwrap();
        }
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGILL));
        assert_eq!(child.exec_error(), Some(libc::EPERM));
    });
}

#[test]
fn a_filter_that_kills_at_execve_kills() {
    watched(|| {
        let mut filter = notifying(&["uname"]);
        let execve = ScmpSyscall::from_name("execve").unwrap();
        filter.add_rule(ScmpAction::KillProcess, execve).unwrap();
        let child = Spawn::new(&filter, "true").spawn().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGSYS));
        assert_eq!(child.exec_error(), None);
    });
}

#[test]
fn a_nul_byte_in_a_string_is_refused() {
    watched(|| {
        let filter = everything();
        let errors = [
            refusal(&filter, "a\0b"),
            Spawn::new(&filter, "true").arg("\0").spawn().unwrap_err(),
            Spawn::new(&filter, "true")
                .env("A", "\0")
                .spawn()
                .unwrap_err(),
            Spawn::new(&filter, "true")
                .current_dir("\0")
                .spawn()
                .unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        }
    });
}

#[test]
fn a_variable_with_a_wrong_name_is_refused() {
    watched(|| {
        for name in ["", "a=b"] {
            let error = Spawn::new(&everything(), "true")
                .env(name, "")
                .spawn()
                .unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        }
    });
}

#[test]
fn a_builder_starts_again() {
    watched(|| {
        let filter = everything();
        let mut spawn = Spawn::new(&filter, "echo");
        spawn.arg("hi");
        assert_eq!(text(&mut spawn), "hi");
        assert_eq!(text(&mut spawn), "hi");
    });
}
