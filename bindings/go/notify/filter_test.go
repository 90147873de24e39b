package notify_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

// run runs a target under a filter that notifies nothing it calls, and gives what it said.
func run(t *testing.T, filter *unotify.Filter, commands ...string) (string, error) {
	t.Helper()
	command := exec.Command("/proc/self/exe", commands...)
	command.Env = target.Environment()
	var output strings.Builder
	command.Stdout = &output
	listener, err := unotify.Start(command, filter)
	must(t, err)
	defer listener.Close()
	err = command.Wait()
	return strings.TrimSpace(output.String()), err
}

func expectSaid(t *testing.T, filter *unotify.Filter, expected string, commands ...string) {
	t.Helper()
	if said, err := run(t, filter, commands...); said != expected || err != nil {
		t.Errorf("the target said %q instead of %q (%v)", said, expected, err)
	}
}

func TestACallIsRefusedByTheFilter(t *testing.T) {
	var filter unotify.Filter
	filter.Refuse(target.Number, syscall.EXDEV)
	expectSaid(t, &filter, fmt.Sprint("-1 ", int(syscall.EXDEV)), "call:1")
}

func TestConditionsCompareAll64Bits(t *testing.T) {
	is := func(op unotify.Op, value, mask uint64) unotify.Condition {
		return unotify.Condition{Arg: 1, Op: op, Value: value, Mask: mask}
	}
	const high, low = 1 << 40, 5
	const matches, goesOn = "-1 18", "-1 14" // EXDEV, and EFAULT of the call itself
	for _, c := range []struct {
		argument  uint64
		condition unotify.Condition
		expected  string
	}{
		{high | low, is(unotify.Equal, high|low, 0), matches},
		{low, is(unotify.Equal, high|low, 0), goesOn},
		{high, is(unotify.Equal, high|low, 0), goesOn},
		{high | low, is(unotify.NotEqual, high|low, 0), goesOn},
		{low, is(unotify.NotEqual, high|low, 0), matches},
		{high, is(unotify.NotEqual, high|low, 0), matches},
		{0, is(unotify.NotEqual, 0, 0), goesOn},
		{high, is(unotify.NotEqual, 0, 0), matches},
		{1, is(unotify.NotEqual, 0, 0), matches},
		{high | low, is(unotify.MaskedEqual, high, high), matches},
		{low, is(unotify.MaskedEqual, high, high), goesOn},
		{high | 7, is(unotify.MaskedEqual, 4, 4), matches},
		{high | 3, is(unotify.MaskedEqual, 4, 4), goesOn},
	} {
		var filter unotify.Filter
		filter.Refuse(target.Number, syscall.EXDEV, c.condition)
		expectSaid(t, &filter, c.expected, fmt.Sprintf("call:1,%d", c.argument))
	}
}

func TestAllConditionsHaveToHoldAndTheFirstRuleDecides(t *testing.T) {
	is := func(arg int, op unotify.Op, value uint64) unotify.Condition {
		return unotify.Condition{Arg: arg, Op: op, Value: value}
	}
	var filter unotify.Filter
	filter.Refuse(target.Number, 1, is(0, unotify.Equal, 1), is(1, unotify.NotEqual, 2), is(2, unotify.Equal, 3))
	filter.Refuse(target.Number, 2, is(1, unotify.Equal, 2))
	filter.Refuse(target.Number, 3)
	expectSaid(t, &filter, "-1 1\n-1 3\n-1 2\n-1 3", "call:1,0,3", "call:1,0,4", "call:1,2,3", "call:0,0,3")

	filter = unotify.Filter{}
	var most []unotify.Condition
	for i := 0; i < 16; i++ {
		most = append(most, is(i%6, unotify.NotEqual, uint64(100+i)))
	}
	filter.Refuse(target.Number, 4, most...)
	filter.Refuse(target.Number, 5)
	expectSaid(t, &filter, "-1 4\n-1 5\n-1 5", "call:1,2,3", "call:100", "call:1,2,3,115")
}

func TestAFilterThatCannotBeIsRefused(t *testing.T) {
	for _, add := range []func(*unotify.Filter){
		func(f *unotify.Filter) { f.Notify(-1) },
		func(f *unotify.Filter) { f.Refuse(1, 0) },
		func(f *unotify.Filter) { f.Notify(1, unotify.Condition{Arg: 6, Op: unotify.Equal}) },
		func(f *unotify.Filter) { f.Notify(1, unotify.Condition{Arg: 1}) },
		func(f *unotify.Filter) {
			f.Notify(1, make([]unotify.Condition, 17)...)
		},
		func(f *unotify.Filter) {
			for i := 0; i < 5000; i++ {
				f.Notify(i)
			}
		},
		func(f *unotify.Filter) { f.Notify(syscall.SYS_CLOSE) },
		func(f *unotify.Filter) { f.Notify(syscall.SYS_EXECVE) },
	} {
		var filter unotify.Filter
		add(&filter)
		_, err := unotify.Start(exec.Command("/bin/true"), &filter)
		expect(t, err, unotify.ErrInvalidArgument)
	}
}

func TestAProgramGetsNoNewPrivs(t *testing.T) {
	expectSaid(t, &unotify.Filter{}, "1", "privs")
}

