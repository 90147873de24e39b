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

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

// serve answers each call with its first argument until the last target has ended.
func serve(p *program) error {
	var call unotify.Notification
	for {
		err := p.listener.ReceiveInto(background, &call)
		if errors.Is(err, unotify.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		if err := call.ReplyValue(int64(call.Request().Args[0])); err != nil && !errors.Is(err, unotify.ErrGone) {
			return err
		}
	}
}

// later does something while a receive waits.
func later(what func()) {
	time.AfterFunc(50*time.Millisecond, what)
}

// within fails if something lasted that was to end at once.
func within(t testing.TB, from time.Time) {
	t.Helper()
	if lasted := time.Since(from); lasted > target.Patience/12 {
		t.Errorf("it took %v", lasted)
	}
}

func TestReceivingEndsWithTheLastTarget(t *testing.T) {
	p := start(t, "calls:1000")
	must(t, serve(p))
	says(t, p, "1000")
	_, err := p.listener.Receive(background)
	expect(t, err, unotify.ErrClosed)
}

func TestAListenerWhoseTargetsHaveEndedIsClosedAtOnce(t *testing.T) {
	p := start(t, "say:nothing")
	says(t, p, "nothing")
	_, err := p.listener.Receive(background)
	expect(t, err, unotify.ErrClosed)
	expect(t, err, syscall.EPIPE)
}

func TestADoneContextEndsAReceive(t *testing.T) {
	p := start(t, "line", "calls:1")
	ctx, cancel := context.WithCancel(background)
	later(cancel)
	began := time.Now()
	_, err := p.listener.Receive(ctx)
	expect(t, err, context.Canceled)
	within(t, began)
	_, err = p.listener.Receive(ctx)
	expect(t, err, context.Canceled)

	ctx, cancel = context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	_, err = p.listener.Receive(ctx)
	expect(t, err, context.DeadlineExceeded)

	// Nothing is lost by it.
	_, _ = p.input.Write([]byte("\n"))
	must(t, serve(p))
	says(t, p, "1")
}

func TestAContextEndsAReceiveOfABusyListener(t *testing.T) {
	for i := 0; i < 20; i += 20 / fewer(20) {
		p := start(t, "calls:500", "line")
		var call unotify.Notification
		for i := 0; i < 500; i++ {
			must(t, p.listener.ReceiveInto(background, &call))
			must(t, call.ReplyValue(0))
		}
		ctx, cancel := context.WithTimeout(background, time.Duration(i)*time.Millisecond)
		began := time.Now()
		err := p.listener.ReceiveInto(ctx, &call)
		for err == nil { // before Linux 5.19 a call that a signal interrupts comes again
			must(t, call.ReplyValue(0))
			err = p.listener.ReceiveInto(ctx, &call)
		}
		expect(t, err, context.DeadlineExceeded)
		within(t, began)
		cancel()
	}
}

func TestADeadlineEndsReceives(t *testing.T) {
	p := start(t, "line", "calls:1")
	must(t, p.listener.SetDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := p.listener.Receive(background)
	expect(t, err, unotify.ErrTimeout)
	expect(t, err, os.ErrDeadlineExceeded)
	_, err = p.listener.Receive(background)
	expect(t, err, unotify.ErrTimeout)

	must(t, p.listener.SetDeadline(time.Time{}))
	later(func() { _ = p.listener.SetDeadline(time.Unix(1, 0)) })
	_, err = p.listener.Receive(background)
	expect(t, err, unotify.ErrTimeout)

	must(t, p.listener.SetDeadline(time.Now().Add(time.Hour)))
	_, _ = p.input.Write([]byte("\n"))
	must(t, serve(p))
	says(t, p, "1")
}

func TestCloseEndsReceives(t *testing.T) {
	p := start(t, "line")
	later(func() { _ = p.listener.Close() })
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := p.listener.Receive(background); !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	_, err := p.listener.Receive(background)
	expect(t, err, os.ErrClosed)
	expect(t, p.listener.Close(), os.ErrClosed)
	expect(t, p.listener.SetDeadline(time.Time{}), os.ErrClosed)
	expect(t, p.listener.SetSyncWakeUp(true), os.ErrClosed)
	_, err = p.listener.File()
	expect(t, err, os.ErrClosed)
	if fd := p.listener.Fd(); fd != -1 {
		t.Error(fd)
	}
}

func TestCallsOfAClosedListenerFailWithENOSYS(t *testing.T) {
	p := start(t, "call:1", "call:2")
	call := receive(t, p)
	must(t, p.listener.Close())
	must(t, call.ReplyValue(1)) // it is answered all the same
	must(t, call.Close())
	says(t, p, fmt.Sprint("1 0\n-1 ", int(syscall.ENOSYS)))
}

func TestASlowTargetIsServed(t *testing.T) {
	p := start(t, "calls:50", "sleep:30", "calls:50", "sleep:3", "calls:1", "sleep:20", "calls:1")
	must(t, serve(p))
	says(t, p, "50\n50\n1\n1")
}

func TestAChildMayBeWatched(t *testing.T) {
	p := start(t, "call:1")
	call := receive(t, p)
	pidfd, err := call.PidFd()
	must(t, err)
	defer pidfd.Close()
	must(t, p.listener.WatchChild(pidfd))
	expect(t, p.listener.WatchChild(os.Stdin), unotify.ErrInvalidArgument)
	must(t, call.ReplyValue(1))
	must(t, serve(p))
}

func TestSyncWakeUpIsSwitched(t *testing.T) {
	p := start(t, "calls:100")
	if err := p.listener.SetSyncWakeUp(false); !errors.Is(err, unotify.ErrUnsupported) {
		must(t, err)
		must(t, p.listener.SetSyncWakeUp(true))
	}
	must(t, serve(p))
	says(t, p, "100")
}
