//! Names and numbers of actions, architectures, system calls, comparisons and attributes.

use unotify::*;

#[test]
fn an_action_is_found_by_libseccomps_name() {
    for (name, value, action) in [
        ("SCMP_ACT_KILL_PROCESS", None, ScmpAction::KillProcess),
        ("SCMP_ACT_KILL_THREAD", None, ScmpAction::KillThread),
        ("SCMP_ACT_KILL", None, ScmpAction::KillThread),
        ("SCMP_ACT_TRAP", None, ScmpAction::Trap),
        ("SCMP_ACT_ERRNO", Some(38), ScmpAction::Errno(38)),
        ("SCMP_ACT_NOTIFY", None, ScmpAction::Notify),
        ("SCMP_ACT_TRACE", Some(5), ScmpAction::Trace(5)),
        ("SCMP_ACT_LOG", None, ScmpAction::Log),
        ("SCMP_ACT_ALLOW", None, ScmpAction::Allow),
    ] {
        assert_eq!(ScmpAction::from_str(name, value).unwrap(), action);
    }
}

#[test]
fn an_unknown_action_name_is_refused_and_named() {
    let error = ScmpAction::from_str("SCMP_ACT_PANIC", None).unwrap_err();
    assert_eq!(error.to_string(), "unknown action `SCMP_ACT_PANIC`");
}

#[test]
fn an_action_that_needs_a_value_says_so() {
    let error = ScmpAction::from_str("SCMP_ACT_ERRNO", None).unwrap_err();
    assert_eq!(error.to_string(), "SCMP_ACT_ERRNO needs a value");
    assert!(ScmpAction::from_str("SCMP_ACT_TRACE", None).is_err());
}

#[test]
fn a_trace_message_of_more_than_16_bits_is_refused() {
    assert!(ScmpAction::from_str("SCMP_ACT_TRACE", Some(0x1_0000)).is_err());
    assert!(ScmpAction::from_str("SCMP_ACT_TRACE", Some(-1)).is_err());
}

#[test]
fn a_system_call_is_found_by_name_and_named_by_number() {
    let syscall = ScmpSyscall::from_name("openat").unwrap();
    assert_eq!(syscall, libc::SYS_openat as i32);
    assert_eq!(libc::SYS_openat as i32, syscall);
    assert_eq!(syscall.get_name().unwrap(), "openat");
}

#[test]
fn a_foreign_system_call_has_that_architectures_number() {
    let syscall = ScmpSyscall::from_name_by_arch("getpid", ScmpArch::X86).unwrap();
    assert_eq!(syscall, 20);
    assert_eq!(syscall.get_name_by_arch(ScmpArch::X86).unwrap(), "getpid");
}

#[test]
fn a_multiplexed_system_call_is_rewritten_to_its_multiplexer() {
    let socket = ScmpSyscall::from_name_by_arch_rewrite("socket", ScmpArch::X86).unwrap();
    let socketcall = ScmpSyscall::from_name_by_arch("socketcall", ScmpArch::X86).unwrap();
    assert_eq!(socket, socketcall);
}

#[test]
fn an_unknown_system_call_is_named_with_its_architecture() {
    let error = ScmpSyscall::from_name_by_arch("opennat", ScmpArch::X8664).unwrap_err();
    assert_eq!(error.to_string(), "unknown system call `opennat` on x86_64");
}

#[test]
fn a_name_with_a_nul_inside_is_no_system_call() {
    let error = ScmpSyscall::from_name_by_arch("open\0at", ScmpArch::Arm).unwrap_err();
    assert_eq!(error.to_string(), r"unknown system call `open\0at` on arm");
}

#[test]
fn an_empty_or_endless_name_is_no_system_call() {
    assert!(ScmpSyscall::from_name("").is_err());
    assert!(ScmpSyscall::from_name(&"x".repeat(1 << 20)).is_err());
}

#[test]
fn an_unknown_system_call_number_is_told() {
    let error = ScmpSyscall::from(99_999)
        .get_name_by_arch(ScmpArch::X8664)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown system call number 99999 on x86_64"
    );
}

#[test]
fn a_system_call_converts_to_and_from_its_number() {
    let nr: RawSyscall = 4;
    assert_eq!(i32::from(ScmpSyscall::from(nr)), nr);
    assert_eq!(ScmpSyscall::from_raw_syscall(nr).as_raw_syscall(), nr);
    assert_eq!(ScmpSyscall::from(nr).to_string(), "4");
}

