package notify_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

func TestAThousandIdleContainersTakeLittleAndAreHandedOverQuickly(t *testing.T) {
	const mostMemory = 32 << 10
	count := 4 * target.Fewer(250)
	old := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line", "call:7")
	old.nothingComes()
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	var serving sync.WaitGroup
	serve := func(p *place, box *unotify.Container) {
		serving.Add(1)
		go func() {
			defer serving.Done()
			defer box.Close()
			listener, err := box.TakeListener()
			if err == nil {
				_, err = listener.Receive(ctx)
			}
			if errors.Is(err, context.Canceled) {
				err = p.PutBack(listener)
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	runtime.GC()
	fds, before, memory := descriptors(t), threads(t), allocated()
	for i := 0; i < count; i++ {
		conn := old.begin("box", it.listener)
		box, err := old.Accept(background)
		must(t, err)
		must(t, conn.Close())
		serve(old, box)
	}
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	each, more := (allocated()-memory)/uint64(count), threads(t)-before
	t.Logf("%d containers: %d bytes each, %d descriptors more, %d threads more", count, each, descriptors(t)-fds, more)
	if each > mostMemory || descriptors(t)-fds > count+20 || more > count/2 {
		t.Error("which is too much")
	}
	cancel()
	serving.Wait()
	began := time.Now()
	next := old.successor()
	t.Logf("handed over in %v", time.Since(began))
	within(t, began)
	for i := 0; i < count; i++ {
		box, err := next.Accept(background)
		must(t, err)
		must(t, box.Close())
	}
	must(t, old.Close())
	must(t, next.Close())
	leavesNothing(t, fds)
	_, _ = it.input.Write([]byte("\n"))
	answer(t, it.listener)
	says(t, it, "7 0")
}
