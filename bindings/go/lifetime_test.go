package unotify_test

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	unotify "libunotify/go"
)

// cycles is how often something is done that is to leave nothing behind.
var cycles = 10_000 / int(slowness())

var raceDetector bool

// resident is how much memory this process has in use, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	must(t, err)
	return kib
}

// leavesNothing does something very often and looks what is left of it.
func leavesNothing(t *testing.T, once func()) {
	t.Helper()
	for i := 0; i < cycles/10; i++ { // What is kept for the next time is there then.
		once()
	}
	fds, threadsBefore, goroutines := descriptors(t), threads(t), runtime.NumGoroutine()
	for try := 0; ; try++ {
		memory := resident(t)
		for i := 0; i < cycles; i++ {
			once()
		}
		// 100 bytes a cycle, every time, would be 1000 KiB.
		grown := resident(t) - memory
		if grown < 1000 || raceDetector {
			break
		}
		if try == 10 {
			t.Errorf("it grew by %d KiB", grown)
			break
		}
	}
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors became %d", fds, now)
	}
	if now := threads(t); now > threadsBefore+4 {
		t.Errorf("%d threads became %d", threadsBefore, now)
	}
}

func TestNotificationsLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	leavesNothing(t, func() {
		it.getppid()
		n, err := it.Listener.Receive(background)
		must(t, err)
		must(t, n.ReplyValue(1))
		must(t, n.Close())
		it.result()
	})
}

func TestErrorsLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	n := start(t).called()
	leavesNothing(t, func() {
		if n.ReplyError(0) == nil || n.Read(8, make([]byte, 8)) == nil {
			t.Fatal("it worked")
		}
	})
}

func TestListenersLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	leavesNothing(t, func() {
		file, err := it.Listener.File()
		must(t, err)
		listener, err := unotify.ListenerFromFile(file)
		must(t, err)
		must(t, file.Close())
		must(t, listener.Close())
	})
}

func TestWaitsInVainLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	var n unotify.Notification
	leavesNothing(t, func() {
		must(t, it.Listener.SetDeadline(time.Now().Add(time.Microsecond)))
		if it.Listener.ReceiveInto(background, &n) == nil {
			t.Fatal("it received")
		}
	})
}

func TestFiltersLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	leavesNothing(t, func() {
		filter, err := unotify.NewFilter(unotify.ActionAllow)
		must(t, err)
		must(t, filter.Notify("getppid"))
		_, err = filter.ExportBPF()
		must(t, err)
		must(t, filter.Close())
	})
}

func TestWhatIsNotClosedIsCollected(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	fds := descriptors(t)
	for i := 0; i < 300; i++ {
		file, err := it.Listener.File()
		must(t, err)
		_, err = unotify.ListenerFromFile(file)
		must(t, err)
		file.Close()
		newFilter := func() { unotify.NewFilter(unotify.ActionAllow) }
		newFilter()
		unotify.NewRoots(0)
	}
	eventually(t, "all listeners are closed", func() bool {
		runtime.GC()
		return descriptors(t) <= fds
	})
}

func TestProgramsLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	filter := newFilter(t, "getppid")
	once := func() {
		child, err := unotify.Command(filter, "true").Start()
		must(t, err)
		must(t, child.Wait())
		must(t, child.Close())
		must(t, child.Listener.Close())
	}
	once()
	fds, before := descriptors(t), threads(t)
	for i := 0; i < 300; i++ {
		once()
	}
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors became %d", fds, now)
	}
	if now := threads(t); now > before+4 {
		t.Errorf("%d threads became %d", before, now)
	}
}

// Handles that are closed while others use them give errors and never crash.
func TestClosingWhileOthersUseIt(t *testing.T) {
	guard(t, 4*patience)
	it := start(t)
	for i := 0; i < 300; i++ {
		file, err := it.Listener.File()
		must(t, err)
		listener, err := unotify.ListenerFromFile(file)
		must(t, err)
		file.Close()
		var all sync.WaitGroup
		for _, use := range []func(){
			func() { listener.Receive(background) },
			func() { listener.SetFallbackError(1) },
			func() { listener.SetDeadline(time.Now().Add(time.Microsecond)) },
			func() { listener.Fd() },
			func() { listener.Close() },
			func() { listener.Close() },
		} {
			all.Add(1)
			go func(use func()) {
				defer all.Done()
				use()
			}(use)
		}
		all.Wait()
	}
}

func TestReceivingAndAnsweringAllocatesNothing(t *testing.T) {
	guard(t, patience)
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	child, err := self(newFilter(t, "getppid"), "threads 1 calls 1300").Start()
	must(t, err)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	var n unotify.Notification
	once := func() {
		must(t, child.Listener.ReceiveInto(ctx, &n))
		args := n.Request().Args
		must(t, n.ReplyValue(int64(args[0]+args[1])))
	}
	for i := 0; i < 100; i++ {
		once()
	}
	if each := testing.AllocsPerRun(1000, once); each != 0 {
		t.Errorf("%v allocations each", each)
	}
	child.Kill()
	child.Wait()
	child.Close()
	child.Listener.Close()
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
