//! What stands between C and the core: panics, null pointers, strings, options, the last error.

use crate::error::{Error, Result, Status};
use crate::for_c::Uncancelled;
use crate::kernel::Errno;
use std::cell::RefCell;
use std::ffi::{c_char, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// What every fallible function of the C API returns: 0 for success, else a negative
/// `UNOTIFY_ERR_*`.
pub type unotify_status = Status;

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the body of a C function: a panic becomes [`Status::Panic`], an error is remembered for
/// `unotify_last_error` and put into `errno`. Success leaves both as they were. The thread is not
/// cancelled meanwhile.
pub(super) fn call(body: impl FnOnce() -> Result<()>) -> Status {
    let _whole = Uncancelled::new();
    call_in_place(body)
}

/// [`call`] for a body that comes through no cancellation point, as its system calls are made in
/// place: to answer a notification, which is to cost nothing more than that.
pub(super) fn call_in_place(body: impl FnOnce() -> Result<()>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&Error::new(
            Status::Panic,
            "the library panicked: please report this",
        )),
    }
}

/// Remembers why a function fails.
#[cold]
fn failed(error: &Error) -> Status {
    let _whole = Uncancelled::new();
    // A thread that is being torn down has no place left for the sentence.
    let _ = LAST_ERROR.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.clear();
            last.push_str(&error.to_string());
        }
    });
    Errno(error.errno()).set();
    error.status()
}

/// Runs the body of a C function that cannot fail, such as an accessor or a `_free`; should it
/// panic all the same, the answer is `otherwise`. The thread is not cancelled meanwhile.
pub(super) fn infallible<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    let _whole = Uncancelled::new();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// The calling thread's last error, as a sentence.
pub(super) fn with_last_error<T>(look: impl FnOnce(&str) -> T) -> Option<T> {
    LAST_ERROR
        .try_with(|last| last.try_borrow().ok().map(|l| look(&l)))
        .ok()
        .flatten()
}

pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Status::InvalidArgument, message)
}

/// A handle that C lends.
///
/// # Safety
/// `ptr` is null or points to a live `T` that nobody changes for as long as the result is used.
pub(super) unsafe fn shared<'a, T>(ptr: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: null or a live `T` that nobody changes meanwhile, as promised.
    unsafe { ptr.as_ref() }.ok_or_else(|| invalid(format!("`{name}` is null")))
}

/// A handle that C lends to be changed.
///
/// # Safety
/// `ptr` is null or points to a live `T` that nobody else uses for as long as the result is used.
pub(super) unsafe fn exclusive<'a, T>(ptr: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: null or a live `T` that nobody else uses meanwhile, as promised.
    unsafe { ptr.as_mut() }.ok_or_else(|| invalid(format!("`{name}` is null")))
}

/// Where a result goes. Checked before the work is done, written after it succeeded.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `ptr` is null or valid for writing a `T` until [`Out::put`].
    pub(super) unsafe fn new(ptr: *mut T, name: &str) -> Result<Self> {
        if ptr.is_null() {
            return Err(invalid(format!("`{name}` is null")));
        }
        Ok(Out(ptr))
    }

    pub(super) fn put(self, value: T) {
        // SAFETY: not null, and valid by the promise given to `new`.
        unsafe { self.0.write(value) };
    }
}

impl<T> Out<*mut T> {
    /// Hands out a new handle, which the caller frees.
    pub(super) fn put_boxed(self, value: T) {
        self.put(Box::into_raw(Box::new(value)));
    }
}

/// Takes a handle back; nothing for null.
///
/// # Safety
/// `ptr` is null or came from [`Out::put_boxed`] and is not used again.
pub(super) unsafe fn reclaim<T>(ptr: *mut T) -> Option<Box<T>> {
    // SAFETY: it came from `put_boxed` and is not used again, as promised.
    (!ptr.is_null()).then(|| unsafe { Box::from_raw(ptr) })
}

/// A C string.
///
/// # Safety
/// `ptr` is null or points to a NUL-terminated string that lives as long as the result is used.
pub(super) unsafe fn c_str<'a>(ptr: *const c_char, name: &str) -> Result<&'a CStr> {
    if ptr.is_null() {
        return Err(invalid(format!("`{name}` is null")));
    }
    // SAFETY: not null, so a string that lives long enough, as promised.
    Ok(unsafe { CStr::from_ptr(ptr) })
}

/// A C string that has to be UTF-8, as names of system calls and architectures are.
///
/// # Safety
/// As [`c_str`].
pub(super) unsafe fn utf8<'a>(ptr: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: null or a string that lives long enough, as promised.
    let text = unsafe { c_str(ptr, name) }?;
    text.to_str()
        .map_err(|_| invalid(format!("`{name}` is not UTF-8")))
}

/// An array that C lends; null is an empty one if the length says so.
///
/// # Safety
/// `ptr` is valid for reading `len` values for as long as the result is used, or `len` is 0.
pub(super) unsafe fn slice<'a, T>(ptr: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if ptr.is_null() {
        return Err(invalid(format!("`{name}` is null and its length is {len}")));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("`{name}` is longer than memory: {len}")));
    }
    // SAFETY: valid for reading `len` values, as promised; their length in bytes fits `isize`.
    Ok(unsafe { std::slice::from_raw_parts(ptr, len) })
}

