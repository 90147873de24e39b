package unotify

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
)

// Supervisor serves listeners with handlers. The zero value is one that is ready to use; set its fields before the
// first run. Its methods may be called by several goroutines.
//
// Handlers run on goroutines of the supervisor's. While one runs, or waits for its turn, another goroutine goes on
// receiving, as a call that nobody has received yet is interrupted by its program's signals. A handler may block as
// long as it likes: with MaxWorkers above 1 it does not hold up the others, and at once if it is set with [Blocking].
type Supervisor struct {
	// MaxWorkers is how many handlers may run at once. 0 is 1: never two.
	MaxWorkers int
	// FallbackError is for notifications that nobody answers. 0 is ENOSYS.
	FallbackError syscall.Errno
	// KeepRunning lets a run go on without a listener, until stopped.
	KeepRunning bool

	mu       sync.Mutex
	handlers map[string][]handler
	defaults []handler
	serving  map[*Listener]*served
	run      *run
	stopNext bool
	closed   bool

	table  atomic.Pointer[map[callKey][]handler] // What was found for the calls that came so far.
	counts counts
}

// served is a listener and what belongs to it here.
type served struct {
	listener *Listener
	left     func()
	ctx      context.Context // Done when nobody is to receive from it any more, or the run ends.
	cancel   context.CancelFunc
	lead     atomic.Pointer[worker] // Who receives.
	workers  int
	leaving  bool
	taken    bool // Its owner goes on with it.
}

// run is one run of a supervisor.
type run struct {
	ctx      context.Context
	cancel   context.CancelFunc
	permits  *turns // Of handlers at work.
	stopping atomic.Bool
	workers  int
	done     chan struct{}

	cause    error // Why it was told to end.
	broken   error // What became of a listener.
	panicked *HandlerPanic
}

// HandlerPanic is what [Supervisor.Run] panics with when a handler has.
type HandlerPanic struct {
	Value any    // What the handler panicked with.
	Stack []byte // Where.
}

