//! Calls a handler that may throw.
//!
//! Rust catches nobody's exceptions but its own: one that a handler in C++ lets out would end the
//! program when it reaches the first frame of Rust. So on x86_64 and aarch64 a handler is called by
//! a few instructions that stand between, and their personality routine, which the unwinder asks
//! what to do with an exception (Itanium C++ ABI), has every one end there. Elsewhere it does end
//! the program.
//!
//! A handler that ends its thread (`pthread_exit`, or being cancelled) unwinds it too, and that
//! nobody may stop half way, nor let it through the frames of Rust. So it ends the program, as it
//! does without this, but says why.

use super::notification::unotify_notification;
use std::ffi::{c_int, c_void};

pub(super) type Function = unsafe extern "C" fn(*mut unotify_notification, *mut c_void) -> c_int;
pub(super) type Told = unsafe extern "C" fn(*mut c_void, *mut c_void);
pub(super) type ToldOfExit = unsafe extern "C" fn(libc::pid_t, *mut c_void);

/// What the handler returns, `None` when it threw.
///
/// # Safety
/// As the handler's documentation asks.
#[inline(always)]
pub(super) unsafe fn call(
    handler: Function,
    notification: *mut unotify_notification,
    data: *mut c_void,
) -> Option<c_int> {
    let mut threw = false;
    // SAFETY: the function may be called with these, as promised; `threw` lives across the call.
    let verdict = unsafe { frame::call(handler, notification, data, &mut threw) };
    (!threw).then_some(verdict)
}

/// Calls what is told of the end of a process; whether it did not throw.
///
/// # Safety
/// As the documentation of `unotify_exit_handler` asks.
pub(super) unsafe fn tell_exit(told: ToldOfExit, process: libc::pid_t, data: *mut c_void) -> bool {
    let mut threw = false;
    // SAFETY: the function may be called with these, as promised; `threw` lives across the call.
    unsafe { frame::tell_exit(told, process, data, &mut threw) };
    !threw
}

/// Calls what is told of a listener that has left; whether it did not throw.
///
/// # Safety
/// As the documentation of `unotify_close_handler` asks.
pub(super) unsafe fn tell(told: Told, listener_data: *mut c_void, data: *mut c_void) -> bool {
    let mut threw = false;
    // SAFETY: as promised; `threw` lives across the call.
    unsafe { frame::tell(told, listener_data, data, &mut threw) };
    !threw
}

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
)))]
mod frame {
    use super::{c_int, c_void, unotify_notification, Function, Told, ToldOfExit};

    pub(super) unsafe fn tell(
        told: Told,
        listener_data: *mut c_void,
        data: *mut c_void,
        _threw: &mut bool,
    ) {
        // SAFETY: as promised by the caller.
        unsafe { told(listener_data, data) };
    }

    pub(super) unsafe fn tell_exit(
        told: ToldOfExit,
        process: libc::pid_t,
        data: *mut c_void,
        _threw: &mut bool,
    ) {
        // SAFETY: as promised by the caller.
        unsafe { told(process, data) };
    }

    pub(super) unsafe fn call(
        handler: Function,
        notification: *mut unotify_notification,
        data: *mut c_void,
        _threw: &mut bool,
    ) -> c_int {
        // SAFETY: the function may be called with these, as promised.
        unsafe { handler(notification, data) }
    }
}

#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
))]
mod frame {
    use super::{c_int, c_void, unotify_notification, Function, Told, ToldOfExit};
    use std::io::Write;

    #[allow(improper_ctypes)] // a handle, which is opaque on the other side
    extern "C-unwind" {
        #[link_name = "unotify__call_handler"]
        pub(super) fn call(
            handler: Function,
            notification: *mut unotify_notification,
            data: *mut c_void,
            threw: &mut bool,
        ) -> c_int;

        /// The same instructions, which pass two pointers on and hand back whatever is returned.
        #[allow(clashing_extern_declarations)]
        #[link_name = "unotify__call_handler"]
        pub(super) fn tell(
            told: Told,
            listener_data: *mut c_void,
            data: *mut c_void,
            threw: &mut bool,
        );

        /// The same, which pass an integer on in the place of the first pointer.
        #[allow(clashing_extern_declarations)]
        #[link_name = "unotify__call_handler"]
        pub(super) fn tell_exit(
            told: ToldOfExit,
            process: libc::pid_t,
            data: *mut c_void,
            threw: &mut bool,
        );
    }

    extern "C" {
        /// Where the call goes on after an exception. Not a function: only its address is used.
        #[link_name = "unotify__handler_threw"]
        fn landing();

        fn _Unwind_SetGR(context: *mut c_void, register: c_int, value: usize);
        fn _Unwind_SetIP(context: *mut c_void, address: usize);
        fn _Unwind_DeleteException(exception: *mut c_void);
    }

