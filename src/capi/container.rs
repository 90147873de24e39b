//! `unotify_container`: the mirror of `agent/container.rs`.

use super::boundary::{c_str, call, infallible, reclaim, shared, unotify_status, utf8, Out};
use super::listener::unotify_listener;
use crate::agent::Container;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, CString};
use std::os::fd::AsRawFd;
use std::ptr;

/// A container, or a process started in one, whose listener came to an agent.
#[derive(Debug)]
pub struct unotify_container {
    container: Container,
    id: CString,
    bundle: CString,
    status: CString,
    metadata: CString,
    version: CString,
    annotations: BTreeMap<CString, CString>,
}

impl unotify_container {
    pub(super) fn new(container: Container) -> Self {
        // None has a NUL in it: the agent refuses those that have.
        let text = |text: &str| CString::new(text).unwrap_or_default();
        unotify_container {
            id: text(container.id()),
            bundle: text(container.bundle()),
            status: text(container.status()),
            metadata: text(container.metadata()),
            version: text(container.version()),
            annotations: container
                .annotations()
                .iter()
                .map(|(key, value)| (text(key), text(value)))
                .collect(),
            container,
        }
    }
}

/// # Safety
/// `container` is NULL or a live handle.
unsafe fn text(
    container: *const unotify_container,
    of: impl FnOnce(&unotify_container) -> &CString,
) -> *const c_char {
    infallible(ptr::null(), || {
        // SAFETY: `container` is NULL or a live handle, as promised.
        unsafe { container.as_ref() }.map_or(ptr::null(), |c| of(c).as_ptr())
    })
}

/// The container's name among those of its runtime; its user may have chosen it.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_id(
    container: *const unotify_container,
) -> *const c_char {
    // SAFETY: as promised.
    unsafe { text(container, |c| &c.id) }
}

/// The directory that it was described in. crun says "." for `exec`.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_bundle(
    container: *const unotify_container,
) -> *const c_char {
    // SAFETY: as promised.
    unsafe { text(container, |c| &c.bundle) }
}

/// "creating", "created", "running" or "stopped", or what a runtime has beyond these.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_status(
    container: *const unotify_container,
) -> *const c_char {
    // SAFETY: as promised.
    unsafe { text(container, |c| &c.status) }
}

/// What the profile says in `listenerMetadata`.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_metadata(
    container: *const unotify_container,
) -> *const c_char {
    // SAFETY: as promised.
    unsafe { text(container, |c| &c.metadata) }
}

/// The version of the OCI runtime specification that the runtime goes by.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_version(
    container: *const unotify_container,
) -> *const c_char {
    // SAFETY: as promised.
    unsafe { text(container, |c| &c.version) }
}

/// The annotation `key`; NULL if there is none.
///
/// # Safety
/// `container` is NULL or a live handle; `key` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_annotation(
    container: *const unotify_container,
    key: *const c_char,
) -> *const c_char {
    infallible(ptr::null(), || {
        // SAFETY: NULL or a live handle, NULL or a string, as promised.
        let (container, key) = unsafe { (container.as_ref(), c_str(key, "key")) };
        let (Some(container), Ok(key)) = (container, key) else {
            return ptr::null();
        };
        let found = container.annotations.get(key);
        found.map_or(ptr::null(), |value| value.as_ptr())
    })
}

/// The key of the annotation number `index`, from 0; NULL beyond the last.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_annotation_key(
    container: *const unotify_container,
    index: usize,
) -> *const c_char {
    infallible(ptr::null(), || {
        // SAFETY: `container` is NULL or a live handle, as promised.
        let container = unsafe { container.as_ref() };
        let key = container.and_then(|c| c.annotations.keys().nth(index));
        key.map_or(ptr::null(), |key| key.as_ptr())
    })
}

/// The process under the filter, **as the runtime numbers it**; it may have ended. -1 for NULL.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_pid(container: *const unotify_container) -> libc::pid_t {
    infallible(-1, || {
        // SAFETY: `container` is NULL or a live handle, as promised.
        unsafe { container.as_ref() }.map_or(-1, |c| c.container.pid())
    })
}

/// The container's first process, likewise: after `exec` it is another.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_init_pid(
    container: *const unotify_container,
) -> libc::pid_t {
    infallible(-1, || {
        // SAFETY: `container` is NULL or a live handle, as promised.
        unsafe { container.as_ref() }.map_or(-1, |c| c.container.init_pid())
    })
}

/// A descriptor that came with the listener, by its name, open as long as container and listener are;
/// -1 if there is none. The runtimes of today send no other.
///
/// # Safety
/// `container` is NULL or a live handle; `name` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_fd(
    container: *const unotify_container,
    name: *const c_char,
) -> c_int {
    infallible(-1, || {
        // SAFETY: NULL or a live handle, NULL or a string, as promised.
        let (container, name) = unsafe { (container.as_ref(), utf8(name, "name")) };
        let (Some(container), Ok(name)) = (container, name) else {
            return -1;
        };
        container.container.fd(name).map_or(-1, |fd| fd.as_raw_fd())
    })
}

/// 1 if another agent has handed it over, else 0; also for NULL.
///
/// # Safety
/// `container` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_was_handed_over(
    container: *const unotify_container,
) -> c_int {
    infallible(0, || {
        // SAFETY: `container` is NULL or a live handle, as promised.
        unsafe { container.as_ref() }.map_or(0, |c| c.container.was_handed_over().into())
    })
}

/// Hands out the container's listener. If nobody takes it, it is freed with the container.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it was taken before.
///
/// # Safety
/// `container` is NULL or a live handle; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_take_listener(
    container: *mut unotify_container,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: NULL or a live handle, NULL or valid for writing, as promised.
        let (container, out) = unsafe { (shared(container, "container")?, Out::new(out, "out")?) };
        out.put_boxed(unotify_listener(container.container.take_listener()?));
        Ok(())
    })
}

/// Frees a container, and its listener if nobody took it: its notifying calls get `ENOSYS`.
///
/// # Safety
/// `container` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_container_free(container: *mut unotify_container) {
    // SAFETY: `container` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(container) }));
}
