//! What a filter context takes, refuses and gives back, before anything is loaded.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::FromRawFd;
use unotify::error::{SeccompErrno, SeccompError};
use unotify::*;

fn filter() -> ScmpFilterContext {
    ScmpFilterContext::new(ScmpAction::Allow).unwrap()
}

fn getpid() -> ScmpSyscall {
    ScmpSyscall::from_name("getpid").unwrap()
}

fn memory_file() -> File {
    // SAFETY: the name is NUL-terminated; the descriptor is new and nobody else's.
    unsafe { File::from_raw_fd(libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC)) }
}

fn contents(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn foreign() -> ScmpArch {
    match ScmpArch::native() {
        ScmpArch::Aarch64 => ScmpArch::X8664,
        _ => ScmpArch::Aarch64,
    }
}

fn sentence<T>(result: Result<T, SeccompError>) -> String {
    match result {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_default_action_is_the_one_given() {
    let filter = ScmpFilterContext::new(ScmpAction::Errno(13)).unwrap();
    assert_eq!(filter.get_act_default().unwrap(), ScmpAction::Errno(13));
}

#[test]
fn reset_starts_again_with_another_default_action() {
    let mut filter = filter();
    filter.add_rule(ScmpAction::Log, getpid()).unwrap();
    filter.reset(ScmpAction::Log).unwrap();
    assert_eq!(filter.get_act_default().unwrap(), ScmpAction::Log);
    // The rule is gone: it would be refused as the same as the default, were it checked again.
    filter.add_rule(ScmpAction::Allow, getpid()).unwrap();
}

#[test]
fn the_bad_architecture_action_is_kept() {
    let mut filter = filter();
    assert_eq!(filter.get_act_badarch().unwrap(), ScmpAction::KillThread);
    filter.set_act_badarch(ScmpAction::KillProcess).unwrap();
    assert_eq!(filter.get_act_badarch().unwrap(), ScmpAction::KillProcess);
}

#[test]
fn every_switch_is_kept() {
    let mut filter = filter();
    assert!(filter.get_ctl_nnp().unwrap(), "on unless set otherwise");
    filter.set_ctl_nnp(false).unwrap();
    filter.set_ctl_tsync(true).unwrap();
    filter.set_ctl_log(true).unwrap();
    filter.set_ctl_ssb(true).unwrap();
    filter.set_ctl_optimize(2).unwrap();
    filter.set_api_sysrawrc(true).unwrap();
    filter.set_api_tskip(true).unwrap();
    assert!(!filter.get_ctl_nnp().unwrap());
    assert!(filter.get_ctl_tsync().unwrap());
    assert!(filter.get_ctl_log().unwrap());
    assert!(filter.get_ctl_ssb().unwrap());
    assert_eq!(filter.get_ctl_optimize().unwrap(), 2);
    assert!(filter.get_api_sysrawrc().unwrap());
    assert!(filter.get_api_tskip().unwrap());
}

#[test]
fn wait_killable_is_kept_or_told_to_be_too_new() {
    let mut filter = filter();
    if check_api(7, ScmpVersion::from((2, 6, 0))).unwrap() {
        filter.set_ctl_waitkill(true).unwrap();
        assert!(filter.get_ctl_waitkill().unwrap());
    } else {
        let said = sentence(filter.set_ctl_waitkill(true));
        assert!(
            said.starts_with("set_ctl_waitkill needs libseccomp "),
            "{said}"
        );
        assert!(filter.get_ctl_waitkill().is_err());
    }
}

#[test]
fn the_default_action_is_read_only() {
    let error = filter()
        .set_filter_attr(ScmpFilterAttr::ActDefault, 0)
        .unwrap_err();
    assert_eq!(error.errno(), Some(SeccompErrno::EACCES));
}

#[test]
fn an_architecture_comes_and_goes() {
    let mut filter = filter();
    assert!(!filter.is_arch_present(foreign()).unwrap());
    filter.add_arch(foreign()).unwrap();
    assert!(filter.is_arch_present(foreign()).unwrap());
    filter.remove_arch(foreign()).unwrap();
    assert!(!filter.is_arch_present(foreign()).unwrap());
}

#[test]
fn adding_or_removing_an_architecture_twice_is_no_error() {
    let mut filter = filter();
    filter.add_arch(foreign()).unwrap();
    filter.add_arch(foreign()).unwrap();
    filter.remove_arch(foreign()).unwrap();
    filter.remove_arch(foreign()).unwrap();
}

#[test]
fn an_architecture_is_not_removed_after_a_rule() {
    let with_rules: [fn(&mut ScmpFilterContext); 2] = [
        |filter| {
            filter.add_rule(ScmpAction::Log, getpid()).unwrap();
        },
        |filter| {
            filter.notify_family("open").unwrap();
        },
    ];
    for add_rules in with_rules {
        let mut filter = filter();
        filter.add_arch(foreign()).unwrap();
        add_rules(&mut filter);
        let said = sentence(filter.remove_arch(foreign()).map(drop));
        assert!(said.contains("cannot be removed"), "{said}");
        assert!(filter.is_arch_present(foreign()).unwrap());
        filter.reset(ScmpAction::Allow).unwrap();
        filter.remove_arch(foreign()).unwrap();
    }
}

#[test]
fn a_new_filter_has_the_native_architecture() {
    assert!(filter().is_arch_present(ScmpArch::Native).unwrap());
    assert!(filter().is_arch_present(ScmpArch::native()).unwrap());
}

#[test]
fn an_architecture_of_another_byte_order_is_refused_and_named() {
    #[cfg(target_endian = "little")]
    let said = sentence(filter().add_arch(ScmpArch::S390X).map(drop));
    #[cfg(target_endian = "big")]
    let said = sentence(filter().add_arch(ScmpArch::X8664).map(drop));
    assert!(
        said.ends_with("has another byte order than the filter"),
        "{said}"
    );
}

#[test]
fn merge_takes_over_the_architectures() {
    let mut other = filter();
    other.add_arch(foreign()).unwrap();
    other.remove_arch(ScmpArch::Native).unwrap();
    let mut filter = filter();
    filter.merge(other).unwrap();
    assert!(filter.is_arch_present(foreign()).unwrap());
    assert!(filter.is_arch_present(ScmpArch::Native).unwrap());
}

#[test]
fn a_merge_of_overlapping_filters_is_refused_and_leaks_nothing() {
    let error = filter().merge(filter()).unwrap_err();
    assert_eq!(error.errno(), Some(SeccompErrno::EEXIST));
}

#[test]
fn a_rule_of_the_default_action_is_refused_with_the_reason() {
    let said = sentence(filter().add_rule(ScmpAction::Allow, getpid()).map(drop));
    assert_eq!(
        said,
        "Allow is the filter's default action, the rule would change nothing"
    );
}

#[test]
fn a_comparison_with_a_seventh_argument_is_refused_and_named() {
    let seventh = ScmpArgCompare::new(6, ScmpCompareOp::Equal, 0);
    let said = sentence(
        filter()
            .add_rule_conditional(ScmpAction::Log, getpid(), &[seventh])
            .map(drop),
    );
    assert_eq!(
        said,
        "comparison with argument 6: a system call has arguments 0 to 5"
    );
}

#[test]
fn two_comparisons_of_one_argument_are_refused_and_named() {
    let range = [scmp_cmp!($arg2 > 1), scmp_cmp!($arg2 < 9)];
    for exact in [false, true] {
        let mut filter = filter();
        let result = if exact {
            filter.add_rule_conditional_exact(ScmpAction::Log, getpid(), &range)
        } else {
            filter.add_rule_conditional(ScmpAction::Log, getpid(), &range)
        };
        assert_eq!(
            sentence(result.map(drop)),
            "two comparisons with argument 2: a rule takes one for each argument"
        );
    }
}

#[test]
fn a_rule_of_the_same_conditions_and_another_action_is_refused_with_the_reason() {
    let mut filter = filter();
    let condition = [scmp_cmp!($arg0 == 1)];
    filter
        .add_rule_conditional(ScmpAction::Log, getpid(), &condition)
        .unwrap();
    let said = sentence(
        filter
            .add_rule_conditional(ScmpAction::Trap, getpid(), &condition)
            .map(drop),
    );
    assert_eq!(
        said,
        "an earlier rule has the same conditions and another action"
    );
}

#[test]
fn an_exact_rule_in_a_filter_of_two_architectures_is_refused() {
    let mut filter = filter();
    filter.add_arch(foreign()).unwrap();
    let error = filter
        .add_rule_exact(ScmpAction::Log, getpid())
        .unwrap_err();
    assert_eq!(error.errno(), Some(SeccompErrno::EOPNOTSUPP));
}

#[test]
fn a_rule_by_name_is_the_rule_by_number() {
    let (by_name, by_number) = (memory_file(), memory_file());
    let compare = [scmp_cmp!($arg0 == 3)];
    let mut filter_by_name = filter();
    filter_by_name
        .add_rule_by_name(ScmpAction::Notify, "getpid", &compare)
        .unwrap();
    filter_by_name.export_bpf(&by_name).unwrap();
    let mut filter_by_number = filter();
    filter_by_number
        .add_rule_conditional(ScmpAction::Notify, getpid(), &compare)
        .unwrap();
    filter_by_number.export_bpf(&by_number).unwrap();
    assert_eq!(contents(by_name), contents(by_number));
}

#[test]
fn a_rule_by_an_unknown_name_is_refused_with_the_architectures() {
    let mut filter = filter();
    let said = sentence(
        filter
            .add_rule_by_name(ScmpAction::Log, "opennat", &[])
            .map(drop),
    );
    let native = ScmpArch::native();
    assert_eq!(said, format!("unknown system call `opennat` on {native}"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_rule_by_name_that_could_take_no_effect_is_refused() {
    let mut filter = filter();
    // libseccomp takes it, and leaves it out of the program.
    let socketcall = ScmpSyscall::from_name("socketcall").unwrap();
    filter.add_rule(ScmpAction::Log, socketcall).unwrap();
    let said = sentence(
        filter
            .add_rule_by_name(ScmpAction::Log, "socketcall", &[])
            .map(drop),
    );
    assert_eq!(said, "unknown system call `socketcall` on x86_64");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_rule_by_name_for_a_foreign_call_is_taken_with_its_architecture() {
    let mut filter = filter();
    filter.add_arch(ScmpArch::X86).unwrap();
    filter
        .add_rule_by_name(ScmpAction::Log, "socketcall", &[])
        .unwrap();
}

#[test]
fn a_priority_for_an_impossible_call_is_refused() {
    let mut filter = filter();
    filter.set_syscall_priority(getpid(), 255).unwrap();
    assert!(filter.set_syscall_priority(-1, 255).is_err());
}

#[test]
fn the_text_form_names_the_call() {
    let file = memory_file();
    let mut filter = filter();
    filter.add_rule(ScmpAction::Notify, getpid()).unwrap();
    filter.export_pfc(&file).unwrap();
    let text = String::from_utf8(contents(file)).unwrap();
    assert!(text.contains("\"getpid\""), "{text}");
    // libseccomp 2.5 has no word for the action.
    assert!(
        text.contains("action NOTIFY") || text.contains("action 0x7fc00000"),
        "{text}"
    );
}

#[test]
fn the_program_is_whole_instructions() {
    let file = memory_file();
    filter().export_bpf(&file).unwrap();
    let bytes = contents(file);
    assert!(!bytes.is_empty());
    assert_eq!(bytes.len() % size_of::<libc::sock_filter>(), 0);
}

#[test]
fn a_file_that_cannot_be_written_gives_the_systems_number_when_asked() {
    let mut filter = filter();
    filter.set_api_sysrawrc(true).unwrap();
    let read_only = File::open("/dev/null").unwrap();
    let error = filter.export_bpf(read_only).unwrap_err();
    assert_eq!(error.sysrawrc(), Some(-libc::EBADF));
}

#[test]
fn calls_chain() {
    filter()
        .add_arch(ScmpArch::Native)
        .unwrap()
        .add_rule(ScmpAction::Log, getpid())
        .unwrap()
        .set_ctl_log(true)
        .unwrap()
        .set_syscall_priority(getpid(), 9)
        .unwrap();
}

#[test]
fn a_filter_may_move_to_another_thread() {
    let filter = filter();
    let action = std::thread::spawn(move || filter.get_act_default().unwrap());
    assert_eq!(action.join().unwrap(), ScmpAction::Allow);
}
