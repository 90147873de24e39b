package unotify_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

var background = context.Background()

func TestReceivingEndsWhenTheLastTargetHasEnded(t *testing.T) {
	guard(t, patience)
	it := start(t)
	must(t, it.called().ReplyValue(1))
	it.in.Close()
	_, err := it.Listener.Receive(background)
	wantError(t, err, unotify.ErrClosed)
	must(t, it.Wait())
}

func TestCloseEndsAReceive(t *testing.T) {
	guard(t, patience)
	for _, busy := range []bool{false, true} {
		it := start(t)
		if busy { // So that it blocks in the kernel.
			must(t, it.called().ReplyValue(1))
			must(t, it.called().ReplyValue(1))
		}
		done := make(chan error)
		go func() {
			_, err := it.Listener.Receive(background)
			done <- err
		}()
		time.Sleep(time.Millisecond)
		must(t, it.Listener.Close())
		wantError(t, <-done, os.ErrClosed)
		it.getppid()
		if _, errno := it.result(); !busy && errno != syscall.ENOSYS {
			t.Error(errno)
		}
	}
}

func TestAClosedListenerGivesErrors(t *testing.T) {
	guard(t, patience)
	l := start(t).Listener
	must(t, l.Close())
	_, err := l.Receive(background)
	wantError(t, err, os.ErrClosed)
	_, err = l.File()
	wantError(t, err, os.ErrClosed)
	for _, err := range []error{
		l.Close(), l.ReceiveInto(background, new(unotify.Notification)), l.SetDeadline(time.Now()),
		l.SetSyncWakeUp(true), l.SetFallbackError(1), l.WatchChild(os.Stdin),
	} {
		wantError(t, err, os.ErrClosed)
	}
	if l.Fd() != -1 {
		t.Error(l.Fd())
	}
}

func TestAContextEndsAReceive(t *testing.T) {
	guard(t, patience)
	it := start(t)
	for i := 0; i < 3; i++ { // From the lot, and from the kernel.
		ctx, cancel := context.WithCancel(background)
		time.AfterFunc(time.Duration(i)*time.Millisecond, cancel)
		begin := time.Now()
		_, err := it.Listener.Receive(ctx)
		wantError(t, err, context.Canceled)
		if took := time.Since(begin); took > time.Second {
			t.Error("it took", took)
		}
		must(t, it.called().ReplyValue(1))
		must(t, it.called().ReplyValue(1))
	}
	ctx, cancel := context.WithTimeout(background, 5*time.Millisecond)
	defer cancel()
	_, err := it.Listener.Receive(ctx)
	wantError(t, err, context.DeadlineExceeded)
	_, err = it.Listener.Receive(ctx)
	wantError(t, err, context.DeadlineExceeded)
}

func TestADeadlineEndsReceives(t *testing.T) {
	guard(t, patience)
	it := start(t)
	l := it.Listener
	// One that is far away, and then is not.
	must(t, l.SetDeadline(time.Now().Add(time.Hour)))
	for i := 0; i < 2; i++ {
		must(t, it.called().ReplyValue(1)) // The second time it is blocked in the kernel.
		time.AfterFunc(2*time.Millisecond, func() { l.SetDeadline(time.Now()) })
		_, err := l.Receive(background)
		wantError(t, err, unotify.ErrTimeout, os.ErrDeadlineExceeded, syscall.ETIMEDOUT)
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error("it is no timeout:", err)
		}
		_, err = l.Receive(background)
		wantError(t, err, os.ErrDeadlineExceeded)
		must(t, l.SetDeadline(time.Time{}))
	}
	must(t, l.SetDeadline(time.Now().Add(3*time.Millisecond)))
	_, err := l.Receive(background)
	wantError(t, err, os.ErrDeadlineExceeded)
	// A timer of an earlier one ends nothing.
	must(t, l.SetDeadline(time.Now().Add(time.Millisecond)))
	must(t, l.SetDeadline(time.Time{}))
	time.AfterFunc(5*time.Millisecond, func() { it.getppid() })
	must(t, it.receive().ReplyValue(1))
}

