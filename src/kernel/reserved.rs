//! Memory made while there may still be system calls, for a value that comes when there may not.

use std::mem::MaybeUninit;
use std::sync::Arc;

/// Memory for a shared value.
#[derive(Debug)]
pub(crate) struct Reserved<T>(Arc<MaybeUninit<T>>);

impl<T> Reserved<T> {
    pub(crate) fn new() -> Self {
        Reserved(Arc::new_uninit())
    }

    /// Puts the value in. Allocates and frees nothing.
    pub(crate) fn fill(mut self, value: T) -> Arc<T> {
        if let Some(place) = Arc::get_mut(&mut self.0) {
            place.write(value);
        }
        // SAFETY: nobody else has ever had this `Arc`, so the value was written.
        unsafe { self.0.assume_init() }
    }
}
