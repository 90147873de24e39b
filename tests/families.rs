//! Families of system calls: every call of one reaches the supervisor or is refused, whatever name or
//! architecture it is made by.

mod support;

use std::sync::mpsc;
use std::thread;
use support::*;
use unotify::scmp::Family;
use unotify::*;

/// What the supervisor answers here: an error number that nobody else gives.
const ANSWER: i64 = 3999;

fn filter(family: &str, archs: &[ScmpArch]) -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    for &arch in archs {
        filter.add_arch(arch).unwrap();
    }
    filter.notify_family(family).unwrap();
    filter
}

/// Runs `calls` on a thread under the filter, whose notifications all get [`ANSWER`] as their error.
/// What it returned, and the numbers of the calls that were notified.
fn under<T: Send>(filter: ScmpFilterContext, calls: impl FnOnce() -> T + Send) -> (T, Vec<i32>) {
    let (give, listener) = mpsc::channel();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            give.send(filter.load_listener(LoadFlags::empty()).unwrap())
                .unwrap();
            calls()
        });
        let listener = listener.recv().unwrap();
        let mut notified = Vec::new();
        for notification in listener.incoming() {
            let mut notification = notification.unwrap();
            notified.push(notification.request().syscall);
            notification.reply_error(ANSWER as i32).unwrap();
        }
        (thread.join().unwrap(), notified)
    })
}

/// The native number of a call, if there is one.
fn number(call: &str) -> Option<i32> {
    ScmpSyscall::from_name(call)
        .map(ScmpSyscall::as_raw_syscall)
        .ok()
        .filter(|&nr| nr >= 0)
}

/// Makes a call with arguments that no call can do anything with.
fn make(nr: i32) -> i64 {
    call(nr.into(), [u64::MAX; 3])
}

#[test]
fn every_call_of_every_family_is_notified_and_what_goes_around_it_refused() {
    watched(|| {
        for family in Family::ALL {
            let notified: Vec<_> = family.notified.iter().filter_map(|c| number(c)).collect();
            let refused = family.refused.iter().filter(|r| r.with.is_none());
            let refused: Vec<_> = refused
                .filter_map(|r| Some((number(r.call)?, r.errno)))
                .collect();
            let (results, seen) = under(filter(family.name(), &[]), || {
                let notified: Vec<_> = notified.iter().map(|&nr| make(nr)).collect();
                let refused: Vec<_> = refused.iter().map(|&(nr, _)| make(nr)).collect();
                (notified, refused)
            });
            let name = family.name();
            assert!(!notified.is_empty(), "{name} holds nothing here");
            assert_eq!(seen, notified, "{name}");
            assert!(
                results.0.iter().all(|&r| r == -ANSWER),
                "{name}: {results:?}"
            );
            let errnos: Vec<_> = refused
                .iter()
                .map(|&(_, errno)| -i64::from(errno))
                .collect();
            assert_eq!(results.1, errnos, "{name}");
        }
    });
}

#[test]
fn a_family_leaves_other_calls_alone() {
    watched(|| {
        for family in Family::ALL {
            let (parent, notified) = under(filter(family.name(), &[]), || {
                call(libc::SYS_getppid, [0; 3])
            });
            assert!(parent > 0 && notified.is_empty(), "{}", family.name());
        }
    });
}

#[test]
fn a_datagram_is_sent_under_the_family_of_connect_and_no_connection_made_on_its_way() {
    watched(|| {
        let send = |flags: i32| {
            // SAFETY: a socket of this thread's own, nothing is read from address 1.
            unsafe {
                let sent = libc::sendto(
                    libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0),
                    std::ptr::null(),
                    0,
                    flags | libc::MSG_NOSIGNAL,
                    std::ptr::null(),
                    0,
                );
                assert_eq!(sent, -1);
            }
            std::io::Error::last_os_error().raw_os_error().unwrap()
        };
        let (errnos, notified) = under(filter("connect", &[]), || {
            [send(0), send(libc::MSG_FASTOPEN)]
        });
        assert!(notified.is_empty());
        assert_eq!(errnos, [libc::EPIPE, libc::EOPNOTSUPP]);
    });
}

#[test]
fn families_are_combined_in_any_order_and_repeated() {
    watched(|| {
        for names in [["open", "connect", "open"], ["connect", "open", "connect"]] {
            let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
            for name in names {
                filter.notify_family(name).unwrap();
            }
            let calls = ["openat", "connect", "io_uring_setup"].map(|c| number(c).unwrap());
            let (results, notified) = under(filter, || calls.map(make));
            assert_eq!(results, [-ANSWER, -ANSWER, -i64::from(libc::ENOSYS)]);
            assert_eq!(notified, calls[..2]);
        }
    });
}

