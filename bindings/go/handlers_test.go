package unotify_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	unotify "libunotify/go"
)

func TestASupervisorAnswersByVerdict(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{FallbackError: syscall.EXDEV}
	verdicts := []unotify.Verdict{
		unotify.Value(-7000), unotify.Errno(syscall.EPERM), unotify.Continue, unotify.Handled, unotify.NotHandled,
		unotify.Errno(0), unotify.Errno(4096),
	}
	r := run(t, s, func(n *unotify.Notification) unotify.Verdict {
		if n.Listener() != it.Listener || n.Name() != "getppid" {
			t.Error("it is not from the listener")
		}
		return verdicts[n.Request().Args[0]]
	}, it.Listener)
	for i, want := range []struct {
		value int64
		errno syscall.Errno
	}{
		{-7000, 0}, {-1, syscall.EPERM}, {int64(os.Getpid()), 0}, {-1, syscall.EXDEV}, {-1, syscall.EXDEV},
		{-1, syscall.EXDEV}, {-1, syscall.EXDEV},
	} {
		it.getppid(uint64(i))
		if value, errno := it.result(); value != want.value || errno != want.errno {
			t.Errorf("verdict %d gave %d, %v", i, value, errno)
		}
	}
	it.in.Close()
	must(t, r.wait())
	got := s.Stats()
	if got.Received != 7 || got.Values != 1 || got.Errors != 1 || got.Continued != 1 || got.Fallbacks != 4 ||
		got.Listeners != 0 || got.Workers != 0 || got.DeferredOutstanding != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAHandlerMayAnswerByItself(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	run(t, s, func(n *unotify.Notification) unotify.Verdict {
		switch n.Request().Args[0] {
		case 0:
			must(t, n.ReplyValue(5))
			return unotify.Value(6) // Too late.
		case 1:
			must(t, n.ReplyFd(os.Stdin))
		case 2:
			must(t, n.Close())
		}
		return unotify.Handled
	}, it.Listener)
	for i, want := range []int64{5, -2, -1, -1} {
		it.getppid(uint64(i))
		value, errno := it.result()
		if want >= -1 && value != want || want == -1 && errno != syscall.ENOSYS || want == -2 && value < 3 {
			t.Errorf("%d gave %d, %v", i, value, errno)
		}
	}
	eventually(t, "all is counted", func() bool {
		got := s.Stats()
		return got.Values == 1 && got.Fds == 1 && got.Fallbacks == 1 && got.DeferredOutstanding == 0
	})
}

func TestHandlersAreAskedInOrder(t *testing.T) {
	guard(t, patience)
	it := startUnder(t, newFilter(t, "getppid", "getpgrp"), "")
	s := &unotify.Supervisor{}
	var asked []string
	handler := func(name string, verdict unotify.Verdict) unotify.Handler {
		return func(*unotify.Notification) unotify.Verdict {
			asked = append(asked, name)
			return verdict
		}
	}
	must(t, s.OnDefault(handler("default", unotify.Value(2))))
	must(t, s.On("getppid", handler("first", unotify.NotHandled)))
	must(t, s.On("getppid", handler("second", unotify.Value(1))))
	must(t, s.On("getppid", handler("third", unotify.Value(3))))
	r := run(t, s, nil, it.Listener)
	it.getppid()
	if value, _ := it.result(); value != 1 {
		t.Error(value)
	}
	it.call(syscall.SYS_GETPGRP)
	if value, _ := it.result(); value != 2 {
		t.Error(value)
	}
	it.in.Close()
	must(t, r.wait())
	if got := strings.Join(asked, " "); got != "first second default" {
		t.Error(got)
	}
}

func TestWhatIsSetWronglyIsRefused(t *testing.T) {
	guard(t, patience)
	s := &unotify.Supervisor{}
	wantError(t, s.On("no_such_call", sum), unotify.ErrUnknownSyscall)
	wantError(t, s.On("getppid", nil), unotify.ErrInvalidArgument)
	wantError(t, s.On("getppid", sum, 2), unotify.ErrInvalidArgument)
	wantError(t, s.OnDefault(nil), unotify.ErrInvalidArgument)
	must(t, s.On("socketcall", sum)) // Another architecture has it.
	it := start(t)
	run(t, s, sum, it.Listener)
	it.getppid(1, 2)
	it.result()
	wantError(t, s.On("getppid", sum), unotify.ErrInvalidArgument, syscall.EBUSY)
	wantError(t, s.Run(background), unotify.ErrInvalidArgument, syscall.EBUSY)
	wantError(t, s.AddListener(it.Listener, nil), unotify.ErrInvalidArgument, syscall.EEXIST)
}

func TestADeferredNotificationIsTheHandlers(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	deferred := make(chan *unotify.Notification, 1)
	r := run(t, s, func(n *unotify.Notification) unotify.Verdict {
		deferred <- n
		return unotify.Deferred
	}, it.Listener)
	it.getppid(1)
	first := <-deferred
	eventually(t, "it is deferred", func() bool { return s.Stats().DeferredOutstanding == 1 })
	must(t, first.ReplyValue(3))
	it.result()
	it.getppid(2)
	second := <-deferred
	if first.Request().Args[0] != 1 || second.Request().Args[0] != 2 {
		t.Error(first.Request(), second.Request())
	}
	must(t, first.Close())
	s.Stop()
	wantError(t, r.wait(), unotify.ErrStopped)
	must(t, s.Close())
	must(t, second.ReplyValue(4))
	if value, _ := it.result(); value != 4 {
		t.Error(value)
	}
	must(t, second.Close())
	if got := s.Stats(); got.Deferred != 2 || got.Values != 2 || got.DeferredOutstanding != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAPanicComesOutOfRunAndItsTargetGetsTheFallbackError(t *testing.T) {
	guard(t, patience)
	for _, value := range []any{"boom", errors.New("boom"), os.ErrExist} {
		it := start(t)
		s := &unotify.Supervisor{}
		thisVeryFunction := func(n *unotify.Notification) unotify.Verdict {
			if n.Request().Args[0] == 0 {
				panic(value)
			}
			return sum(n)
		}
		r := run(t, s, thisVeryFunction, it.Listener)
		it.getppid(0)
		if _, errno := it.result(); errno != syscall.ENOSYS {
			t.Error(errno)
		}
		end := <-r.end
		panicked, ok := end.(*unotify.HandlerPanic)
		if !ok || panicked.Value != value || !strings.Contains(panicked.Error(), "boom") && value != os.ErrExist ||
			!strings.Contains(string(panicked.Stack), "TestAPanicComesOutOfRun") {
			t.Errorf("%v", end)
		}
		if value == os.ErrExist {
			wantError(t, panicked, os.ErrExist)
		}
		// The supervisor is as it was.
		if got := s.Stats(); got.Panics != 1 || got.Fallbacks != 1 || got.Listeners != 1 || got.Workers != 0 {
			t.Errorf("%+v", got)
		}
		again := run(t, s, nil)
		it.getppid(2, 3)
		if value, _ := it.result(); value != 5 {
			t.Error(value)
		}
		it.in.Close()
		must(t, again.wait())
	}
}

func TestAHandlerThatEndsItsGoroutineEndsTheRun(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{MaxWorkers: 2}
	r := run(t, s, func(n *unotify.Notification) unotify.Verdict {
		if n.Request().Args[0] == 0 {
			runtime.Goexit()
		}
		return sum(n)
	}, it.Listener)
	it.getppid(0)
	if _, errno := it.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
	wantError(t, r.wait(), unotify.ErrHandler)
	if got := s.Stats(); got.Panics != 1 || got.Workers != 0 || got.DeferredOutstanding != 0 {
		t.Errorf("%+v", got)
	}
	again := run(t, s, nil)
	for i := uint64(1); i < 5; i++ { // The permit is not lost.
		it.getppid(i, 3)
		if value, _ := it.result(); value != int64(i+3) {
			t.Error(value)
		}
	}
	it.in.Close()
	must(t, again.wait())
}

func TestAHandlerThatFailsEndsTheRunWithItsError(t *testing.T) {
	guard(t, patience)
	for _, given := range []error{os.ErrExist, nil} {
		cause := given
		it := start(t)
		s := &unotify.Supervisor{}
		r := run(t, s, func(*unotify.Notification) unotify.Verdict { return unotify.Failed(given) }, it.Listener)
		it.getppid()
		if _, errno := it.result(); errno != syscall.ENOSYS {
			t.Error(errno)
		}
		if cause == nil {
			cause = unotify.ErrHandler
		}
		wantError(t, r.wait(), cause)
		if got := s.Stats(); got.Failed != 1 || got.Panics != 0 {
			t.Errorf("%+v", got)
		}
	}
}