/// Room that C lends to be written to; null is no room if the length is 0.
///
/// # Safety
/// `ptr` is valid for writing `len` values, and nobody else uses them for as long as the result is
/// used, or `len` is 0.
pub(super) unsafe fn room<'a, T>(ptr: *mut T, len: usize, name: &str) -> Result<&'a mut [T]> {
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: valid for `len` values, as promised.
    unsafe { slice(ptr.cast_const(), len, name) }?;
    // SAFETY: not null, not longer than memory, and nobody else's meanwhile, as promised.
    Ok(unsafe { std::slice::from_raw_parts_mut(ptr, len) })
}

/// Copies a string with its NUL into `buf`, cut to fit (`snprintf` manners, but the whole length
/// is not returned). Writes nothing when `len` is 0.
///
/// # Safety
/// `buf` is valid for writing `len` bytes.
pub(super) unsafe fn copy_text(text: &str, buf: *mut c_char, len: usize) {
    if buf.is_null() || len == 0 {
        return;
    }
    let n = text.len().min(len - 1);
    // SAFETY: `n` bytes and a NUL fit `len`.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buf, n);
        buf.add(n).write(0);
    }
}

/// How long the caller's structure is: its first field.
///
/// # Safety
/// `ptr` points to a structure that begins with a `usize`.
unsafe fn size_of_callers<T>(ptr: *const T, name: &str) -> Result<usize> {
    // SAFETY: the structure is at least its first field long.
    let size = unsafe { ptr.cast::<usize>().read_unaligned() };
    if size < size_of::<usize>() || size > 4096 {
        return Err(invalid(format!(
            "`{name}.size` is {size}; set it to sizeof the structure"
        )));
    }
    Ok(size)
}

/// An options structure of the C API. Its first field is `size_t size`, its size when the caller
/// was compiled; every field's zero is the default.
///
/// # Safety
/// `repr(C)`, begins with a `usize`, every bit pattern is a value, and `DEFAULT` is all zero but
/// for that first field.
pub(super) unsafe trait Options: Copy {
    const NAME: &'static str;
    fn zeroed() -> Self;
}

/// Reads an options structure of any age: null is the defaults, one that is shorter than ours is
/// filled up with zeroes, one that is longer must have only zeroes where we know nothing.
///
/// # Safety
/// `ptr` is null or points to a structure as long as its first field says.
pub(super) unsafe fn options<T: Options>(ptr: *const T) -> Result<T> {
    let mut options = T::zeroed();
    if ptr.is_null() {
        return Ok(options);
    }
    let bytes = ptr.cast::<u8>();
    // SAFETY: not null, so as long as its first field says, as promised.
    let size = unsafe { size_of_callers(ptr, T::NAME) }?;
    let known = size.min(size_of::<T>());
    // SAFETY: both are at least `known` bytes long, and every bit pattern is a `T`.
    unsafe { std::ptr::copy_nonoverlapping(bytes, (&raw mut options).cast::<u8>(), known) };
    // SAFETY: the caller's structure is `size` bytes long.
    if (known..size).any(|at| unsafe { bytes.add(at).read() } != 0) {
        return Err(Error::new(
            Status::Unsupported,
            format!(
                "`{}` asks for an option this version does not have",
                T::NAME
            ),
        ));
    }
    Ok(options)
}

/// A structure of the C API that the library fills in. Its first field is `size_t size`, its size
/// when the caller was compiled.
///
/// # Safety
/// `repr(C)`, and begins with a `usize`.
pub(super) unsafe trait Report: Copy {
    const NAME: &'static str;
}

/// Fills in a structure of any age, the same way for all of them: what the caller's has no room for is
/// left out, what it has beyond ours becomes zero, and its `size` stays.
///
/// # Safety
/// `ptr` is null or points to a structure as long as its first field says.
pub(super) unsafe fn report<T: Report>(
    ptr: *mut T,
    find: impl FnOnce() -> Result<T>,
) -> Result<()> {
    if ptr.is_null() {
        return Err(invalid(format!("`{}` is null", T::NAME)));
    }
    // SAFETY: not null, so as long as its first field says, as promised.
    let size = unsafe { size_of_callers(ptr, T::NAME) }?;
    if size == size_of::<usize>() {
        // It asks for nothing: most likely it is the size of a pointer to the structure.
        return Err(invalid(format!(
            "`{}.size` is {size}, which has room for nothing",
            T::NAME
        )));
    }
    let found = find()?;
    let known = size.min(size_of::<T>());
    let (from, to) = ((&raw const found).cast::<u8>(), ptr.cast::<u8>());
    // SAFETY: the caller's structure is `size` bytes long, as promised, and ours at least
    // `known`.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, known);
        to.add(known).write_bytes(0, size - known);
        to.cast::<usize>().write_unaligned(size);
    }
    Ok(())
}