func TestThisProcessStaysWithoutAFilter(t *testing.T) {
	expectSaid(t, &unotify.Filter{}, "x", "say:x")
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	must(t, err)
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err == nil && strings.Contains(string(status), "\nSeccomp:\t2\n") && !isEnding(status) {
			t.Errorf("%s has a filter", task)
		}
	}
}

// isEnding tells whether a thread is about to be gone.
func isEnding(status []byte) bool {
	return strings.Contains(string(status), "State:\tX") || strings.Contains(string(status), "State:\tZ")
}

func TestCallsOfAnotherABIKill(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("no other ABI hides among the numbers here")
	}
	for _, number := range []string{"0x40000027", "0x40000000", "0xbfffffff"} {
		said, err := run(t, &unotify.Filter{}, "number:"+number)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
			t.Errorf("%s: %v, %q", number, err, said)
		}
	}
	expectSaid(t, &unotify.Filter{}, fmt.Sprint("-1 ", int(syscall.ENOSYS)), "number:0xffffffff")
}

func TestAProgramOfAnotherArchitectureIsKilled(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("no other architecture runs here")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	directory := t.TempDir()
	source := filepath.Join(directory, "main.go")
	must(t, os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600))
	program := filepath.Join(directory, "program")
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	must(t, exec.Command(program).Run())
	command := exec.Command(program)
	listener, err := unotify.Start(command, &unotify.Filter{})
	must(t, err)
	defer listener.Close()
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
		t.Error(err)
	}
}

func TestAProgramThatCannotBeExecutedIsAnError(t *testing.T) {
	_, err := unotify.Start(exec.Command("/no/such/program"), &unotify.Filter{})
	expect(t, err, os.ErrNotExist)
	_, err = unotify.Start(exec.Command("no-such-program"), &unotify.Filter{})
	expect(t, err, exec.ErrNotFound)
	command := exec.Command("/bin/true")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, err = unotify.Start(command, &unotify.Filter{})
	expect(t, err, unotify.ErrInvalidArgument)
}

func TestOpeningMayBeNotified(t *testing.T) {
	var filter unotify.Filter
	filter.Notify(syscall.SYS_OPENAT)
	command := exec.Command("/bin/cat", "/dev/null")
	listener, err := unotify.Start(command, &filter)
	must(t, err)
	ended := make(chan error)
	go func() { ended <- command.Wait() }()
	paths := map[string]bool{}
	for {
		call, err := listener.Receive(background)
		if errors.Is(err, unotify.ErrClosed) {
			break
		}
		must(t, err)
		path, err := call.ReadString(call.Request().Args[1], 4096)
		must(t, err)
		paths[path] = true
		must(t, call.ReplyContinue())
	}
	must(t, <-ended)
	if !paths["/dev/null"] || paths["/dev/zero"] {
		t.Error(paths)
	}
}

func TestAProgramMayBeWaitedForWhenItsListenerHasEnded(t *testing.T) {
	var filter unotify.Filter
	filter.Notify(target.Number)
	command := exec.Command("/proc/self/exe", "calls:5")
	command.Env = target.Environment()
	listener, err := unotify.Start(command, &filter)
	must(t, err)
	defer listener.Close()
	must(t, serve(&program{listener: listener}))
	must(t, command.Wait())
	_, err = listener.Receive(background)
	expect(t, err, unotify.ErrClosed)
}

func TestManyProgramsAreStartedAtOnce(t *testing.T) {
	before := threads(t)
	var all sync.WaitGroup
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			p := start(t, fmt.Sprintf("call:%d", i))
			if err := serve(p); err != nil {
				t.Error(err)
			}
			if said := strings.TrimSpace(p.said()); said != fmt.Sprint(i, " 0") {
				t.Error(said)
			}
		}(i)
	}
	all.Wait()
	t.Logf("%d threads, then %d", before, threads(t))
}

func TestPointersAreReadUpToTheNull(t *testing.T) {
	p := start(t, "array:700")
	call := receive(t, p)
	addr := call.Request().Args[0]
	pointers, err := call.ReadPointers(addr, 700)
	must(t, err)
	if len(pointers) != 700 || pointers[0] != 1 || pointers[699] != 700 {
		t.Error(pointers)
	}
	_, err = call.ReadPointers(addr, 699)
	expect(t, err, unotify.ErrTooLong)
	_, err = call.ReadPointers(0, 1)
	expect(t, err, unotify.ErrFault)
	must(t, call.ReplyValue(0))
}

func TestACallIsInterruptedIfASignalWaitsAndMadeAgain(t *testing.T) {
	p := start(t, "handled", "call:9")
	call := receive(t, p)
	interrupted, err := call.ReplyInterrupted()
	must(t, err)
	if interrupted {
		t.Fatal("no signal was sent")
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(p.process.Pid), uintptr(call.Request().Pid),
		uintptr(syscall.SIGUSR1))
	if errno != 0 {
		t.Fatal(errno)
	}
	interrupted, err = call.ReplyInterrupted()
	if errors.Is(err, unotify.ErrGone) { // before Linux 5.19 any signal does it
		err, interrupted = nil, true
	}
	must(t, err)
	if !interrupted {
		t.Fatal("a signal was sent")
	}
	must(t, receive(t, p).ReplyValue(9))
	says(t, p, "9 0")
}
