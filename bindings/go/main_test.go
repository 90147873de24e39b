package unotify_test

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	unotify "libunotify/go"
)

// The test's own program is the target too: with this in its environment it is one.
const targetMode = "UNOTIFY_GO_TARGET"

// The first thread is the main goroutine's, as it does not end with another that was locked to it.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	debug.SetTraceback("all")
	switch mode := os.Getenv(targetMode); {
	case mode == "":
		os.Exit(m.Run())
	case mode == "obey":
		obey()
	case strings.HasPrefix(mode, "threads "):
		callOnThreads(mode)
	case strings.HasPrefix(mode, "listeners "):
		haveListeners(mode)
	case strings.HasPrefix(mode, "exit "):
		status, _ := strconv.Atoi(mode[len("exit "):])
		os.Exit(status)
	case mode == "take over":
		takeOver()
	case mode == "echo":
		fmt.Print(strings.Join(os.Args[1:], " "))
		fmt.Fprint(os.Stderr, "stderr")
	}
}

// What a target has in its memory, and where: it says so at first.
var (
	targetText  = [64]byte{0: 's', 1: 'o', 2: 'm', 3: 'e', 4: ' ', 5: 't', 6: 'e', 7: 'x', 8: 't'}
	targetPath  [256]byte
	targetArray [3]uintptr
)

func addressOf(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// obey makes the calls that it is told to, one a line, and says what they returned.
func obey() {
	runtime.LockOSThread()
	// Signals are handled, and interrupt.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGUSR1)
	copy(targetPath[:], os.Getenv("UNOTIFY_GO_PATH"))
	targetArray[0], targetArray[1] = uintptr(unsafe.Pointer(&targetText)), uintptr(unsafe.Pointer(&targetPath))
	fmt.Println(addressOf(unsafe.Pointer(&targetText)), addressOf(unsafe.Pointer(&targetPath)),
		addressOf(unsafe.Pointer(&targetArray)))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var n [7]uintptr
		for i, word := range strings.Fields(lines.Text()) {
			number, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				panic(err)
			}
			n[i] = uintptr(number)
		}
		switch n[0] {
		case 0: // What is in the text.
			fmt.Printf("%q\n", strings.TrimRight(string(targetText[:]), "\x00"))
			continue
		case 1: // What the file is that it got.
			info := make([]byte, 256)
			size, err := syscall.Read(int(n[1]), info)
			fmt.Printf("%q %v\n", info[:max(size, 0)], err)
			continue
		}
		value, _, errno := syscall.RawSyscall6(n[0], n[1], n[2], n[3], n[4], n[5], n[6])
		fmt.Println(int64(value), int(errno))
	}
}

// haveListeners has as many threads with a listener each as it is told to, and says their descriptors.
func haveListeners(mode string) {
	var many int
	fmt.Sscanf(mode, "listeners %d", &many)
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err == nil {
		err = filter.Notify("getppid")
	}
	if err != nil {
		panic(err)
	}
	listeners := make(chan *unotify.Listener)
	for i := 0; i < many; i++ {
		go func() {
			runtime.LockOSThread()
			listener, err := filter.Load(0)
			if err != nil {
				panic(err)
			}
			listeners <- listener
			select {}
		}()
	}
	all := make([]*unotify.Listener, many)
	for i := range all {
		all[i] = <-listeners
		fmt.Println(all[i].Fd())
	}
	bufio.NewScanner(os.Stdin).Scan()
	runtime.KeepAlive(all)
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// callOnThreads makes as many calls on as many threads as it is told to, and exits with 1 if one gave anything but what
// its arguments add up to.
func callOnThreads(mode string) {
	var threads, calls int
	fmt.Sscanf(mode, "threads %d calls %d", &threads, &calls)
	var all sync.WaitGroup
	for thread := 0; thread < threads; thread++ {
		all.Add(1)
		go func(thread uintptr) {
			defer all.Done()
			runtime.LockOSThread()
			for i := uintptr(0); i < uintptr(calls); i++ {
				got, _, errno := syscall.Syscall6(syscall.SYS_GETPPID, thread, i, 0, 0, 0, 0)
				if errno != 0 || got != thread+i {
					fmt.Fprintln(os.Stderr, "call", i, "of thread", thread, "gave", got, errno)
					os.Exit(1)
				}
			}
		}(uintptr(thread))
	}
	all.Wait()
}

// guard ends a test that hangs, with what all goroutines are at.
func guard(t *testing.T, limit time.Duration) {
	t.Helper()
	timer := time.AfterFunc(limit, func() { panic(t.Name() + " hangs") })
	t.Cleanup(func() { timer.Stop() })
}
