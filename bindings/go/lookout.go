package unotify

import (
	"sync/atomic"
	"time"
)

const lookEvery = 4 * time.Millisecond

// lookout sees whether somebody who goes in and out somewhere still does. What goes in and out pays two additions for
// it; the looking is a timer's, which is there only while there is something to see.
type lookout struct {
	count   atomic.Uint64 // Odd while somebody is inside.
	seen    atomic.Uint64 // What it was when the timer looked.
	awake   atomic.Bool
	timer   *time.Timer
	unmoved func(inside bool) // Called when nobody has moved from one look to the next, which was the last.
}

// wake begins to look, unless somebody does.
func (o *lookout) wake() {
	if !o.awake.CompareAndSwap(false, true) {
		return
	}
	o.seen.Store(o.count.Load())
	if o.timer == nil {
		o.timer = time.AfterFunc(time.Hour, o.look) // Which looks at the timer: so that is set first.
	}
	o.timer.Reset(lookEvery)
}

// look says that it sleeps before it looks the last time, and who goes in says so before he looks whether it sleeps: so
// nobody stays inside unseen.
func (o *lookout) look() {
	count := o.count.Load()
	if o.seen.Swap(count) != count {
		o.timer.Reset(lookEvery)
		return
	}
	o.awake.Store(false)
	o.unmoved(o.count.Load()&1 == 1)
}
