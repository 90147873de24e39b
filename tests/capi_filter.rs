//! The C API of filters, architectures and system call names.

#![cfg(feature = "capi")]

use std::ffi::{c_char, c_void, CStr};
use std::ptr::{null, null_mut};
use unotify::{Status, Status as S};

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Compare {
    arg: u32,
    op: u32,
    value: u64,
    mask: u64,
}

#[repr(C)]
struct LoadOpts {
    size: usize,
    flags: u32,
    reserved: u32,
}

type Filter = c_void;
type Listener = c_void;

// SAFETY: as declared in the library.
unsafe extern "C" {
    fn unotify_last_error(buf: *mut c_char, len: usize) -> usize;
    fn unotify_arch_native() -> u32;
    fn unotify_arch_from_name(name: *const c_char, arch: *mut u32) -> Status;
    fn unotify_arch_name(arch: u32) -> *const c_char;
    fn unotify_syscall_from_name(arch: u32, name: *const c_char, nr: *mut i32) -> Status;
    fn unotify_syscall_name(arch: u32, nr: i32, buf: *mut c_char, len: usize) -> Status;
    fn unotify_action_errno(errnum: u16) -> u32;
    fn unotify_filter_new(action: u32, out: *mut *mut Filter) -> Status;
    fn unotify_filter_add_arch(filter: *mut Filter, arch: u32) -> Status;
    fn unotify_filter_add_rule(
        filter: *mut Filter,
        action: u32,
        syscall: *const c_char,
        cmp: *const Compare,
        n: usize,
    ) -> Status;
    fn unotify_filter_notify(filter: *mut Filter, syscall: *const c_char) -> Status;
    fn unotify_filter_export_bpf(f: *const Filter, buf: *mut c_void, len: *mut usize) -> Status;
    fn unotify_filter_export_pfc(f: *const Filter, fd: i32) -> Status;
    fn unotify_filter_load(
        filter: *const Filter,
        opts: *const LoadOpts,
        out: *mut *mut Listener,
    ) -> Status;
    fn unotify_filter_free(filter: *mut Filter);
    fn unotify_listener_free(listener: *mut Listener);
}

const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const X86_64: u32 = 0xc000_003e;

