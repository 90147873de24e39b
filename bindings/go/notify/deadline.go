package notify

import (
	"sync"
	"sync/atomic"
	"time"
)

// A deadline closes a channel when its time has come. It can be moved at any time.
type deadline struct {
	isSet  atomic.Bool // so that who has none need not look further
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}
}

func newDeadline() deadline { return deadline{passed: make(chan struct{})} }

// set moves the deadline, when expired is called; the zero time is none.
func (d *deadline) set(when time.Time, expired func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isSet.Store(!when.IsZero())
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // it has come, or is about to
	}
	d.timer = nil
	isPassed := false
	select {
	case <-d.passed:
		isPassed = true
	default:
	}
	limit := time.Until(when)
	switch {
	case !when.IsZero() && limit <= 0:
		if !isPassed {
			close(d.passed)
			expired()
		}
		return
	case isPassed:
		d.passed = make(chan struct{})
	}
	if !when.IsZero() {
		passed := d.passed
		d.timer = time.AfterFunc(limit, func() {
			close(passed)
			expired()
		})
	}
}

// channel is closed when the deadline that is set now has come. One that is moved is waited for anew.
func (d *deadline) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func (d *deadline) hasPassed() bool {
	if !d.isSet.Load() {
		return false
	}
	select {
	case <-d.channel():
		return true
	default:
		return false
	}
}