func (p *HandlerPanic) Error() string {
	return fmt.Sprintf("unotify: a handler panicked: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap gives the value, if that is an error.
func (p *HandlerPanic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

var (
	errStopped  = newError(ErrStopped, syscall.ECANCELED, "the supervisor was told to stop")
	errRunning  = newError(ErrInvalidArgument, syscall.EBUSY, "the supervisor is running")
	errHandler  = newError(ErrHandler, syscall.ECANCELED, "a handler said that it failed")
	errGoexit   = newError(ErrHandler, syscall.ECANCELED, "a handler has ended its goroutine (runtime.Goexit)")
	errServed   = newError(ErrInvalidArgument, syscall.EEXIST, "the listener is served already")
	errUnserved = newError(ErrClosed, syscall.ENOENT, "the listener is not served")
)

// AddListener serves one more listener, also while running, and takes ownership of it unless this fails. Once it has
// left, because its targets have ended, it broke, or was taken, and no handler is or will be at work on its
// notifications, left is called, unless it is nil, as a handler is.
func (s *Supervisor) AddListener(listener *Listener, left func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errSupervisorClosed
	case listener == nil:
		return newError(ErrInvalidArgument, syscall.EINVAL, "the listener is nil")
	case isClosed(listener.closed):
		return errListenerClosed
	case s.serving[listener] != nil:
		return errServed
	case s.serving == nil:
		s.serving = map[*Listener]*served{}
	}
	v := &served{listener: listener, left: left}
	s.serving[listener] = v
	if s.run != nil && !s.run.stopping.Load() {
		s.serve(s.run, v)
	}
	return nil
}

// TakeListener gives a listener back, also while running. What is pending stays with it, for whoever receives from it
// next; what was received, even at this moment, is handled.
func (s *Supervisor) TakeListener(listener *Listener) error {
	s.mu.Lock()
	v := s.serving[listener]
	if v == nil || v.leaving {
		s.mu.Unlock()
		return errUnserved
	}
	idle := s.take(v)
	s.mu.Unlock()
	if idle {
		s.left(nil, v)
	} else {
		listener.interrupt()
	}
	return nil
}

// take lets a listener go. It tells whether nobody is at work on it, so that the caller is to tell that it has left. The
// caller holds the lock.
func (s *Supervisor) take(v *served) (idle bool) {
	v.leaving, v.taken = true, true
	if v.workers > 0 {
		v.cancel()
		return false
	}
	delete(s.serving, v.listener)
	return true
}

// takeAll lets all containers' listeners go, and gives them, and what tells of those that have left with it.
func (s *Supervisor) takeAll() (taken []*Listener, tell []func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for listener, v := range s.serving {
		if v.leaving || !listener.isContainers {
			continue
		}
		taken = append(taken, listener)
		if v := v; s.take(v) {
			tell = append(tell, func() { s.left(nil, v) })
		}
	}
	return taken, tell
}

// Run serves the listeners until the last one has left, which is success, until the context is done, or until it is
// stopped (ErrStopped). What was received is handled before it returns. A listener that broke is told of after the
// others were served.
//
// It also ends with the error of a handler that gave [Failed], and with ErrHandler after one that ended its goroutine
// (runtime.Goexit). When a handler panics, its target gets the fallback error, and Run panics with a [HandlerPanic].
func (s *Supervisor) Run(ctx context.Context) error {
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return errSupervisorClosed
	case s.run != nil:
		s.mu.Unlock()
		return errRunning
	case s.stopNext:
		s.stopNext = false
		s.mu.Unlock()
		return errStopped
	}
	most := s.MaxWorkers
	if most < 1 {
		most = 1
	}
	r := &run{permits: newTurns(most), done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	s.run = r
	for _, v := range s.serving {
		s.serve(r, v)
	}
	s.finish(r)
	s.mu.Unlock()

	select {
	case <-r.done:
	case <-ctx.Done():
		s.stop(r, ctx.Err())
		<-r.done
	}
	r.cancel()
	if r.panicked != nil {
		panic(r.panicked)
	}
	if r.cause != nil {
		return r.cause
	}
	return r.broken
}

// Stop ends the current run, or else the next one at once. Handlers that are at work finish; what was received is
// answered. It does not wait.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	r := s.run
	s.stopNext = r == nil
	s.mu.Unlock()
	if r != nil {
		s.stop(r, errStopped)
	}
}

// stop ends a run; the first cause counts.
func (s *Supervisor) stop(r *run, cause error) {
	s.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	r.stopping.Store(true)
	r.cancel()
	listeners := make([]*Listener, 0, len(s.serving))
	for listener := range s.serving {
		listeners = append(listeners, listener)
	}
	s.finish(r)
	s.mu.Unlock()
	for _, listener := range listeners {
		listener.interrupt()
	}
}

// finish ends the run if nobody is at work and nobody will be. The caller holds the lock.
func (s *Supervisor) finish(r *run) {
	over := r.stopping.Load() || len(s.serving) == 0 && !s.KeepRunning
	if r.workers == 0 && over && s.run == r {
		s.run = nil
		close(r.done)
	}
}

// Close stops a run and waits for it, and closes the listeners that are left. It must not be called by a handler.
// Deferred notifications remain usable.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errSupervisorClosed
	}
	s.closed = true
	r := s.run
	s.mu.Unlock()
	if r != nil {
		s.stop(r, errStopped)
		<-r.done
	}
	s.mu.Lock()
	var all []*served
	for _, v := range s.serving {
		v.leaving = true
		all = append(all, v)
	}
	s.mu.Unlock()
	for _, v := range all {
		defer s.left(nil, v) // Also when what another tells panics.
	}
	return nil
}

// left is for a listener that is leaving when nobody is at work on it.
func (s *Supervisor) left(r *run, v *served) {
	s.mu.Lock()
	if s.serving[v.listener] == v { // It may be served anew by now.
		delete(s.serving, v.listener)
	}
	s.mu.Unlock()
	if !v.taken {
		v.listener.Close()
	}
	if v.left == nil {
		return
	}
	if r == nil {
		v.left()
		return
	}
	r.permits.take()
	defer r.permits.giveBack()
	s.guarded(r, v.left)
}
