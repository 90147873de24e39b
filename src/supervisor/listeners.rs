//! The listeners a supervisor serves.

use super::backlog::{Leaving, Of};
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::kernel::epoll::{Epoll, WakeFd};
use crate::kernel::fd;
use crate::listener::Listener;
use crate::lock::lock;
use crate::shared::{Owned, Shared};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// Whether a report is of the end of a listener's child; see [`Listeners::child_ended`].
pub(super) fn is_child(key: u64) -> bool {
    key & CHILD != 0
}

/// The key that the descriptors are reported with that only wake who waits.
pub(super) const WAKE: u64 = 0;

/// In the key that the end of a listener's child is reported with, beside the listener's own key.
const CHILD: u64 = 1 << 63;

/// The key that ends of watched processes are reported with, all of them.
pub(super) const EXITS: u64 = 1 << 62;

/// A listener and the key it is reported with.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) shared: Arc<Shared>,
}

/// The set, and the epoll instance that watches it: every listener, and what is to wake who waits.
///
/// A watched listener costs each of its notifications two calls into epoll. So one that a worker
/// blocks on, as it is the only one, is not watched while it does.
#[derive(Debug)]
pub(super) struct Listeners {
    epoll: Epoll,
    wake: WakeFd,
    /// Becomes readable anew for those who wait whenever there is news.
    news: WakeFd,
    set: Mutex<Set>,
    count: AtomicUsize,
    next_key: AtomicU64,
}

#[derive(Debug, Default)]
struct Set {
    by_key: HashMap<u64, Member>,
    unwatched: Option<u64>,
    /// What was taken away and workers may hold all the same; see [`Listeners::let_go`].
    taken: Vec<Weak<Shared>>,
}

#[derive(Debug)]
struct Member {
    shared: Owned,
    /// What it was added with; its own may be changed.
    tag: usize,
}

impl Member {
    fn leaving(&self) -> Leaving {
        Leaving {
            shared: Arc::downgrade(&self.shared),
            tag: self.tag,
        }
    }
}

