package unotify_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

// patience is how long something may take at most. On a slow machine it is longer.
var patience = 30 * time.Second * slowness()

func slowness() time.Duration {
	if times, err := strconv.Atoi(os.Getenv("UNOTIFY_TEST_SLOWNESS")); err == nil && times > 0 {
		return time.Duration(times)
	}
	return 1
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Fatalf("the error is %v, not %v", err, target)
		}
	}
}

// newFilter makes one that notifies these calls.
func newFilter(t testing.TB, names ...string) *unotify.Filter {
	t.Helper()
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	must(t, err)
	must(t, filter.Notify(names...))
	t.Cleanup(func() { filter.Close() })
	return filter
}

// A target that does as it is told.
type target struct {
	*unotify.Child
	t                 testing.TB
	in                *os.File
	out               *bufio.Reader
	text, path, array uint64 // Where it has these.
}

// self is the test's own program as a target.
func self(filter *unotify.Filter, mode string, args ...string) *unotify.Spawn {
	spawn := unotify.Command(filter, "/proc/self/exe", args...)
	// Before Linux 5.19 any signal interrupts a call, and the runtime sends its threads some.
	spawn.Env = append(os.Environ(), targetMode+"="+mode, "GODEBUG=asyncpreemptoff=1")
	spawn.Stderr = os.Stderr
	return spawn
}

// start starts a target whose calls of getppid are notified.
func start(t testing.TB) *target {
	t.Helper()
	return startUnder(t, newFilter(t, "getppid"), "/dev/null")
}

func startUnder(t testing.TB, filter *unotify.Filter, path string) *target {
	t.Helper()
	theirIn, in, err := os.Pipe()
	must(t, err)
	out, theirOut, err := os.Pipe()
	must(t, err)
	spawn := self(filter, "obey")
	spawn.Env = append(spawn.Env, "UNOTIFY_GO_PATH="+path)
	spawn.Stdin, spawn.Stdout = theirIn, theirOut
	child, err := spawn.Start()
	must(t, err)
	theirIn.Close()
	theirOut.Close()
	it := &target{Child: child, t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		it.end()
		out.Close()
	})
	_, err = fmt.Sscan(it.line(), &it.text, &it.path, &it.array)
	must(t, err)
	return it
}

// end kills it if it has not ended, and frees what belongs to it.
func (it *target) end() {
	it.in.Close()
	it.Kill()
	it.Wait()
	it.Close()
	it.Listener.Close()
}

func (it *target) line() string {
	it.t.Helper()
	line, err := it.out.ReadString('\n')
	if err != nil && err != io.EOF {
		it.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// call has it make a call, and does not wait.
func (it *target) call(number uint64, args ...uint64) {
	it.t.Helper()
	_, err := fmt.Fprintln(it.in, append([]any{number}, anys(args)...)...)
	must(it.t, err)
}

func anys(numbers []uint64) (all []any) {
	for _, number := range numbers {
		all = append(all, number)
	}
	return all
}

// getppid has it make the notified call.
func (it *target) getppid(args ...uint64) {
	it.t.Helper()
	it.call(syscall.SYS_GETPPID, args...)
}

// result is what its call has returned.
func (it *target) result() (value int64, errno syscall.Errno) {
	it.t.Helper()
	_, err := fmt.Sscan(it.line(), &value, (*uintptr)(&errno))
	must(it.t, err)
	return value, errno
}

// receive gives the next notification.
func (it *target) receive() *unotify.Notification {
	it.t.Helper()
	return receive(it.t, it.Listener)
}

func receive(t testing.TB, listener *unotify.Listener) *unotify.Notification {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n, err := listener.Receive(ctx)
	must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// called has it make the notified call and receives that.
func (it *target) called(args ...uint64) *unotify.Notification {
	it.t.Helper()
	it.getppid(args...)
	return it.receive()
}

func entries(t testing.TB, directory string) int {
	t.Helper()
	list, err := os.ReadDir(directory)
	must(t, err)
	return len(list)
}

func threads(t testing.TB) int     { return entries(t, "/proc/self/task") }
func descriptors(t testing.TB) int { return entries(t, "/proc/self/fd") }

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to this: ", what)
		}
	}
}

// A process with many listeners, which are all here too.
type manyListeners struct {
	listeners   []*unotify.Listener
	descriptors int // What it takes besides.
	end         func()
}

func startListeners(t testing.TB, many int) *manyListeners {
	t.Helper()
	before := descriptors(t)
	target := exec.Command("/proc/self/exe")
	target.Env = append(os.Environ(), fmt.Sprint(targetMode, "=listeners ", many))
	target.Stderr = os.Stderr
	in, err := target.StdinPipe()
	must(t, err)
	out, err := target.StdoutPipe()
	must(t, err)
	must(t, target.Start())
	it := &manyListeners{listeners: make([]*unotify.Listener, many), descriptors: descriptors(t) - before}
	it.end = func() {
		in.Close()
		target.Wait()
	}
	t.Cleanup(it.end)
	lines := bufio.NewScanner(out)
	for i := range it.listeners {
		lines.Scan()
		fd, err := strconv.Atoi(lines.Text())
		must(t, err)
		it.listeners[i], err = unotify.ListenerFromPid(target.Process.Pid, fd)
		must(t, err)
	}
	return it
}
