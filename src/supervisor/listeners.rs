//! The listeners a supervisor serves.

use crate::error::{Error, Result};
use crate::kernel::epoll::{Epoll, WakeFd};
use crate::listener::{Listener, Shared};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The key that the wake-up descriptor is reported with.
pub(super) const WAKE: u64 = 0;

/// A listener and the key it is reported with.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) shared: Arc<Shared>,
}

/// The set, and the epoll instance that watches it: every listener, and a descriptor to wake up.
#[derive(Debug)]
pub(super) struct Listeners {
    epoll: Epoll,
    wake: WakeFd,
    by_key: Mutex<HashMap<u64, Arc<Shared>>>,
    count: AtomicUsize,
    next_key: AtomicU64,
}

impl Listeners {
    pub(super) fn new() -> Result<Self> {
        let epoll = Epoll::new().map_err(|e| Error::system(e, "make an epoll descriptor"))?;
        let wake = WakeFd::new().map_err(|e| Error::system(e, "make an event descriptor"))?;
        epoll
            .add(wake.as_fd(), WAKE)
            .map_err(|e| Error::system(e, "watch the event descriptor"))?;
        Ok(Listeners {
            epoll,
            wake,
            by_key: Mutex::default(),
            count: AtomicUsize::new(0),
            next_key: AtomicU64::new(WAKE + 1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Shared>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, listener: &Listener) -> Result<()> {
        let key = self.next_key.fetch_add(1, SeqCst);
        let mut by_key = self.lock();
        self.epoll
            .add(listener.as_fd(), key)
            .map_err(|e| Error::system(e, "watch the listener"))?;
        by_key.insert(key, Arc::clone(listener.shared()));
        self.changed(&by_key);
        Ok(())
    }

    pub(super) fn remove(&self, key: u64) {
        let mut by_key = self.lock();
        if let Some(gone) = by_key.remove(&key) {
            // It can only fail if the descriptor was closed behind our back.
            let _ = self.epoll.remove(gone.fd());
        }
        self.changed(&by_key);
    }

    fn changed(&self, by_key: &HashMap<u64, Arc<Shared>>) {
        self.count.store(by_key.len(), SeqCst);
    }

    pub(super) fn get(&self, key: u64) -> Option<Entry> {
        let shared = self.lock().get(&key).map(Arc::clone)?;
        Some(Entry { key, shared })
    }

    /// The only one, if there is just one.
    pub(super) fn only(&self) -> Option<Entry> {
        let by_key = self.lock();
        let mut all = by_key.iter();
        match (all.next(), all.next()) {
            (Some((&key, shared)), None) => Some(Entry {
                key,
                shared: Arc::clone(shared),
            }),
            _ => None,
        }
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        let entry = |(&key, shared): (&u64, &Arc<Shared>)| Entry {
            key,
            shared: Arc::clone(shared),
        };
        self.lock().iter().map(entry).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Ends every wait on the epoll descriptor, until [`Listeners::calm`]. Async-signal-safe.
    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    pub(super) fn calm(&self) {
        self.wake.clear();
    }
}

impl AsFd for Listeners {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