impl Listeners {
    pub(super) fn new() -> Result<Self> {
        let epoll = Epoll::new().map_err(|e| Error::system(e, "make an epoll descriptor"))?;
        let event_fd = || WakeFd::new().map_err(|e| Error::system(e, "make an event descriptor"));
        let (wake, news) = (event_fd()?, event_fd()?);
        epoll
            .add(wake.as_fd(), WAKE)
            .map_err(|e| Error::system(e, "watch the event descriptor"))?;
        Ok(Listeners {
            epoll,
            wake,
            news,
            set: Mutex::default(),
            count: AtomicUsize::new(0),
            next_key: AtomicU64::new(WAKE + 1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        lock(&self.set)
    }

    pub(super) fn add(&self, listener: &Listener, tag: usize) -> Result<()> {
        let key = self.next_key.fetch_add(1, SeqCst);
        let mut set = self.lock();
        self.rewatch(&mut set)?;
        self.watch(key, listener.as_fd())?;
        if let Err(error) = self.watch_child(key, listener.shared()) {
            let _ = self.epoll.remove(listener.as_fd());
            return Err(error);
        }
        let shared = Owned::new(Arc::clone(listener.shared()));
        set.by_key.insert(key, Member { shared, tag });
        self.changed(&set);
        Ok(())
    }

    /// Removes one that has ended. `None` when it is not there any more.
    pub(super) fn remove(&self, key: u64) -> Option<Leaving> {
        let mut set = self.lock();
        let gone = self.take_out(&mut set, key)?;
        self.unwatch_child(&gone.shared);
        Some(gone.leaving())
    }

    /// Takes away the one that is so, with the tag that it was added with, the first if several are, to
    /// be received from elsewhere.
    pub(super) fn take(
        &self,
        is_wanted: impl Fn(&Shared, usize) -> bool,
    ) -> Option<(Owned, Leaving)> {
        let mut set = self.lock();
        let wanted = |(_, member): &(&u64, &Member)| is_wanted(&member.shared, member.tag);
        let key = set
            .by_key
            .iter()
            .filter(wanted)
            .map(|(key, _)| *key)
            .min()?;
        let taken = self.take_out(&mut set, key)?;
        if let Some(watch) = taken.shared.watch() {
            if let Some(pidfd) = watch.pidfd() {
                // Whoever receives from it looks for that end.
                let _ = self.epoll.remove(pidfd);
            }
        }
        let leaving = taken.leaving();
        // It may be taken, added and taken again.
        let others =
            |other: &Weak<_>| !Weak::ptr_eq(other, &leaving.shared) && other.strong_count() > 0;
        set.taken.retain(others);
        set.taken.push(Weak::clone(&leaving.shared));
        Some((taken.shared, leaving))
    }

    fn take_out(&self, set: &mut Set, key: u64) -> Option<Member> {
        let gone = set.by_key.remove(&key)?;
        let unwatched = set.unwatched.take_if(|unwatched| *unwatched == key);
        if unwatched.is_none() {
            // It can only fail if the descriptor was closed behind our back.
            let _ = self.epoll.remove(gone.shared.fd());
        }
        self.changed(set);
        Some(gone)
    }

    /// Watches what tells of the ends of processes, which is told once until somebody has looked.
    pub(super) fn watch_exits(&self, exits: BorrowedFd<'_>) -> Result<()> {
        self.epoll
            .add_edge(exits, EXITS)
            .map_err(|e| Error::system(e, "watch for the ends of processes"))
    }

    /// Where a listener does not tell of its child's end, the child does, with another key.
    fn watch_child(&self, key: u64, shared: &Shared) -> Result<()> {
        let Some(watch) = shared.watch() else {
            return Ok(());
        };
        let Some(pidfd) = watch.pidfd() else {
            return Ok(());
        };
        self.epoll
            .add(pidfd, key | CHILD)
            .map_err(|e| Error::system(e, "watch the listener's child"))
    }

    fn unwatch_child(&self, shared: &Shared) {
        if let Some(watch) = shared.watch() {
            if let Some(pidfd) = watch.pidfd() {
                let _ = self.epoll.remove(pidfd);
            }
            shared.unwatch();
        }
    }

    /// Looks at the child whose end was reported. The key of its listener if that one has nothing
    /// more to give.
    pub(super) fn child_ended(&self, key: u64) -> Option<u64> {
        let key = key & !CHILD;
        let shared = Arc::clone(&self.lock().by_key.get(&key)?.shared);
        match shared.watch()?.look() {
            Ending::Reaped => {
                self.unwatch_child(&shared);
                None
            }
            Ending::Zombie => (!shared.readable()).then_some(key),
            Ending::NotYet => {
                // Its tracer is told first. That takes a moment, and the report stays meanwhile.
                std::thread::sleep(Duration::from_millis(1));
                None
            }
        }
    }

    fn changed(&self, set: &Set) {
        self.count.store(set.by_key.len(), SeqCst);
    }

    fn watch(&self, key: u64, fd: BorrowedFd<'_>) -> Result<()> {
        self.epoll
            .add(fd, key)
            .map_err(|e| Error::system(e, "watch the listener"))
    }

    fn rewatch(&self, set: &mut Set) -> Result<()> {
        if let Some(key) = set.unwatched {
            self.watch(key, set.by_key[&key].shared.fd())?;
            set.unwatched = None;
        }
        Ok(())
    }

    /// Watches them all again. A listener that the kernel has no more room for is given up.
    pub(super) fn watch_all(&self) -> Result<(), (Error, Option<Leaving>)> {
        let mut set = self.lock();
        let watched = self.rewatch(&mut set);
        watched.map_err(|error| {
            let key = set.unwatched.take();
            let gone = key.and_then(|key| set.by_key.remove(&key));
            self.changed(&set);
            (error, gone.map(|gone| gone.leaving()))
        })
    }

    /// The listener, for a worker that says in `of` whose it is from here on. Both under the lock:
    /// who removes one looks there afterwards.
    pub(super) fn get(&self, key: u64, of: &Of) -> Option<Entry> {
        let set = self.lock();
        let shared = Arc::clone(&set.by_key.get(&key)?.shared);
        of.store(Arc::as_ptr(&shared).cast_mut(), SeqCst);
        Some(Entry { key, shared })
    }

    /// The only one, if there is just one, for a worker as in [`Listeners::get`]; it is not watched
    /// from here on, until there are more or [`Listeners::watch_all`].
    pub(super) fn only(&self, of: &Of) -> Option<Entry> {
        let mut set = self.lock();
        let mut all = set.by_key.iter();
        let (Some((&key, _)), None) = (all.next(), all.next()) else {
            return None;
        };
        self.unwatch(&mut set, key, of)
    }

    /// One of several, as if it were the only one.
    pub(super) fn alone(&self, key: u64, of: &Of) -> Option<Entry> {
        self.unwatch(&mut self.lock(), key, of)
    }

    fn unwatch(&self, set: &mut Set, key: u64, of: &Of) -> Option<Entry> {
        if set.unwatched.is_some_and(|unwatched| unwatched != key) {
            self.rewatch(set).ok()?;
        }
        let shared = Arc::clone(&set.by_key.get(&key)?.shared);
        of.store(Arc::as_ptr(&shared).cast_mut(), SeqCst);
        if set.unwatched.is_none() && self.epoll.remove(shared.fd()).is_ok() {
            set.unwatched = Some(key);
        }
        Some(Entry { key, shared })
    }

    /// Whether any that is watched has something to tell, within so long.
    pub(super) fn have_something(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        !matches!(fd::poll(self.epoll.as_fd(), Some(deadline)), Ok(None))
    }

    /// For one of several who wait for a listener: an epoll instance of its own, so that each
    /// notification wakes just one of them.
    pub(super) fn share(&self, entry: &Entry) -> crate::kernel::Result<Epoll> {
        let epoll = Epoll::new()?;
        epoll.add_edge(self.news.as_fd(), WAKE)?;
        epoll.add_exclusive(entry.shared.fd(), entry.key)?;
        Ok(epoll)
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        let entry = |(&key, member): (&u64, &Member)| Entry {
            key,
            shared: Arc::clone(&member.shared),
        };
        self.lock().by_key.iter().map(entry).collect()
    }

    /// Lets go of all of them. Their tags, and those, with what was taken away before, that somebody
    /// holds all the same: a worker that is stuck, or a notification that was kept.
    pub(super) fn let_go(&self) -> (Vec<usize>, Vec<Weak<Shared>>) {
        let mut set = self.lock();
        let mut all: Vec<_> = set.by_key.drain().collect();
        all.sort_by_key(|(key, _)| *key);
        set.unwatched = None;
        let mut held = std::mem::take(&mut set.taken);
        self.changed(&set);
        drop(set);
        let left = all.into_iter().map(|(_, member)| {
            held.push(Arc::downgrade(&member.shared));
            member.tag
        });
        let left = left.collect();
        held.retain(|listener| listener.strong_count() > 0);
        (left, held)
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

    /// For the time of a run, news end the wait on the epoll descriptor too. Between two runs an
    /// event loop may wait on it, which they are of no use to.
    pub(super) fn watch_news(&self) -> Result<()> {
        self.epoll
            .add_edge(self.news.as_fd(), WAKE)
            .map_err(|e| Error::system(e, "watch the event descriptor"))
    }

    pub(super) fn unwatch_news(&self) {
        // It fails only if they are not watched.
        let _ = self.epoll.remove(self.news.as_fd());
    }

    /// Ends the waits for listeners that are under way or about to begin. Async-signal-safe.
    pub(super) fn tell_news(&self) {
        self.news.wake();
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
