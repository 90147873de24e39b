package unotify_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

func TestOneWorkerNeverRunsTwoHandlers(t *testing.T) {
	guard(t, 2*patience)
	for _, workers := range []int{0, 1, 3} {
		s := &unotify.Supervisor{MaxWorkers: workers}
		var inside, most, calls atomic.Int32
		handler := func(n *unotify.Notification) unotify.Verdict {
			now := inside.Add(1)
			defer inside.Add(-1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			if calls.Add(1)%16 == 0 {
				time.Sleep(6 * time.Millisecond) // So that others go on receiving.
			}
			return sum(n)
		}
		var children []*unotify.Child
		for i := 0; i < 3; i++ {
			child, err := self(newFilter(t, "getppid"), "threads 4 calls 20").Start()
			must(t, err)
			children = append(children, child)
			must(t, s.AddListener(child.Listener, nil))
		}
		must(t, run(t, s, handler).wait())
		for _, child := range children {
			must(t, child.Wait())
			child.Close()
		}
		limit := int32(workers)
		if limit == 0 {
			limit = 1
		}
		if most.Load() > limit || most.Load() < limit {
			t.Errorf("with %d workers %d handlers ran at once", workers, most.Load())
		}
		if got := s.Stats(); got.Received != 240 || got.Values != 240 || got.Workers != 0 {
			t.Errorf("%+v", got)
		}
	}
}

func TestSlowHandlersDoNotHoldUpTheOthers(t *testing.T) {
	guard(t, patience)
	for _, flags := range [][]unotify.HandlerFlag{nil, {unotify.Blocking}} {
		slow, fast := start(t), start(t)
		s := &unotify.Supervisor{MaxWorkers: 2}
		release := make(chan struct{})
		must(t, s.On("getppid", func(n *unotify.Notification) unotify.Verdict {
			if n.Request().Args[0] == 1 {
				<-release
			}
			return sum(n)
		}, flags...))
		// Both on one listener, and each on its own.
		r := run(t, s, nil, slow.Listener, fast.Listener)
		slow.getppid(1, 1)
		for i := 0; i < 20; i++ {
			fast.getppid(0, 2)
			if value, _ := fast.result(); value != 2 {
				t.Error(value)
			}
		}
		close(release)
		if value, _ := slow.result(); value != 2 {
			t.Error(value)
		}
		s.Stop()
		wantError(t, r.wait(), unotify.ErrStopped)
	}
}

func TestWhileAHandlerIsBusyTheNextCallsAreReceived(t *testing.T) {
	guard(t, patience)
	child, err := self(newFilter(t, "getppid"), "threads 5 calls 1").Start()
	must(t, err)
	s := &unotify.Supervisor{}
	r := run(t, s, func(n *unotify.Notification) unotify.Verdict {
		eventually(t, "all are received", func() bool { return s.Stats().Received == 5 })
		return sum(n)
	}, child.Listener)
	must(t, child.Wait())
	must(t, r.wait())
	child.Close()
}

func TestAListenerThatHasLeftIsToldOfOnceAndLast(t *testing.T) {
	guard(t, 2*patience)
	s := &unotify.Supervisor{MaxWorkers: 4}
	var inside, left atomic.Int32
	must(t, s.On("getppid", func(n *unotify.Notification) unotify.Verdict {
		inside.Add(1)
		defer inside.Add(-1)
		time.Sleep(time.Millisecond)
		return sum(n)
	}, unotify.Blocking))
	var children []*unotify.Child
	for i := 0; i < 10; i++ {
		child, err := self(newFilter(t, "getppid"), "threads 2 calls 5").Start()
		must(t, err)
		children = append(children, child)
	}
	for i, child := range children {
		listener := child.Listener
		told := false
		if i == 0 {
			must(t, s.AddListener(listener, nil))
			continue
		}
		must(t, s.AddListener(listener, func() {
			if told || listener.Fd() != -1 {
				t.Error("twice, or it is open")
			}
			told = true
			left.Add(1)
		}))
	}
	must(t, run(t, s, nil).wait())
	if left.Load() != 9 || inside.Load() != 0 {
		t.Error(left.Load(), inside.Load())
	}
	for _, child := range children {
		must(t, child.Wait())
		child.Close()
	}
}

func TestAPanicOfWhatIsToldComesOutOfRun(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	must(t, s.AddListener(it.Listener, func() { panic("told") }))
	r := run(t, s, sum)
	it.in.Close()
	if end, ok := (<-r.end).(*unotify.HandlerPanic); !ok || end.Value != "told" {
		t.Error(end)
	}
}

func TestListenersComeAndGoWhileItRuns(t *testing.T) {
	guard(t, patience)
	s := &unotify.Supervisor{KeepRunning: true}
	r := run(t, s, sum)
	for i := 0; i < 10; i++ {
		it := start(t)
		left := make(chan struct{})
		must(t, s.AddListener(it.Listener, func() { close(left) }))
		it.getppid(1, uint64(i))
		if value, _ := it.result(); value != int64(1+i) {
			t.Error(value)
		}
		if i%2 == 0 {
			it.in.Close()
			<-left
			continue
		}
		must(t, s.TakeListener(it.Listener))
		<-left
		wantError(t, s.TakeListener(it.Listener), unotify.ErrClosed)
		// It is the caller's again.
		must(t, it.called().ReplyValue(99))
		if value, _ := it.result(); value != 99 {
			t.Error(value)
		}
	}
	s.Stop()
	wantError(t, r.wait(), unotify.ErrStopped)
	it := start(t)
	left := false
	must(t, s.AddListener(it.Listener, func() { left = true }))
	must(t, s.TakeListener(it.Listener))
	if !left || it.Listener.Fd() < 0 {
		t.Error("it was not told, or was closed")
	}
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

func TestAListenerThatItsOwnerClosesLeaves(t *testing.T) {
	guard(t, patience)
	it := start(t)
	s := &unotify.Supervisor{}
	r := run(t, s, sum, it.Listener)
	it.getppid(1, 2)
	it.result()
	must(t, it.Listener.Close())
	must(t, r.wait())
	wantError(t, s.AddListener(it.Listener, nil), os.ErrClosed)
}

func TestAStormIsServedWithoutALoss(t *testing.T) {
	guard(t, 4*patience)
	s := &unotify.Supervisor{MaxWorkers: 3}
	stop := make(chan struct{})
	go func() {
		for !closed(stop) {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}()
	defer close(stop)
	must(t, s.On("getppid", func(n *unotify.Notification) unotify.Verdict {
		switch args := n.Request().Args; args[1] % 7 {
		case 0:
			must(t, n.ReplyValue(int64(args[0]+args[1])))
			return unotify.Handled
		case 1:
			go func() {
				if err := n.ReplyValue(int64(args[0] + args[1])); err != nil {
					t.Error(err)
				}
				if args[0]%2 == 0 {
					n.Close()
				}
			}()
			return unotify.Deferred
		case 2:
			runtime.Gosched()
		}
		return sum(n)
	}))
	var all sync.WaitGroup
	for i := 0; i < 6; i++ {
		child, err := self(newFilter(t, "getppid"), "threads 4 calls 300").Start()
		must(t, err)
		must(t, s.AddListener(child.Listener, nil))
		all.Add(1)
		go func() {
			defer all.Done()
			if err := child.Wait(); err != nil {
				t.Error(err)
			}
			child.Close()
		}()
	}
	must(t, run(t, s, nil).wait())
	all.Wait()
	eventually(t, "all deferred ones are closed or collected", func() bool {
		runtime.GC()
		return s.Stats().DeferredOutstanding == 0
	})
	if got := s.Stats(); got.Received != 7200 || got.Values != 7200 || got.Workers != 0 {
		t.Errorf("%+v", got)
	}
}

func TestManyIdleListenersTakeNoThreads(t *testing.T) {
	guard(t, 2*patience)
	many := startListeners(t, 500)
	s := &unotify.Supervisor{}
	before, goroutines := threads(t), runtime.NumGoroutine()
	r := run(t, s, sum, many.listeners...)
	time.Sleep(100 * time.Millisecond)
	if now := threads(t); now > before+20 {
		t.Errorf("%d threads, and there were %d", now, before)
	}
	if got := s.Stats(); got.Listeners != 500 || got.Workers != 500 {
		t.Errorf("%+v", got)
	}
	many.end()
	must(t, r.wait())
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestRunsLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	leavesNothing(t, func() {
		s := &unotify.Supervisor{}
		must(t, s.OnDefault(sum))
		file, err := it.Listener.File()
		must(t, err)
		listener, err := unotify.ListenerFromFile(file)
		must(t, err)
		file.Close()
		must(t, s.AddListener(listener, func() {}))
		ctx, cancel := context.WithCancel(background)
		it.getppid(1, 1)
		go func() {
			it.result()
			cancel()
		}()
		wantError(t, s.Run(ctx), context.Canceled)
		must(t, s.Close())
	})
}

func TestListenersThatComeAndGoLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	s := &unotify.Supervisor{KeepRunning: true}
	run(t, s, sum)
	leavesNothing(t, func() {
		file, err := it.Listener.File()
		must(t, err)
		listener, err := unotify.ListenerFromFile(file)
		must(t, err)
		file.Close()
		left := make(chan struct{})
		must(t, s.AddListener(listener, func() { close(left) }))
		must(t, listener.Close())
		<-left
	})
}