#[test]
fn a_rule_that_was_there_before_counts() {
    watched(|| {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
        let connect = ScmpSyscall::from_name("connect").unwrap();
        filter
            .add_rule(ScmpAction::Errno(libc::EXDEV), connect)
            .unwrap();
        filter.notify_family("connect").unwrap();
        let (result, notified) = under(filter, || make(number("connect").unwrap()));
        assert_eq!(result, -i64::from(libc::EXDEV));
        assert!(notified.is_empty());
    });
}

#[test]
fn a_filter_that_is_reset_has_no_families() {
    let mut filter = filter("open", &[]);
    filter.reset(ScmpAction::Errno(libc::EPERM)).unwrap();
    // What would be the default action is no rule.
    filter.notify_family("clone").unwrap();
}

#[test]
fn a_filter_that_does_the_same_anyhow_takes_a_family() {
    for action in [ScmpAction::Notify, ScmpAction::Errno(libc::ENOSYS)] {
        let mut filter = ScmpFilterContext::new(action).unwrap();
        filter.notify_family("open").unwrap();
    }
}

#[test]
fn an_unknown_family_is_said_and_adds_nothing() {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    for name in ["opne", "", "OPEN", "openat"] {
        let error = filter.notify_family(name).unwrap_err().to_string();
        assert_eq!(error, format!("unknown family of system calls `{name}`"));
    }
}

#[cfg(target_arch = "x86_64")]
mod i386 {
    use super::*;

    /// Makes a call of the 32-bit architecture.
    fn make(nr: i32, a: u32, b: u32) -> i64 {
        let result: i32;
        // SAFETY: as `syscall`; the kernel writes nothing, as no argument is an address of this
        // thread's that a call of these tests could write to.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {a:r}",
                "int 0x80",
                "xchg rbx, {a:r}",
                a = inout(reg) u64::from(a) => _,
                inlateout("eax") nr => result,
                in("ecx") b,
                in("edx") u32::MAX,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        result.into()
    }

    /// Whether the kernel makes calls of that architecture.
    fn there_is() -> bool {
        // In a child, as it would be killed by a SIGSEGV.
        let mut child =
            Process::fork(|| i32::from(make(20, 0, 0) != i64::from(std::process::id())));
        let can = child.wait() == 0;
        if !can {
            skip("the kernel runs no programs of i386");
        }
        can
    }

    fn number(call: &str) -> Option<i32> {
        ScmpSyscall::from_name_by_arch(call, ScmpArch::X86)
            .map(ScmpSyscall::as_raw_syscall)
            .ok()
            .filter(|&nr| nr >= 0)
    }

    #[test]
    fn a_family_holds_the_calls_of_each_architecture_of_the_filter() {
        watched(|| {
            if !there_is() {
                return;
            }
            for family in Family::ALL {
                let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
                filter.add_arch(ScmpArch::X86).unwrap();
                match filter.notify_family(family.name()) {
                    Ok(_) => {}
                    // The installed libseccomp is older than one of its calls.
                    Err(error) => {
                        assert!(error.to_string().contains("does not know"), "{error}");
                        continue;
                    }
                }
                let calls: Vec<_> = family.notified.iter().filter_map(|c| number(c)).collect();
                let (results, notified) = under(filter, || {
                    let make = |&nr| make(nr, u32::MAX, u32::MAX);
                    calls.iter().map(make).collect::<Vec<_>>()
                });
                assert_eq!(notified, calls, "{}", family.name());
                assert!(results.iter().all(|&r| r == -ANSWER), "{}", family.name());
            }
        });
    }

    /// Fast opening of a connection on the native architecture, where i386 is in the filter too.
    fn fast_open_is_refused(filter: ScmpFilterContext) {
        let (results, notified) = under(filter, || {
            let send = number_of("sendto").unwrap();
            let fast = [u64::MAX, 0, 0, libc::MSG_FASTOPEN as u64];
            let plain = [u64::MAX, 0, 0, 0];
            [fast, plain].map(|args| call_with_four(send, args))
        });
        assert!(notified.is_empty());
        assert_eq!(
            results,
            [libc::EOPNOTSUPP, libc::EBADF].map(|e| -i64::from(e))
        );
    }

    fn number_of(call: &str) -> Option<i32> {
        super::number(call)
    }