/// The thread's last error.
fn said() -> String {
    let mut buf = [0_u8; 256];
    // SAFETY: the buffer is as long as told, and NUL-terminated by the call.
    unsafe {
        unotify_last_error(buf.as_mut_ptr().cast(), buf.len());
        CStr::from_ptr(buf.as_ptr().cast())
            .to_str()
            .unwrap()
            .to_owned()
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// A filter that allows, freed in the end.
struct Owned(*mut Filter);

impl Owned {
    fn new() -> Self {
        let mut filter = null_mut();
        // SAFETY: `filter` is ours.
        assert_eq!(unsafe { unotify_filter_new(ALLOW, &mut filter) }, S::Ok);
        Owned(filter)
    }

    fn rule(&self, action: u32, name: &CStr, cmp: &[Compare]) -> Status {
        // SAFETY: a live handle, a string, and an array of that length.
        unsafe { unotify_filter_add_rule(self.0, action, name.as_ptr(), cmp.as_ptr(), cmp.len()) }
    }

    fn add_arch(&self, arch: u32) -> Status {
        // SAFETY: a live handle.
        unsafe { unotify_filter_add_arch(self.0, arch) }
    }

    fn load(&self, opts: *const LoadOpts) -> (Status, *mut Listener) {
        let mut listener = null_mut();
        // SAFETY: a live handle, options as long as they say or null, and a place of ours.
        let status = unsafe { unotify_filter_load(self.0, opts, &mut listener) };
        (status, listener)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: a live handle, not used again.
        unsafe { unotify_filter_free(self.0) }
    }
}

fn arch_from_name(name: &CStr) -> Result<u32, Status> {
    let mut arch = 0xdead;
    // SAFETY: a string, and a place of ours.
    match unsafe { unotify_arch_from_name(name.as_ptr(), &mut arch) } {
        S::Ok => Ok(arch),
        status => {
            assert_eq!(arch, 0xdead, "touched on failure");
            Err(status)
        }
    }
}

fn syscall_from_name(arch: u32, name: &CStr) -> Result<i32, Status> {
    let mut nr = -77;
    // SAFETY: a string, and a place of ours.
    match unsafe { unotify_syscall_from_name(arch, name.as_ptr(), &mut nr) } {
        S::Ok => Ok(nr),
        status => {
            assert_eq!(nr, -77, "touched on failure");
            Err(status)
        }
    }
}

#[test]
fn an_architecture_is_found_by_short_and_long_name() {
    assert_eq!(arch_from_name(c"x86_64"), Ok(X86_64));
    assert_eq!(arch_from_name(c"SCMP_ARCH_X86_64"), Ok(X86_64));
    // SAFETY: takes nothing.
    let native = unsafe { unotify_arch_native() };
    assert_eq!(arch_from_name(c"native"), Ok(native));
}

#[test]
fn an_unknown_architecture_name_is_told() {
    assert_eq!(arch_from_name(c"pdp11"), Err(S::UnknownArch));
    assert_eq!(said(), "unknown architecture `pdp11`");
}

#[test]
fn an_architecture_is_named_by_number() {
    // SAFETY: a string of the library's.
    let name = unsafe { CStr::from_ptr(unotify_arch_name(X86_64)) };
    assert_eq!(name, c"x86_64");
    // SAFETY: takes an integer.
    assert!(unsafe { unotify_arch_name(12345) }.is_null());
}

#[test]
fn a_system_call_is_found_by_name() {
    assert_eq!(syscall_from_name(X86_64, c"openat"), Ok(257));
    assert_eq!(syscall_from_name(0, c"openat"), Ok(libc::SYS_openat as i32));
}

#[test]
fn an_unknown_system_call_is_told_with_its_architecture() {
    assert_eq!(
        syscall_from_name(X86_64, c"opennat"),
        Err(S::UnknownSyscall)
    );
    assert_eq!(said(), "unknown system call `opennat` on x86_64");
}

#[test]
fn a_system_call_of_another_architecture_is_unknown() {
    assert_eq!(
        syscall_from_name(X86_64, c"socketcall"),
        Err(S::UnknownSyscall)
    );
    assert_eq!(said(), "unknown system call `socketcall` on x86_64");
}

#[test]
fn a_system_call_of_an_unknown_architecture_is_told() {
    assert_eq!(syscall_from_name(77, c"openat"), Err(S::UnknownArch));
    assert_eq!(said(), "unknown architecture 0x4d");
}

#[test]
fn a_system_call_is_named_by_number_where_there_is_room() {
    let mut buf = [b'!' as c_char; 7];
    // SAFETY: the buffer is at least as long as told.
    unsafe {
        assert_eq!(
            unotify_syscall_name(X86_64, 257, buf.as_mut_ptr(), 6),
            S::TooLong
        );
        assert_eq!(errno(), libc::ERANGE);
        assert_eq!(buf[0], b'!' as c_char, "touched on failure");
        assert_eq!(
            unotify_syscall_name(X86_64, 257, buf.as_mut_ptr(), 7),
            S::Ok
        );
        assert_eq!(CStr::from_ptr(buf.as_ptr()), c"openat");
        assert_eq!(
            unotify_syscall_name(X86_64, 9999, buf.as_mut_ptr(), 7),
            S::UnknownSyscall
        );
        assert_eq!(
            unotify_syscall_name(X86_64, 257, null_mut(), 0),
            S::InvalidArgument
        );
    }
}

#[test]
fn a_value_that_is_no_action_is_refused() {
    let filter = Owned::new();
    for action in [1, 0x0001_0000, ALLOW | 1, 0xffff_ffff] {
        assert_eq!(filter.rule(action, c"getpid", &[]), S::InvalidArgument);
        assert_eq!(said(), format!("unknown action {action:#x}"));
        let mut out = null_mut();
        // SAFETY: `out` is ours.
        let status = unsafe { unotify_filter_new(action, &mut out) };
        assert_eq!(status, S::InvalidArgument);
        assert!(out.is_null());
    }
}

#[test]
fn an_error_number_beyond_libseccomps_is_refused_and_named() {
    let filter = Owned::new();
    // SAFETY: takes an integer.
    let errno = |errnum| unsafe { unotify_action_errno(errnum) };
    assert_eq!(filter.rule(errno(4094), c"getpid", &[]), S::Ok);
    assert_eq!(
        filter.rule(errno(4095), c"getppid", &[]),
        S::InvalidArgument
    );
    assert_eq!(said(), "error number 4095: libseccomp takes 0 to 4094");
}

#[test]
fn a_rule_for_an_unknown_system_call_is_refused() {
    let filter = Owned::new();
    assert_eq!(filter.rule(LOG, c"opennat", &[]), S::UnknownSyscall);
    // SAFETY: a live handle and a string.
    let status = unsafe { unotify_filter_notify(filter.0, c"opennat".as_ptr()) };
    assert_eq!(status, S::UnknownSyscall);
    assert!(said().starts_with("unknown system call `opennat` on "));
}

#[test]
fn a_rule_that_says_what_the_filter_does_anyway_is_refused() {
    let filter = Owned::new();
    assert_eq!(filter.rule(ALLOW, c"getpid", &[]), S::InvalidArgument);
    assert!(said().contains("default action"), "{}", said());
}

#[test]
fn a_bad_comparison_is_refused_and_named() {
    let filter = Owned::new();
    let good = Compare {
        op: 4,
        ..Compare::default()
    };
    for (bad, sentence) in [
        (
            Compare {
                arg: 6,
                op: 4,
                ..good
            },
            "comparison with argument 6: a system call has arguments 0 to 5",
        ),
        (
            Compare {
                arg: u32::MAX,
                op: 4,
                ..good
            },
            "comparison with argument 4294967295: a system call has arguments 0 to 5",
        ),
        (
            Compare { arg: 0, ..good },
            "two comparisons with argument 0: a rule takes one for each argument",
        ),
        (
            Compare {
                arg: 1,
                op: 0,
                ..good
            },
            "`cmp[1].op` is 0, which is no comparison",
        ),
        (
            Compare {
                arg: 1,
                op: 8,
                ..good
            },
            "`cmp[1].op` is 8, which is no comparison",
        ),
        (
            Compare {
                arg: 1,
                mask: 3,
                ..good
            },
            "`cmp[1].mask` is 0x3, but only UNOTIFY_COMPARE_MASKED_EQUAL has a mask",
        ),
        (
            Compare {
                arg: 1,
                op: 7,
                value: 5,
                mask: 3,
            },
            "`cmp[1].value` 0x5 has bits outside its mask 0x3, so it never holds",
        ),
    ] {
        assert_eq!(
            filter.rule(LOG, c"getpid", &[good, bad]),
            S::InvalidArgument
        );
        assert_eq!(said(), sentence);
        assert_eq!(errno(), libc::EINVAL);
    }
}

#[test]
fn a_masked_comparison_is_taken() {
    let filter = Owned::new();
    let masked = Compare {
        arg: 1,
        op: 7,
        value: 1,
        mask: 3,
    };
    assert_eq!(filter.rule(LOG, c"openat", &[masked]), S::Ok);
}

#[test]
fn an_architecture_after_a_rule_is_refused() {
    let filter = Owned::new();
    assert_eq!(filter.rule(LOG, c"getpid", &[]), S::Ok);
    assert_eq!(filter.add_arch(0), S::Ok, "the native one is there");
    let foreign = if cfg!(target_arch = "x86_64") {
        c"x86"
    } else {
        c"x86_64"
    };
    assert_eq!(
        filter.add_arch(arch_from_name(foreign).unwrap()),
        S::InvalidArgument
    );
    assert!(said().ends_with("comes after a rule: the rules so far would not hold for its calls"));
}

#[test]
fn an_unknown_architecture_is_refused() {
    assert_eq!(Owned::new().add_arch(77), S::UnknownArch);
}

#[test]
fn the_program_is_exported_where_there_is_room() {
    let filter = Owned::new();
    let mut len = 0;
    // SAFETY: the buffers are at least as long as told.
    unsafe {
        assert_eq!(
            unotify_filter_export_bpf(filter.0, null_mut(), &mut len),
            S::Ok
        );
        assert!(len > 0 && len % 8 == 0);
        let mut buf = vec![0_u8; len];
        let mut room = len - 1;
        let start = buf.as_mut_ptr().cast();
        assert_eq!(
            unotify_filter_export_bpf(filter.0, start, &mut room),
            S::TooLong
        );
        assert_eq!((errno(), room), (libc::ERANGE, len));
        assert!(buf.iter().all(|byte| *byte == 0), "touched on failure");
        assert_eq!(unotify_filter_export_bpf(filter.0, start, &mut room), S::Ok);
        assert!(buf.iter().any(|byte| *byte != 0));
        assert_eq!(
            unotify_filter_export_bpf(filter.0, null_mut(), null_mut()),
            S::InvalidArgument
        );
    }
}

#[test]
fn a_call_of_a_foreign_architecture_kills_the_process() {
    let filter = Owned::new();
    let mut len = 0;
    // SAFETY: the buffer is as long as told.
    let words = unsafe {
        unotify_filter_export_bpf(filter.0, null_mut(), &mut len);
        let mut words = vec![0_u32; len / 4];
        unotify_filter_export_bpf(filter.0, words.as_mut_ptr().cast(), &mut len);
        words
    };
    assert!(words.contains(&0x8000_0000), "no path returns KILL_PROCESS");
}

#[test]
fn the_text_form_cannot_be_written_to_a_closed_descriptor() {
    let filter = Owned::new();
    // SAFETY: a live handle.
    unsafe {
        assert_eq!(unotify_filter_export_pfc(filter.0, -1), S::InvalidArgument);
        assert_eq!(
            unotify_filter_export_pfc(filter.0, 1 << 20),
            S::InvalidArgument
        );
    }
    assert_eq!(errno(), libc::EBADF);
}

#[test]
fn null_is_told_by_name() {
    // SAFETY: null is checked.
    unsafe {
        assert_eq!(unotify_filter_new(ALLOW, null_mut()), S::InvalidArgument);
        assert_eq!(said(), "`out` is null");
        assert_eq!(unotify_filter_add_arch(null_mut(), 0), S::InvalidArgument);
        assert_eq!(said(), "`filter` is null");
        assert_eq!(
            unotify_filter_load(null(), null(), null_mut()),
            S::InvalidArgument
        );
        assert_eq!(
            unotify_arch_from_name(null(), null_mut()),
            S::InvalidArgument
        );
        assert_eq!(said(), "`name` is null");
        let filter = Owned::new();
        assert_eq!(unotify_filter_notify(filter.0, null()), S::InvalidArgument);
        assert_eq!(said(), "`syscall` is null");
        let status = unotify_filter_add_rule(filter.0, LOG, c"getpid".as_ptr(), null(), 1);
        assert_eq!(status, S::InvalidArgument);
        assert_eq!(said(), "`cmp` is null and its length is 1");
        unotify_filter_free(null_mut());
    }
}

#[test]
fn each_thread_that_loads_a_filter_gets_a_listener_and_no_second_one() {
    let loads = [(), ()].map(|()| {
        std::thread::spawn(|| {
            let filter = Owned::new();
            assert_eq!(filter.rule(0x7fc0_0000, c"getppid", &[]), S::Ok);
            let (status, listener) = filter.load(null());
            assert_eq!(status, S::Ok);
            assert!(!listener.is_null());
            let (status, second) = filter.load(null());
            assert_eq!((status, errno()), (S::Busy, libc::EBUSY));
            assert!(second.is_null());
            // SAFETY: a live handle, not used again.
            unsafe { unotify_listener_free(listener) };
        })
    });
    loads.into_iter().for_each(|load| load.join().unwrap());
}

#[test]
fn options_of_a_load_are_checked() {
    let filter = Owned::new();
    let opts = |flags, reserved| LoadOpts {
        size: size_of::<LoadOpts>(),
        flags,
        reserved,
    };
    assert_eq!(filter.load(&opts(0x100, 0)).0, S::InvalidArgument);
    assert_eq!(said(), "`unotify_load_opts.flags` has unknown bits 0x100");
    assert_eq!(filter.load(&opts(0, 1)).0, S::InvalidArgument);
    let size = LoadOpts {
        size: 0,
        ..opts(0, 0)
    };
    assert_eq!(filter.load(&size).0, S::InvalidArgument);
}