func TestAPendingCallIsReceivedAfterADeadlineHasEnded(t *testing.T) {
	guard(t, patience)
	it := start(t)
	must(t, it.Listener.SetDeadline(time.Now()))
	it.getppid()
	for i := 0; i < 3; i++ {
		_, err := it.Listener.Receive(background)
		wantError(t, err, os.ErrDeadlineExceeded)
	}
	must(t, it.Listener.SetDeadline(time.Time{}))
	done, cancel := context.WithCancel(background)
	cancel()
	_, err := it.Listener.Receive(done)
	wantError(t, err, context.Canceled)
	must(t, it.receive().ReplyValue(1))
}

func TestAProgramThatWantsAllSignalsDoesNotKeepReceivesFromEnding(t *testing.T) {
	guard(t, patience)
	all := make(chan os.Signal, 100)
	signal.Notify(all)
	defer signal.Stop(all)
	it := start(t)
	must(t, it.called().ReplyValue(1))
	must(t, it.called().ReplyValue(1))
	done := make(chan error)
	go func() {
		_, err := it.Listener.Receive(background)
		done <- err
	}()
	time.Sleep(time.Millisecond)
	must(t, it.Listener.Close())
	wantError(t, <-done, os.ErrClosed)
}

func TestManyGoroutinesShareAListener(t *testing.T) {
	guard(t, 2*patience)
	const threads, calls = 8, 200
	child, err := self(newFilter(t, "getppid"), "threads 8 calls 200").Start()
	must(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[[2]uint64]int{}
	for i := 0; i < 16; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			var n unotify.Notification
			for {
				err := child.Listener.ReceiveInto(background, &n)
				if errors.Is(err, unotify.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				args := n.Request().Args
				mu.Lock()
				seen[[2]uint64{args[0], args[1]}]++
				mu.Unlock()
				if err := n.ReplyValue(int64(args[0] + args[1])); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	must(t, child.Wait())
	all.Wait()
	for call, times := range seen {
		if times != 1 {
			t.Errorf("call %v came %d times", call, times)
		}
	}
	if len(seen) != threads*calls {
		t.Errorf("%d calls came", len(seen))
	}
	must(t, child.Listener.Close())
	must(t, child.Close())
}

// What waits for long takes no thread, and leaves none behind, nor a goroutine or a descriptor.
func TestManyWaitingListenersTakeNoThreads(t *testing.T) {
	guard(t, 2*patience)
	const many = 1000
	fds, goroutines, before := descriptors(t), runtime.NumGoroutine(), threads(t)
	target := startListeners(t, many)
	listeners := target.listeners
	fds += target.descriptors
	ctx, cancel := context.WithCancel(background)
	done := make(chan error)
	for _, l := range listeners {
		go func(l *unotify.Listener) {
			_, err := l.Receive(ctx)
			done <- err
		}(l)
	}
	time.Sleep(200 * time.Millisecond)
	if now := threads(t); now > before+20 {
		t.Errorf("%d threads wait, and there were %d", now, before)
	}
	for i, l := range listeners[:many/2] {
		must(t, l.Close())
		wantError(t, <-done, os.ErrClosed)
		listeners[i] = nil
	}
	cancel()
	for range listeners[many/2:] {
		wantError(t, <-done, context.Canceled)
	}
	for _, l := range listeners[many/2:] {
		must(t, l.Close())
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors became %d", fds, now)
	}
}

func TestWaitingGoroutinesDoNotMissACall(t *testing.T) {
	guard(t, patience)
	it := start(t)
	for i := 0; i < 30; i++ {
		time.AfterFunc(time.Duration(i)*time.Millisecond, func() { it.getppid(uint64(i)) })
		n := it.receive()
		if n.Request().Args[0] != uint64(i) {
			t.Error(n.Request().Args)
		}
		must(t, n.ReplyValue(1))
	}
}

// A storm of cancellations, deadlines and garbage collections loses nothing.
func TestNothingIsLostInAStorm(t *testing.T) {
	guard(t, 2*patience)
	child, err := self(newFilter(t, "getppid"), "threads 4 calls 2000").Start()
	must(t, err)
	stop := make(chan struct{})
	var noise sync.WaitGroup
	noise.Add(2)
	go func() {
		defer noise.Done()
		for !closed(stop) {
			child.Listener.SetDeadline(time.Now().Add(time.Millisecond))
			time.Sleep(500 * time.Microsecond)
			child.Listener.SetDeadline(time.Time{})
			time.Sleep(500 * time.Microsecond)
		}
	}()
	go func() {
		defer noise.Done()
		for !closed(stop) {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}()
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for {
				ctx, cancel := context.WithTimeout(background, time.Duration(i+1)*time.Millisecond)
				n, err := child.Listener.Receive(ctx)
				cancel()
				switch {
				case err == nil:
					args := n.Request().Args
					if err := n.ReplyValue(int64(args[0] + args[1])); err != nil {
						t.Error(err)
					}
					if i%2 == 0 {
						n.Close()
					}
				case errors.Is(err, unotify.ErrClosed):
					return
				case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded):
					t.Error(err)
					return
				}
			}
		}(i)
	}
	must(t, child.Wait())
	all.Wait()
	close(stop)
	noise.Wait()
	child.Listener.Close()
	child.Close()
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAListenerGoesOverASocket(t *testing.T) {
	guard(t, patience)
	it := start(t)
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	here, there := unixConn(t, ends[0]), unixConn(t, ends[1])
	// Nothing has come so far.
	must(t, there.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = unotify.ListenerFromConn(there)
	wantError(t, err, os.ErrDeadlineExceeded)
	must(t, there.SetReadDeadline(time.Time{}))

	must(t, it.Listener.SendTo(here))
	second, err := unotify.ListenerFromConn(there)
	must(t, err)
	must(t, it.Listener.Close())
	it.getppid()
	must(t, receive(t, second).ReplyValue(3))
	if got, _ := it.result(); got != 3 {
		t.Error(got)
	}
	must(t, second.Close())

	_, err = here.Write([]byte("x"))
	must(t, err)
	_, err = unotify.ListenerFromConn(there)
	wantError(t, err, unotify.ErrInvalidArgument)
	here.Close()
	_, err = unotify.ListenerFromConn(there)
	wantError(t, err, unotify.ErrClosed)
}

func unixConn(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socket")
	conn, err := net.FileConn(file)
	must(t, err)
	file.Close()
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UnixConn)
}

func TestWhatIsNoListenerIsRefusedAndRemainsTheCallers(t *testing.T) {
	null, err := os.Open("/dev/null")
	must(t, err)
	_, err = unotify.ListenerFromFile(null)
	wantError(t, err, unotify.ErrInvalidArgument)
	_, err = unotify.ListenerFromFd(int(null.Fd()))
	wantError(t, err, unotify.ErrInvalidArgument)
	must(t, null.Close())
	_, err = unotify.ListenerFromFd(-1)
	wantError(t, err, unotify.ErrInvalidArgument, syscall.EBADF)
	_, err = unotify.ListenerFromFile(null)
	wantError(t, err, os.ErrClosed)
	_, err = unotify.ListenerFromFile(nil)
	wantError(t, err, unotify.ErrInvalidArgument)
	_, err = unotify.ListenerFromPid(os.Getpid(), 0)
	wantError(t, err, unotify.ErrInvalidArgument)
	_, err = unotify.ListenerFromPid(1<<22+1, 0)
	wantError(t, err, syscall.ESRCH)
}

func TestEachGoroutineGetsItsOwnSentence(t *testing.T) {
	guard(t, patience)
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func(name string) {
			defer all.Done()
			for i := 0; i < 3000; i++ {
				_, err := unotify.SyscallFromName(0, name)
				if !errors.Is(err, unotify.ErrUnknownSyscall) || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		}(strings.Repeat(string(rune('a'+i)), 10+i))
	}
	all.Wait()
}

func TestTheEndOfAChildIsSeenWhereAZombieKeepsItsListener(t *testing.T) {
	guard(t, patience)
	fds := descriptors(t)
	defer unotify.LetZombiesKeepListeners()()
	it := start(t)
	n := it.called()
	must(t, n.ReplyValue(1))
	must(t, n.Close())
	time.AfterFunc(20*time.Millisecond, func() { it.in.Close() })
	_, err := it.Listener.Receive(background)
	wantError(t, err, unotify.ErrClosed)
	pidfd, err := it.PidFd()
	must(t, err)
	must(t, it.Listener.WatchChild(pidfd))
	must(t, it.Wait())
	pidfd.Close()
	it.end()
	if now := descriptors(t); now > fds+1 { // The pipe that it has written to.
		t.Errorf("%d descriptors became %d", fds, now)
	}
}
