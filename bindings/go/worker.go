package unotify

// #include "shim.h"
import "C"

import (
	"context"
	"runtime/debug"
	"syscall"
	"time"
)

// A listener has one worker that leads: it receives, and handles what it received on the spot, which takes no switch to
// another goroutine. It gives its lead away to a new worker before a handler that blocks, when it has to wait for a
// permit, and when a timer finds it at a handler for long; then it ends with that handler.
type worker struct {
	s         *Supervisor
	r         *run
	v         *served
	n         *Notification
	handling  lookout // At its handler.
	hasPermit bool
	number    uint // Of handlers that it has called.
	key       callKey
	handlers  []handler // For the call that this is the key of, the last that came.
}

// How many handlers go untimed for each that is not.
const sample = 64

// serve begins to serve a listener. The caller holds the lock.
func (s *Supervisor) serve(r *run, v *served) {
	v.ctx, v.cancel = context.WithCancel(r.ctx)
	s.addWorker(r, v)
}

// The caller holds the lock.
func (s *Supervisor) addWorker(r *run, v *served) {
	w := &worker{s: s, r: r, v: v}
	w.handling.unmoved = func(atHandler bool) {
		if atHandler {
			w.giveLeadAway()
		}
	}
	r.workers++
	v.workers++
	s.counts.workers.Add(1)
	v.lead.Store(w)
	go w.work()
}

func (w *worker) giveLeadAway() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if !w.v.leaving && !w.r.stopping.Load() && w.v.lead.CompareAndSwap(w, nil) {
		w.s.addWorker(w.r, w.v)
	}
}

// work ends also when a handler ends the goroutine, and so all that is to be done in the end is done by the deferred.
func (w *worker) work() {
	defer w.end()
	reply, value := C.uint32_t(C.UNOTIFY_REPLY_NONE), int64(0)
	for {
		if w.r.stopping.Load() || w.v.lead.Load() != w {
			w.answer(reply, value)
			return
		}
		if err := w.renew(); err != nil {
			w.leave(err)
			return
		}
		replied, err := w.v.listener.receive(w.v.ctx, w.n, reply, value)
		w.n.busy.Store(false)
		if replied != nil && !isLate(replied) {
			w.fallBack() // The answer was none, and so nothing was received.
			reply = C.UNOTIFY_REPLY_NONE
			continue
		}
		if err != nil {
			w.leave(err)
			return
		}
		w.s.counts.received.Add(1)
		if !w.r.permits.try() {
			w.giveLeadAway()
			w.r.permits.take()
		}
		w.hasPermit = true
		reply, value = w.handle()
		w.hasPermit = false
		w.r.permits.giveBack()
	}
}

// renew takes hold of the notification, or of a new one if somebody else has this one.
func (w *worker) renew() error {
	if w.n == nil || !w.n.busy.CompareAndSwap(false, true) {
		w.n = &Notification{counts: &w.s.counts}
		w.n.busy.Store(true)
	}
	if w.n.h != nil {
		return nil
	}
	h, err := newHandle()
	if err == nil {
		h.kept = &w.s.counts.kept
		w.n.h = h
	}
	return err
}

// answer gives the last answer.
func (w *worker) answer(reply C.uint32_t, value int64) {
	if reply != C.UNOTIFY_REPLY_NONE {
		if err := w.n.answer(reply, value); err != nil && !isLate(err) {
			w.fallBack()
		}
	}
}

// fallBack answers with the fallback error what nobody has answered.
func (w *worker) fallBack() {
	fallback := w.s.FallbackError
	if fallback == 0 {
		fallback = syscall.ENOSYS
	}
	n := w.n
	if !n.busy.CompareAndSwap(false, true) {
		return // Who has it answers it, or it is collected.
	}
	defer n.busy.Store(false)
	if n.h == nil || !n.pending {
		return
	}
	switch err := n.h.answer(C.UNOTIFY_REPLY_ERROR, int64(fallback)); {
	case err == nil:
		n.pending = false
		w.s.counts.fallbacks.Add(1)
	case isLate(err):
		n.pending = false
		w.s.counts.gone.Add(1)
	default: // The fallback error is none.
		n.drop()
		w.s.counts.fallbacks.Add(1)
	}
}

