package unotify

import "sync/atomic"

// users counts the goroutines that are inside of C with a handle, so that it is freed when the last has left.
type users struct{ state atomic.Int64 }

const noMore = 1 << 62 // The bit of a handle that was closed.

// enter is to be followed by leave, unless the handle was closed.
func (u *users) enter() bool {
	for {
		state := u.state.Load()
		if state&noMore != 0 {
			return false
		}
		if u.state.CompareAndSwap(state, state+1) {
			return true
		}
	}
}

// leave tells whether the handle is to be freed: it was closed, and nobody is left.
func (u *users) leave() bool { return u.state.Add(-1) == noMore }

// close lets nobody in any more. The caller has entered. It tells whether it was the first to close.
func (u *users) close() bool {
	for {
		state := u.state.Load()
		if state&noMore != 0 {
			return false
		}
		if u.state.CompareAndSwap(state, state|noMore) {
			return true
		}
	}
}
