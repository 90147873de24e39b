package unotify

// #include "shim.h"
import "C"

import (
	"errors"
	"sync/atomic"
	"time"
)

// Stats is what a supervisor has done so far.
type Stats struct {
	Received            uint64        // Notifications received.
	Values              uint64        // Answered with a value.
	Errors              uint64        // Answered with an error by a handler.
	Continued           uint64        // Continued.
	Fds                 uint64        // Answered with a descriptor, or by opening or connecting.
	Fallbacks           uint64        // Answered with the fallback error: nobody else did.
	Gone                uint64        // Gone before they were answered.
	Deferred            uint64        // Deferred; counted once more when answered.
	DeferredOutstanding uint64        // Deferred and not closed so far.
	Panics              uint64        // Handlers that panicked, or ended their goroutine.
	Failed              uint64        // Handlers that gave a Failed verdict.
	Listeners           uint64        // Listeners served now.
	Workers             uint64        // Goroutines now that receive or handle.
	SlowestHandler      time.Duration // The longest time of one handler, of those sampled.
}

// counts are the counters behind it. Some are counted on the way of each notification.
type counts struct {
	received, values, errors, continued, fds, fallbacks, gone, deferred, panics, failed atomic.Uint64

	kept    atomic.Int64
	workers atomic.Int64
	slowest atomic.Int64
}

func (c *counts) answered(reply C.uint32_t, err error) {
	switch {
	case err != nil:
		if errors.Is(err, ErrGone) {
			c.gone.Add(1)
		}
	case reply == C.UNOTIFY_REPLY_VALUE:
		c.values.Add(1)
	case reply == C.UNOTIFY_REPLY_ERROR:
		c.errors.Add(1)
	case reply == C.UNOTIFY_REPLY_CONTINUE:
		c.continued.Add(1)
	}
}

// A handler took so long.
func (c *counts) took(time int64) {
	for {
		slowest := c.slowest.Load()
		if time <= slowest || c.slowest.CompareAndSwap(slowest, time) {
			return
		}
	}
}

// Stats gives what it has done so far.
func (s *Supervisor) Stats() Stats {
	s.mu.Lock()
	listeners := len(s.serving)
	s.mu.Unlock()
	c := &s.counts
	return Stats{
		Received: c.received.Load(), Values: c.values.Load(), Errors: c.errors.Load(), Continued: c.continued.Load(),
		Fds: c.fds.Load(), Fallbacks: c.fallbacks.Load(), Gone: c.gone.Load(), Deferred: c.deferred.Load(),
		DeferredOutstanding: uint64(c.kept.Load()), Panics: c.panics.Load(), Failed: c.failed.Load(),
		Listeners: uint64(listeners), Workers: uint64(c.workers.Load()), SlowestHandler: time.Duration(c.slowest.Load()),
	}
}
