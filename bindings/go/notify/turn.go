package notify

import "sync/atomic"

// A turn is one goroutine's at a time. It is a lock that costs little while nobody else wants it, and that one may
// stop waiting for.
type turn struct {
	taken   atomic.Bool
	waiting atomic.Int32
	free    chan struct{} // has something when it was given back and somebody waits
}

func newTurn() turn { return turn{free: make(chan struct{}, 1)} }

func (t *turn) take() bool { return t.taken.CompareAndSwap(false, true) }

// giveBack tells one of those who wait: whoever waits is counted before it tries to take it.
func (t *turn) giveBack() {
	t.taken.Store(false)
	if t.waiting.Load() > 0 {
		select {
		case t.free <- struct{}{}:
		default:
		}
	}
}
