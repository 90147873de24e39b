package notify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go/notify"
)

func TestAThousandReceivesWaitWithoutAThreadEach(t *testing.T) {
	const count = 1000
	p := start(t, "line", "calls:1")
	file, err := p.listener.File()
	must(t, err)
	defer file.Close()
	listeners := make([]*unotify.Listener, count)
	for i := range listeners {
		listeners[i], err = unotify.ListenerFromFile(file)
		if errors.Is(err, syscall.EMFILE) {
			t.Skip("not so many descriptors here")
		}
		must(t, err)
	}
	before, memory := threads(t), allocated()
	ctx, cancel := context.WithCancel(background)
	errs := make(chan error, count)
	for _, listener := range listeners {
		listener := listener
		go func() {
			_, err := listener.Receive(ctx)
			errs <- err
		}()
	}
	time.Sleep(100 * time.Millisecond)
	t.Logf("%d waiting receives: %d threads more, %d bytes each", count, threads(t)-before,
		(allocated()-memory)/count)
	if more := threads(t) - before; more > count/2 {
		t.Errorf("%d more threads", more)
	}
	began := time.Now()
	cancel()
	for range listeners {
		expect(t, <-errs, context.Canceled)
	}
	within(t, began)
	for _, listener := range listeners {
		must(t, listener.Close())
	}
}

func threads(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/task")
	must(t, err)
	return len(entries)
}

func TestManyReceiversOfOneListenerGetEachCallOnce(t *testing.T) {
	p := start(t, "threads:8,500")
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := serve(p); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	says(t, p, "4000")
}

// serveByTwo serves a target by two listeners of its filter until both have ended.
func serveByTwo(t *testing.T, p *program) {
	file, err := p.listener.File()
	must(t, err)
	defer file.Close()
	other, err := unotify.ListenerFromFile(file)
	must(t, err)
	defer other.Close()
	errs := make(chan error)
	for _, listener := range []*unotify.Listener{p.listener, other} {
		listener := listener
		go func() { errs <- serve(&program{listener: listener}) }()
	}
	must(t, <-errs)
	must(t, <-errs)
}

func TestTwoListenersOfOneFilterGetEachCallOnceAndEnd(t *testing.T) {
	p := start(t, "threads:4,1000")
	serveByTwo(t, p)
	says(t, p, "4000")
}

// Both are told of the only call, and nothing comes for the one that is too late.
func TestOfTwoListenersTheOneThatIsLateForTheLastCallEnds(t *testing.T) {
	for i := 0; i < fewer(100); i++ {
		p := start(t, "threads:1,1")
		serveByTwo(t, p)
		says(t, p, "1")
	}
}

func TestAStormOfGoroutinesAnswersEachCallOnce(t *testing.T) {
	p := start(t, "threads:16,200")
	var all sync.WaitGroup
	for {
		call, err := p.listener.Receive(background)
		if errors.Is(err, unotify.ErrClosed) {
			break
		}
		must(t, err)
		answered := make(chan error, 4)
		for i := 0; i < cap(answered); i++ {
			go func() { answered <- call.ReplyValue(int64(call.Request().Args[0])) }()
		}
		all.Add(1)
		go func() {
			defer all.Done()
			successes := 0
			for i := 0; i < cap(answered); i++ {
				if err := <-answered; err == nil {
					successes++
				} else if !errors.Is(err, unotify.ErrAnswered) && !errors.Is(err, syscall.EBUSY) {
					t.Error(err)
				}
			}
			if successes != 1 {
				t.Errorf("%d answers", successes)
			}
		}()
	}
	all.Wait()
	says(t, p, "3200")
}

func TestCancellationsAtAnyMomentLoseNothing(t *testing.T) {
	calls := fewer(3000)
	p := start(t, fmt.Sprintf("threads:2,%d", calls))
	answered := 0
	var call unotify.Notification
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(background, time.Duration(i%40)*10*time.Microsecond)
		_ = p.listener.SetDeadline(time.Now().Add(time.Duration(i%30) * 15 * time.Microsecond))
		err := p.listener.ReceiveInto(ctx, &call)
		cancel()
		switch {
		case err == nil:
			must(t, call.ReplyValue(int64(call.Request().Args[0])))
			answered++
		case errors.Is(err, unotify.ErrClosed):
			if answered != 2*calls {
				t.Errorf("%d were answered", answered)
			}
			says(t, p, fmt.Sprint(2*calls))
			return
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, unotify.ErrTimeout):
			t.Fatal(err)
		}
	}
}

func TestOneNotificationIsReceivedIntoByOneGoroutine(t *testing.T) {
	p := start(t, "line", "calls:1")
	var call unotify.Notification
	ctx, cancel := context.WithCancel(background)
	done := make(chan error)
	go func() { done <- p.listener.ReceiveInto(ctx, &call) }()
	time.Sleep(20 * time.Millisecond)
	expect(t, p.listener.ReceiveInto(background, &call), unotify.ErrInvalidArgument)
	expect(t, call.ReplyValue(1), unotify.ErrInvalidArgument)
	cancel()
	expect(t, <-done, context.Canceled)
}