    // rbx keeps `threw`, and is what the unwinder finds it to be here at the landing.
    #[cfg(target_arch = "x86_64")]
    std::arch::global_asm!(
        ".pushsection .data.rel.ro, \"aw\", @progbits",
        ".p2align 3",
        "unotify__personality:",
        ".quad {personality}",
        ".popsection",
        ".pushsection .text.unotify__call_handler, \"ax\", @progbits",
        ".globl unotify__call_handler, unotify__handler_threw",
        ".hidden unotify__call_handler, unotify__handler_threw",
        ".weak __cxa_begin_catch, __cxa_end_catch",
        ".type unotify__call_handler, @function",
        "unotify__call_handler:",
        ".cfi_startproc",
        ".cfi_personality 0x9b, unotify__personality", // relative to here, and indirect
        "push rbx",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset 3, -16", // rbx
        "mov rbx, rcx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "call rax",
        "2:",
        "pop rbx",
        ".cfi_def_cfa_offset 8",
        "ret",
        "unotify__handler_threw:",
        ".cfi_def_cfa_offset 16",
        "mov byte ptr [rbx], 1",
        "mov rdi, rax",
        "mov rsi, qword ptr [rip + __cxa_begin_catch@GOTPCREL]",
        "mov rdx, qword ptr [rip + __cxa_end_catch@GOTPCREL]",
        "call {caught}",
        "jmp 2b",
        ".cfi_endproc",
        ".size unotify__call_handler, . - unotify__call_handler",
        ".popsection",
        personality = sym personality,
        caught = sym caught,
    );

    // The same, with x19 for rbx.
    #[cfg(target_arch = "aarch64")]
    std::arch::global_asm!(
        ".pushsection .data.rel.ro, \"aw\", @progbits",
        ".p2align 3",
        "unotify__personality:",
        ".xword {personality}",
        ".popsection",
        ".pushsection .text.unotify__call_handler, \"ax\", @progbits",
        ".p2align 2",
        ".globl unotify__call_handler, unotify__handler_threw",
        ".hidden unotify__call_handler, unotify__handler_threw",
        ".weak __cxa_begin_catch, __cxa_end_catch",
        ".type unotify__call_handler, @function",
        "unotify__call_handler:",
        ".cfi_startproc",
        ".cfi_personality 0x9b, unotify__personality", // relative to here, and indirect
        "stp x29, x30, [sp, #-32]!",
        ".cfi_def_cfa_offset 32",
        ".cfi_offset 29, -32",
        ".cfi_offset 30, -24",
        "str x19, [sp, #16]",
        ".cfi_offset 19, -16",
        "mov x29, sp",
        "mov x19, x3",
        "mov x8, x0",
        "mov x0, x1",
        "mov x1, x2",
        "blr x8",
        "2:",
        ".cfi_remember_state",
        "ldr x19, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore 19",
        ".cfi_restore 29",
        ".cfi_restore 30",
        "ret",
        "unotify__handler_threw:",
        ".cfi_restore_state",
        "mov w8, #1",
        "strb w8, [x19]",
        "adrp x1, :got:__cxa_begin_catch",
        "ldr x1, [x1, :got_lo12:__cxa_begin_catch]",
        "adrp x2, :got:__cxa_end_catch",
        "ldr x2, [x2, :got_lo12:__cxa_end_catch]",
        "bl {caught}",
        "b 2b",
        ".cfi_endproc",
        ".size unotify__call_handler, . - unotify__call_handler",
        ".popsection",
        personality = sym personality,
        caught = sym caught,
    );

    /// What the unwinder is at (`_UA_*`), and what it is told to do (`_URC_*`).
    const SEARCH_PHASE: c_int = 1;
    const FORCE_UNWIND: c_int = 8;
    const HANDLER_FOUND: c_int = 6;
    const INSTALL_CONTEXT: c_int = 7;

    /// The register that the landing finds the exception in, as DWARF numbers it: rax, or x0.
    const RESULT: c_int = 0;

    /// Ends every exception in the frame above, and the program if it is the end of the thread.
    unsafe extern "C" fn personality(
        _version: c_int,
        actions: c_int,
        _class: u64,
        exception: *mut c_void,
        context: *mut c_void,
    ) -> c_int {
        if actions & FORCE_UNWIND != 0 {
            end_of_thread();
        }
        if actions & SEARCH_PHASE != 0 {
            return HANDLER_FOUND;
        }
        // SAFETY: the context of the frame above, from the unwinder.
        unsafe {
            _Unwind_SetGR(context, RESULT, exception as usize);
            _Unwind_SetIP(context, landing as *const () as usize);
        }
        INSTALL_CONTEXT
    }

    fn end_of_thread() -> ! {
        // Not with a macro, which panics where there is no standard error.
        let _ = std::io::stderr().write_all(
            b"libunotify: a handler must not end its thread (pthread_exit, pthread_cancel)\n",
        );
        std::process::abort()
    }

    /// "GNUCC++" and "CLNGC++": whose exceptions the C++ runtime wants to see caught. The last
    /// byte is a version.
    const CXX: [u64; 2] = [0x474e_5543_432b_2b00, 0x434c_4e47_432b_2b00];

    /// Disposes of an exception, through the C++ runtime if it is of C++ and the program has one,
    /// which keeps count of exceptions that are under way.
    unsafe extern "C" fn caught(
        exception: *mut c_void,
        begin_catch: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
        end_catch: Option<unsafe extern "C" fn()>,
    ) {
        // SAFETY: the unwinder's exception begins with its class, and ends here.
        unsafe {
            let class = exception.cast::<u64>().read();
            match (begin_catch, end_catch) {
                (Some(begin), Some(end)) if CXX.contains(&(class & !0xff)) => {
                    begin(exception);
                    end();
                }
                _ => _Unwind_DeleteException(exception),
            }
        }
    }
}
