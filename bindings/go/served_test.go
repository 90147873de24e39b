package unotify_test

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	unotify "libunotify/go"
)

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
