package notify_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
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

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
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

func TestTwoListenersOfOneFilterGetEachCallOnceAndEnd(t *testing.T) {
	p := start(t, "threads:4,1000")
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
	says(t, p, "4000")
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

func TestTheCollectorDisturbsNothing(t *testing.T) {
	p := start(t, "threads:4,1000")
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	defer close(stop)
	must(t, serve(p))
	says(t, p, "4000")
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

func TestASlowTargetIsServed(t *testing.T) {
	p := start(t, "calls:50", "sleep:30", "calls:50", "sleep:3", "calls:1", "sleep:20", "calls:1")
	must(t, serve(p))
	says(t, p, "50\n50\n1\n1")
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

func TestReceivingIntoAllocatesNothing(t *testing.T) {
	// A receive that waits for long allocates. With so many threads there is always a call that waits.
	const each, tries, crowd = 200, 20, 16
	p := start(t, fmt.Sprintf("threads:%d,%d", crowd, ((each+1)*tries+crowd-1)/crowd))
	var call unotify.Notification
	receiveOne := func() {
		must(t, p.listener.ReceiveInto(background, &call))
		must(t, call.ReplyValue(int64(call.Request().Args[0])))
	}
	least := math.Inf(1)
	for i := 0; i < tries; i++ {
		// The runtime itself allocates now and then.
		least = math.Min(least, testing.AllocsPerRun(each, receiveOne))
	}
	if least > 0 {
		t.Errorf("%v allocations", least)
	}
	must(t, serve(p))
}

func TestTenThousandCyclesLeaveNothing(t *testing.T) {
	cycles := fewer(10000)
	p := start(t, fmt.Sprintf("calls:%d", cycles), "line")
	file, err := p.listener.File()
	must(t, err)
	defer file.Close()
	cycle := func() {
		listener, err := unotify.ListenerFromFile(file)
		must(t, err)
		call, err := listener.Receive(background)
		must(t, err)
		must(t, listener.Close())
		must(t, call.ReplyValue(int64(call.Request().Args[0])))
	}
	for i := 0; i < cycles/10; i++ {
		cycle()
	}
	goroutines, fds, memory := settled(t)
	for i := cycles / 10; i < cycles; i++ {
		cycle()
	}
	goroutinesNow, fdsNow, memoryNow := settled(t)
	if goroutinesNow > goroutines || fdsNow > fds || memoryNow > memory+1<<20 {
		t.Errorf("goroutines %d, then %d; descriptors %d, then %d; bytes %d, then %d",
			goroutines, goroutinesNow, fds, fdsNow, memory, memoryNow)
	}
	_, _ = p.input.Write([]byte("\n"))
	says(t, p, fmt.Sprint(cycles))
}

func settled(t testing.TB) (goroutines, fds int, memory uint64) {
	for i := 0; i < 5; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return runtime.NumGoroutine(), len(entries), stats.HeapAlloc
}

func TestAListenerThatNobodyRefersToIsClosed(t *testing.T) {
	p := start(t, "line", "call:1")
	file, err := p.listener.File()
	must(t, err)
	defer file.Close()
	_, before, _ := settled(t)
	for i := 0; i < 100; i++ {
		_, err := unotify.ListenerFromFile(file)
		must(t, err)
	}
	if _, after, _ := settled(t); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func newPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		end, err := net.FileConn(file)
		must(t, err)
		must(t, file.Close())
		ends[i] = end.(*net.UnixConn)
		t.Cleanup(func() { end.Close() })
	}
	return ends[0], ends[1]
}

func TestAListenerGoesOverASocket(t *testing.T) {
	p := start(t, "calls:10")
	here, there := newPair(t)
	later(func() { _ = p.listener.SendTo(here) })
	listener, err := unotify.ListenerFromConn(there)
	must(t, err)
	defer listener.Close()
	must(t, serve(&program{listener: listener}))
	says(t, p, "10")
}

func TestWhatIsNoListenerIsRefusedAndClosed(t *testing.T) {
	here, there := newPair(t)
	_, before, _ := settled(t)
	for _, fds := range [][]int{{0}, {0, 1, 2}, nil} {
		rights := []byte(nil)
		if fds != nil {
			rights = syscall.UnixRights(fds...)
		}
		_, _, err := here.WriteMsgUnix([]byte("x"), rights, nil)
		must(t, err)
		_, err = unotify.ListenerFromConn(there)
		expect(t, err, unotify.ErrInvalidArgument)
	}
	if _, after, _ := settled(t); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	must(t, there.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := unotify.ListenerFromConn(there)
	expect(t, err, os.ErrDeadlineExceeded)
	must(t, there.SetReadDeadline(time.Time{}))
	must(t, here.Close())
	_, err = unotify.ListenerFromConn(there)
	expect(t, err, unotify.ErrClosed)
	p := start(t, "say:x")
	expect(t, p.listener.SendTo(there), unotify.ErrClosed)
}

func TestADescriptorThatIsNoListenerIsRefused(t *testing.T) {
	_, err := unotify.ListenerFromFd(0)
	expect(t, err, unotify.ErrInvalidArgument)
	_, err = unotify.ListenerFromFd(-1)
	expect(t, err, syscall.EBADF)
	_, err = unotify.ListenerFromFile(os.Stdin)
	expect(t, err, unotify.ErrInvalidArgument)
	var failed *unotify.Error
	if !errors.As(err, &failed) || failed.Status != unotify.ErrInvalidArgument || failed.Message == "" {
		t.Error(failed)
	}
}

func TestAListenerIsTakenFromAProcessThatHoldsIt(t *testing.T) {
	p := start(t, "calls:10")
	listener, err := unotify.ListenerFromPid(os.Getpid(), p.listener.Fd())
	must(t, err)
	defer listener.Close()
	must(t, serve(&program{listener: listener}))
	says(t, p, "10")
	_, err = unotify.ListenerFromPid(os.Getpid(), 9999)
	expect(t, err, syscall.EBADF)
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