    fn call_with_four(nr: i32, args: [u64; 4]) -> i64 {
        // SAFETY: no descriptor is -1, so nothing is read.
        match unsafe { libc::syscall(nr.into(), args[0], args[1], args[2], args[3]) } {
            -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()),
            value => value,
        }
    }

    #[test]
    fn fast_open_is_refused_whenever_the_other_architecture_is_added() {
        watched(|| {
            fast_open_is_refused(filter("connect", &[ScmpArch::X86]));
            let mut after = filter("connect", &[]);
            after.add_arch(ScmpArch::X86).unwrap();
            fast_open_is_refused(after);
            let mut between = filter("open", &[]);
            between.add_arch(ScmpArch::X86).unwrap();
            between.notify_family("connect").unwrap();
            between.add_arch(ScmpArch::X32).unwrap();
            fast_open_is_refused(between);
        });
    }

    #[test]
    fn the_attributes_of_a_filter_stay_when_a_family_is_added() {
        let mut filter = ScmpFilterContext::new(ScmpAction::Log).unwrap();
        filter.add_arch(ScmpArch::X86).unwrap();
        filter
            .set_act_badarch(ScmpAction::Errno(libc::EXDEV))
            .unwrap();
        filter.set_ctl_nnp(false).unwrap();
        filter.notify_family("connect").unwrap();
        assert_eq!(filter.get_act_default().unwrap(), ScmpAction::Log);
        let foreign = filter.get_act_badarch().unwrap();
        assert_eq!(foreign, ScmpAction::Errno(libc::EXDEV));
        assert!(!filter.get_ctl_nnp().unwrap());
        assert!(filter.is_arch_present(ScmpArch::X86).unwrap());
        assert!(filter.is_arch_present(ScmpArch::Native).unwrap());
    }

    #[test]
    fn sending_through_socketcall_is_left_alone_whatever_is_in_the_registers() {
        watched(|| {
            if !there_is() {
                return;
            }
            const SOCKETCALL: i32 = 102;
            const SENDTO: u32 = 11;
            let (result, notified) = under(filter("connect", &[ScmpArch::X86]), || {
                make(SOCKETCALL, SENDTO, u32::MAX)
            });
            assert!(notified.is_empty());
            assert_eq!(result, -i64::from(libc::EFAULT));
        });
    }

    #[test]
    fn a_family_holds_for_an_architecture_that_is_added_later() {
        watched(|| {
            if !there_is() {
                return;
            }
            let mut filter = filter("open", &[]);
            filter.notify_family("connect").unwrap();
            filter.add_arch(ScmpArch::X86).unwrap();
            let calls = ["open", "openat", "creat"].map(|c| number(c).unwrap());
            let refused = number("io_uring_setup").unwrap();
            let (results, notified) = under(filter, || {
                let notified = calls.map(|nr| make(nr, u32::MAX, u32::MAX));
                (notified, make(refused, 1, 0))
            });
            assert_eq!(results, ([-ANSWER; 3], -i64::from(libc::ENOSYS)));
            assert_eq!(notified, calls);
        });
    }

    #[test]
    fn where_arguments_are_hidden_other_rules_come_after_the_family() {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
        filter.add_arch(ScmpArch::X86).unwrap();
        let getppid = ScmpSyscall::from_name("getppid").unwrap();
        filter.add_rule(ScmpAction::Notify, getppid).unwrap();
        let error = filter.notify_family("connect").unwrap_err().to_string();
        assert!(
            error.contains("add both before the filter's other rules"),
            "{error}"
        );
        filter.notify_family("open").unwrap();
    }

    #[test]
    fn a_connect_through_socketcall_is_notified() {
        watched(|| {
            if !there_is() {
                return;
            }
            const SOCKETCALL: i32 = 102;
            const CONNECT: u32 = 3;
            const CONNECT_ITSELF: i32 = 362;
            let (results, notified) = under(filter("connect", &[ScmpArch::X86]), || {
                [
                    make(SOCKETCALL, CONNECT, u32::MAX),
                    make(CONNECT_ITSELF, u32::MAX, u32::MAX),
                ]
            });
            assert_eq!(results, [-ANSWER; 2]);
            assert_eq!(notified, [SOCKETCALL, CONNECT_ITSELF]);
        });
    }
}

#[test]
fn the_documentation_says_what_each_family_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/families.md");
    let Ok(text) = std::fs::read_to_string(path) else {
        return skip("the documentation is not here");
    };
    let documented: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            [(); 3].map(|()| cells.next().unwrap_or_default().to_owned())
        })
        .collect();
    let held: Vec<_> = Family::ALL
        .iter()
        .map(|family| {
            let calls = |calls: &[&str]| calls.join(", ");
            let refused: Vec<_> = family.refused.iter().map(|r| r.call).collect();
            [
                format!("`{}`", family.name()),
                calls(family.notified),
                calls(&refused).replace(
                    "io_uring_setup, io_uring_enter, io_uring_register",
                    "io_uring",
                ),
            ]
        })
        .collect();
    assert_eq!(documented, held);
}