#[test]
fn libseccomps_marks_are_recognised() {
    assert!(ScmpSyscall::from(-1).is_error());
    assert!(ScmpSyscall::from(-2).is_undef());
    assert!(!ScmpSyscall::from(0).is_error());
}

#[test]
fn a_comparison_is_found_by_libseccomps_name() {
    for (name, op) in [
        ("SCMP_CMP_NE", ScmpCompareOp::NotEqual),
        ("SCMP_CMP_LT", ScmpCompareOp::Less),
        ("SCMP_CMP_LE", ScmpCompareOp::LessOrEqual),
        ("SCMP_CMP_EQ", ScmpCompareOp::Equal),
        ("SCMP_CMP_GE", ScmpCompareOp::GreaterEqual),
        ("SCMP_CMP_GT", ScmpCompareOp::Greater),
        ("SCMP_CMP_MASKED_EQ", ScmpCompareOp::MaskedEqual(0)),
    ] {
        assert_eq!(name.parse::<ScmpCompareOp>().unwrap(), op);
    }
    assert!("SCMP_CMP_LIKE".parse::<ScmpCompareOp>().is_err());
}

#[test]
fn the_macro_writes_every_comparison() {
    let new = ScmpArgCompare::new;
    assert_eq!(scmp_cmp!($arg0 != 1), new(0, ScmpCompareOp::NotEqual, 1));
    assert_eq!(scmp_cmp!($arg1 < 2), new(1, ScmpCompareOp::Less, 2));
    assert_eq!(scmp_cmp!($arg2 <= 3), new(2, ScmpCompareOp::LessOrEqual, 3));
    assert_eq!(scmp_cmp!($arg3 == 4), new(3, ScmpCompareOp::Equal, 4));
    assert_eq!(
        scmp_cmp!($arg4 >= 5),
        new(4, ScmpCompareOp::GreaterEqual, 5)
    );
    assert_eq!(scmp_cmp!($arg5 > 6), new(5, ScmpCompareOp::Greater, 6));
    let masked = ScmpCompareOp::MaskedEqual(0x70);
    assert_eq!(scmp_cmp!($arg0 & 0x70 == 0x10), new(0, masked, 0x10));
    assert_eq!(
        scmp_cmp!($arg0 & (0x60 | 0x10) == 0x10),
        new(0, masked, 0x10)
    );
}

#[test]
fn the_macro_works_in_a_constant() {
    const COMPARE: ScmpArgCompare = scmp_cmp!($arg1 & 3 == 1);
    assert_eq!(
        COMPARE,
        ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(3), 1)
    );
}

#[test]
fn an_attribute_is_found_by_libseccomps_name() {
    for (name, attr) in [
        ("SCMP_FLTATR_ACT_DEFAULT", ScmpFilterAttr::ActDefault),
        ("SCMP_FLTATR_ACT_BADARCH", ScmpFilterAttr::ActBadArch),
        ("SCMP_FLTATR_CTL_NNP", ScmpFilterAttr::CtlNnp),
        ("SCMP_FLTATR_CTL_TSYNC", ScmpFilterAttr::CtlTsync),
        ("SCMP_FLTATR_API_TSKIP", ScmpFilterAttr::ApiTskip),
        ("SCMP_FLTATR_CTL_LOG", ScmpFilterAttr::CtlLog),
        ("SCMP_FLTATR_CTL_SSB", ScmpFilterAttr::CtlSsb),
        ("SCMP_FLTATR_CTL_OPTIMIZE", ScmpFilterAttr::CtlOptimize),
        ("SCMP_FLTATR_API_SYSRAWRC", ScmpFilterAttr::ApiSysRawRc),
        ("SCMP_FLTATR_CTL_WAITKILL", ScmpFilterAttr::CtlWaitkill),
    ] {
        assert_eq!(name.parse::<ScmpFilterAttr>().unwrap(), attr);
    }
    assert!("SCMP_FLTATR_CTL_ALT".parse::<ScmpFilterAttr>().is_err());
}

#[test]
fn an_api_level_nobody_knows_is_refused() {
    let error = set_api(1000).unwrap_err();
    assert_eq!(error.errno(), Some(error::SeccompErrno::EINVAL));
}

#[test]
#[allow(deprecated)]
fn the_deprecated_names_still_answer() {
    let openat = ScmpSyscall::from_name("openat").unwrap();
    assert_eq!(openat, get_syscall_from_name("openat", None).unwrap());
    assert_eq!(
        get_syscall_name_from_arch(ScmpArch::Aarch64, 56).unwrap(),
        "openat"
    );
    assert_eq!(
        get_library_version().unwrap(),
        ScmpVersion::current().unwrap()
    );
}