// handle asks the handlers, and gives the answer that is still to be given.
func (w *worker) handle() (reply C.uint32_t, value int64) {
	if key := keyOf(&w.n.request); key != w.key || w.handlers == nil {
		w.key, w.handlers = key, w.s.find(&w.n.request)
	}
	for _, h := range w.handlers {
		if h.blocking {
			w.giveLeadAway()
			break
		}
	}
	w.number++
	timed := w.number%sample == 0
	var begin time.Time
	if timed {
		begin = time.Now()
	}
	w.handling.count.Add(1)
	if !w.handling.awake.Load() {
		w.handling.wake()
	}
	verdict := NotHandled
	for _, h := range w.handlers {
		if verdict = w.ask(h); verdict.kind != notHandled {
			break
		}
	}
	w.handling.count.Add(1)
	if timed {
		w.s.counts.took(int64(time.Since(begin)))
	}

	switch verdict.kind {
	case deferred: // It is not to be looked at any more.
		w.n = nil
		w.s.counts.deferred.Add(1)
		w.s.counts.kept.Add(1)
		return C.UNOTIFY_REPLY_NONE, 0
	case failing:
		w.s.counts.failed.Add(1)
		cause := verdict.err
		if cause == nil {
			cause = errHandler
		}
		w.s.stop(w.r, cause)
	}
	if w.n.h == nil {
		w.s.counts.kept.Add(1) // The handler has closed it, which counted as that of a deferred one.
		return C.UNOTIFY_REPLY_NONE, 0
	}
	if !w.n.pending {
		return C.UNOTIFY_REPLY_NONE, 0
	}
	if reply, value = verdict.reply(); reply == C.UNOTIFY_REPLY_NONE {
		w.fallBack()
	}
	return reply, value
}

// ask calls a handler. If that panics, the target has its answer before anybody else is told.
func (w *worker) ask(h handler) (verdict Verdict) {
	returned := false
	defer func() {
		if !returned {
			w.ended(recover(), debug.Stack())
		}
	}()
	verdict = h.decide(w.n)
	returned = true
	return verdict
}

func (w *worker) ended(value any, stack []byte) {
	w.fallBack()
	w.s.ended(w.r, value, stack)
}

// ended is for what was called and did not return. Of runtime.Goexit there is no value, and nothing stops it.
func (s *Supervisor) ended(r *run, value any, stack []byte) {
	s.counts.panics.Add(1)
	if value != nil {
		s.mu.Lock()
		if r.panicked == nil {
			r.panicked = &HandlerPanic{value, stack}
		}
		s.mu.Unlock()
	}
	s.stop(r, errGoexit)
}

// guarded calls what is called as handlers are.
func (s *Supervisor) guarded(r *run, call func()) {
	returned := false
	defer func() {
		if !returned {
			s.ended(r, recover(), debug.Stack())
		}
	}()
	call()
	returned = true
}

// leave notes that receiving has ended.
func (w *worker) leave(err error) {
	if w.v.ctx.Err() != nil {
		return // The run is over, or the listener was taken.
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if !w.v.leaving && !isEnd(err) && w.r.broken == nil {
		w.r.broken = err
	}
	w.v.leaving = true
}

func (w *worker) end() {
	if w.hasPermit {
		w.r.permits.giveBack()
	}
	if w.n != nil && w.n.busy.CompareAndSwap(false, true) && w.n.h != nil {
		w.n.h.kept = nil
		w.n.h.free()
		w.n.h = nil
	}
	s, r, v := w.s, w.r, w.v
	s.counts.workers.Add(-1)
	s.mu.Lock()
	v.workers--
	left := v.leaving && v.workers == 0
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		r.workers--
		s.finish(r)
		s.mu.Unlock()
	}()
	if left {
		v.cancel() // Or the run would remember it.
		s.left(r, v)
	}
}
