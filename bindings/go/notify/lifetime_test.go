package notify_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
}

func TestTheCollectorDisturbsNothing(t *testing.T) {
	calls := target.Fewer(1000)
	p := start(t, fmt.Sprintf("threads:4,%d", calls))
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
	says(t, p, fmt.Sprint(4*calls))
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
