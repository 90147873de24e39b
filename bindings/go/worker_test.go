package unotify_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	unotify "libunotify/go"
)

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
