package unotify

import "sync/atomic"

// turns lets so many in at a time, and can be waited for along with other things.
type turns struct {
	most    int32
	taken   atomic.Int32
	waiting atomic.Int32
	free    chan struct{} // Has something when one was given back while somebody waited. Of capacity most.
}

func newTurns(most int) *turns { return &turns{most: int32(most), free: make(chan struct{}, most)} }

func (t *turns) try() bool {
	for {
		taken := t.taken.Load()
		if taken >= t.most {
			return false
		}
		if t.taken.CompareAndSwap(taken, taken+1) {
			return true
		}
	}
}

// take waits for one.
func (t *turns) take() {
	t.waiting.Add(1)
	for !t.try() {
		<-t.free
	}
	t.waiting.Add(-1)
}

// giveBack frees one before it looks whether somebody waits, and who waits says so before trying: so nobody is left.
func (t *turns) giveBack() {
	t.taken.Add(-1)
	if t.waiting.Load() > 0 {
		select {
		case t.free <- struct{}{}:
		default:
		}
	}
}
