//! A lock that a panic does not spoil.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock, whoever has panicked with it: what these locks keep is whole between any two
/// statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
