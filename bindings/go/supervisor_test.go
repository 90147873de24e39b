package unotify_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

// running is a supervisor that runs in the background.
type running struct {
	*unotify.Supervisor
	t    *testing.T
	end  chan any // What Run came to: an error, or what it panicked with.
	stop func()
}

// run serves the listeners with a handler for getppid.
func run(t *testing.T, s *unotify.Supervisor, handler unotify.Handler, listeners ...*unotify.Listener) *running {
	t.Helper()
	if handler != nil {
		must(t, s.On("getppid", handler))
	}
	for _, listener := range listeners {
		must(t, s.AddListener(listener, nil))
	}
	ctx, cancel := context.WithCancel(background)
	r := &running{s, t, make(chan any, 1), cancel}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				r.end <- p
			}
		}()
		r.end <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	return r
}

func (r *running) wait() error {
	r.t.Helper()
	end := <-r.end
	if end == nil {
		return nil
	}
	err, ok := end.(error)
	if !ok {
		r.t.Fatalf("Run panicked with %v", end)
	}
	return err
}

func sum(n *unotify.Notification) unotify.Verdict {
	args := n.Request().Args
	return unotify.Value(int64(args[0] + args[1]))
}

func TestARunIsStopped(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	must(t, s.On("getppid", sum))
	s.Stop()
	wantError(t, s.Run(background), unotify.ErrStopped)
	must(t, s.Run(background)) // There is no listener.
	r := run(t, s, nil, it.Listener)
	it.getppid(1, 1)
	it.result()
	s.Stop()
	wantError(t, r.wait(), unotify.ErrStopped)
	r = run(t, s, nil)
	it.getppid(1, 1)
	it.result()
	r.stop()
	wantError(t, r.wait(), context.Canceled)
	// What is pending waits for the next run.
	it.getppid(1, 1)
	r = run(t, s, nil)
	if value, _ := it.result(); value != 2 {
		t.Error(value)
	}
	s.Stop()
	s.Stop()
	wantError(t, r.wait(), unotify.ErrStopped)
}

func TestAStopWaitsForTheHandlerAtWork(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	entered := make(chan struct{})
	r := run(t, s, func(n *unotify.Notification) unotify.Verdict {
		close(entered)
		time.Sleep(30 * time.Millisecond)
		return sum(n)
	}, it.Listener)
	it.getppid(2, 2)
	<-entered
	s.Stop()
	wantError(t, r.wait(), unotify.ErrStopped)
	if value, _ := it.result(); value != 4 {
		t.Error(value)
	}
}

func TestAHandlerMayStopTheRun(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	r := run(t, s, func(n *unotify.Notification) unotify.Verdict {
		s.Stop()
		return sum(n)
	}, it.Listener)
	it.getppid(2, 2)
	if value, _ := it.result(); value != 4 {
		t.Error(value)
	}
	wantError(t, r.wait(), unotify.ErrStopped)
}

func TestAClosedSupervisorHasClosedItsListeners(t *testing.T) {
	guard(t, patience)
	it, other := start(t), start(t)
	s := &unotify.Supervisor{}
	left := false
	must(t, s.AddListener(other.Listener, func() { left = true }))
	r := run(t, s, sum, it.Listener)
	it.getppid(1, 2)
	it.result()
	must(t, s.Close())
	wantError(t, r.wait(), unotify.ErrStopped)
	if it.Listener.Fd() != -1 || other.Listener.Fd() != -1 || !left {
		t.Error("they are open, or nobody was told")
	}
	it.getppid()
	if _, errno := it.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
	for _, err := range []error{
		s.Close(), s.Run(background), s.On("getppid", sum), s.OnDefault(sum), s.AddListener(it.Listener, nil),
	} {
		wantError(t, err, os.ErrClosed)
	}
	s.Stop()
}
