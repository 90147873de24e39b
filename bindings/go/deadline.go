package unotify

import (
	"sync"
	"sync/atomic"
	"time"
)

// deadline is a time that may be set again while others wait for it.
type deadline struct {
	mu     sync.Mutex
	isSet  atomic.Bool // So that who has none does not have to look further.
	number int         // Of times that it was set: a timer that is late belongs to an earlier one.
	timer  *time.Timer
	passed chan struct{} // Closed once it has.
}

// set calls expired when the time has come, which may be at once. The zero time is never.
func (d *deadline) set(t time.Time, expired func()) {
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.number++
	d.isSet.Store(!t.IsZero())
	if d.passed == nil || isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	left := time.Until(t)
	switch {
	case t.IsZero():
	case left > 0:
		number := d.number
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			late := d.number != number
			if !late {
				close(d.passed)
			}
			d.mu.Unlock()
			if !late {
				expired()
			}
		})
	default:
		close(d.passed)
		defer expired()
	}
	d.mu.Unlock()
}

// wait gives a channel that is closed when the time has come.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

func (d *deadline) isOver() bool { return d.isSet.Load() && isClosed(d.wait()) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
