//! Whether it works here: the mirror of `probe.rs`.

use super::boundary::{
    call, infallible, invalid, reclaim, report, shared, unotify_status, Out, Report,
};
use crate::probe::{probe, ProbeOutcome, ProbePart};
use std::ffi::{c_char, c_int, CString};
use std::time::Duration;

/// It works.
pub const UNOTIFY_PROBE_WORKS: u32 = 1;
/// It does not.
pub const UNOTIFY_PROBE_FAILS: u32 = 2;
/// Something that it takes does not work.
pub const UNOTIFY_PROBE_NOT_TRIED: u32 = 3;

/// One thing that a supervisor does, and whether it can here.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_probe_part {
    /// `sizeof(unotify_probe_part)`, set by the caller.
    pub size: usize,
    /// What it is called, such as "receive": unotify(7) has them all.
    pub name: *const c_char,
    /// A sentence: why it does not work, as far as can be told. Never NULL.
    pub detail: *const c_char,
    /// `UNOTIFY_PROBE_*`.
    pub outcome: u32,
    /// The error number of what does not work, or 0.
    pub errnum: c_int,
    /// 1 if there is no supervisor without it, or 0.
    pub is_basic: c_int,
    /// Always 0.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, and begins with the size.
unsafe impl Report for unotify_probe_part {
    const NAME: &'static str = "unotify_probe_part";
}

/// What a probe has found.
#[derive(Debug)]
pub struct unotify_probe {
    parts: Vec<(ProbePart, CString)>,
    basics_work: bool,
}

/// Tries what a supervisor does, with a thread and a child of its own, and notes for each part
/// whether it works here, and if not why: a container's seccomp profile or a security module may
/// forbid what unotify_features() has. `timeout_ms`, positive, is for each wait; at most a few are
/// needed. Leaves no child, thread or descriptor behind. What does not work is no error.
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_probe_new(
    timeout_ms: c_int,
    out: *mut *mut unotify_probe,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        let limit = u64::try_from(timeout_ms).ok().filter(|&ms| ms > 0);
        let limit = limit.ok_or_else(|| {
            invalid(format!(
                "`timeout_ms` is {timeout_ms}, which is not positive"
            ))
        })?;
        let found = probe(Duration::from_millis(limit));
        let with_text = |part: &ProbePart| {
            // What a security module calls a program may be anything, but for NUL.
            let text = part.detail.replace('\0', "");
            (part.clone(), CString::new(text).unwrap_or_default())
        };
        out.put_boxed(unotify_probe {
            parts: found.parts().iter().map(with_text).collect(),
            basics_work: found.basics_work(),
        });
        Ok(())
    })
}

/// 1 if programs can be supervised here, be it without this or that, else 0; also for NULL.
///
/// # Safety
/// `probe` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_probe_basics_work(probe: *const unotify_probe) -> c_int {
    infallible(0, || {
        // SAFETY: `probe` is NULL or a live handle, as promised.
        unsafe { probe.as_ref() }
            .is_some_and(|p| p.basics_work)
            .into()
    })
}

/// Fills in the part number `index`, from 0.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` beyond the last.
///
/// # Safety
/// `probe` is NULL or a live handle; `part` is NULL or as long as its `size` says.
#[no_mangle]
pub unsafe extern "C" fn unotify_probe_get(
    probe: *const unotify_probe,
    index: usize,
    part: *mut unotify_probe_part,
) -> unotify_status {
    call(|| {
        let find = || {
            // SAFETY: `probe` is NULL or a live handle, as promised.
            let parts = &unsafe { shared(probe, "probe") }?.parts;
            let (part, detail) = parts.get(index).ok_or_else(|| {
                invalid(format!(
                    "`index` is {index}, and there are {} parts",
                    parts.len()
                ))
            })?;
            Ok(unotify_probe_part {
                size: size_of::<unotify_probe_part>(),
                name: part.name_c().as_ptr(),
                detail: detail.as_ptr(),
                outcome: match part.outcome {
                    ProbeOutcome::Works => UNOTIFY_PROBE_WORKS,
                    ProbeOutcome::Fails => UNOTIFY_PROBE_FAILS,
                    ProbeOutcome::NotTried => UNOTIFY_PROBE_NOT_TRIED,
                },
                errnum: part.errno,
                is_basic: part.is_basic.into(),
                reserved: 0,
            })
        };
        // SAFETY: `part` is NULL or as long as its `size`, as promised.
        unsafe { report(part, find) }
    })
}

/// Frees what a probe has found, with its strings.
///
/// # Safety
/// `probe` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_probe_free(probe: *mut unotify_probe) {
    // SAFETY: `probe` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(probe) }));
}
