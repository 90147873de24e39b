package unotify_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	unotify "libunotify/go"
)

// finish answers everything and gives what Wait says.
func finish(t *testing.T, spawn *unotify.Spawn) error {
	t.Helper()
	child, err := spawn.Start()
	must(t, err)
	defer child.Close()
	defer child.Listener.Close()
	var n unotify.Notification
	for {
		err := child.Listener.ReceiveInto(background, &n)
		if errors.Is(err, unotify.ErrClosed) {
			break
		}
		must(t, err)
		must(t, n.ReplyContinue())
	}
	n.Close()
	return child.Wait()
}

func TestAProgramHasTheStreamsOfOsExec(t *testing.T) {
	guard(t, patience)
	filter := newFilter(t, "getppid")
	cat := unotify.Command(filter, "cat")
	var out bytes.Buffer
	text := strings.Repeat("more than a pipe holds", 10_000)
	cat.Stdin, cat.Stdout = strings.NewReader(text), &out
	must(t, finish(t, cat))
	if out.String() != text {
		t.Errorf("%d bytes", out.Len())
	}

	// Both into one, and nothing to read.
	out.Reset()
	script := unotify.Command(filter, "sh", "-c", "cat; echo out; echo err >&2")
	script.Stdout, script.Stderr = &out, &out
	must(t, finish(t, script))
	if out.String() != "out\nerr\n" {
		t.Errorf("%q", out.String())
	}

	// It need not read everything.
	quick := unotify.Command(filter, "true")
	quick.Stdin = strings.NewReader(strings.Repeat(text, 10))
	must(t, finish(t, quick))
}

func TestAProgramHasItsDirectoryEnvironmentAndFiles(t *testing.T) {
	guard(t, patience)
	var out bytes.Buffer
	r, w, err := os.Pipe()
	must(t, err)
	io.WriteString(w, "from 4")
	w.Close()
	script := unotify.Command(newFilter(t, "getppid"), "sh", "-c", `pwd; echo "$X$HOME"; cat <&4; [ ! -e /proc/self/fd/3 ]`)
	script.Dir, script.Env = "/", []string{"X=x", "PATH=/usr/bin:/bin"}
	script.ExtraFiles = []*os.File{nil, r}
	script.Stdout = &out
	must(t, finish(t, script))
	if out.String() != "/\nx\nfrom 4" {
		t.Errorf("%q", out.String())
	}
}

func TestWaitSaysHowAProgramEnded(t *testing.T) {
	guard(t, patience)
	filter := newFilter(t, "getppid")
	for mode, status := range map[string]int{"exit 0": 0, "exit 7": 7} {
		child, err := self(filter, mode).Start()
		must(t, err)
		for i := 0; i < 2; i++ {
			err = child.Wait()
			var ended *unotify.ExitError
			if status == 0 && err != nil || status != 0 && (!errors.As(err, &ended) || ended.ExitCode() != status) {
				t.Errorf("%s: %v", mode, err)
			}
		}
		if child.WaitStatus().ExitStatus() != status {
			t.Error(child.WaitStatus())
		}
		must(t, child.Close())
		child.Listener.Close()
	}

	it := start(t)
	waits := make(chan error)
	for i := 0; i < 3; i++ {
		go func() { waits <- it.Wait() }()
	}
	must(t, it.Signal(0))
	must(t, it.Kill())
	for i := 0; i < 3; i++ {
		var ended *unotify.ExitError
		if err := <-waits; !errors.As(err, &ended) || ended.Status.Signal() != syscall.SIGKILL {
			t.Error(err)
		}
	}
	wantError(t, it.Kill(), syscall.ESRCH)
}

func TestAProgramThatCannotStartIsAnError(t *testing.T) {
	guard(t, patience)
	filter := newFilter(t, "getppid")
	fds, goroutines := descriptors(t), threads(t)
	start := func(change func(*unotify.Spawn)) error {
		spawn := unotify.Command(filter, "true")
		spawn.Stdin, spawn.Stdout = strings.NewReader("x"), new(bytes.Buffer)
		change(spawn)
		_, err := spawn.Start()
		return err
	}
	wantError(t, start(func(s *unotify.Spawn) { s.Path = "/no/such/program" }), syscall.ENOENT, os.ErrNotExist)
	wantError(t, start(func(s *unotify.Spawn) { s.Path = "/etc/passwd" }), unotify.ErrPermission, syscall.EACCES)
	wantError(t, start(func(s *unotify.Spawn) { s.Dir = "/no/such/directory" }), syscall.ENOENT)
	wantError(t, start(func(s *unotify.Spawn) { s.Args = []string{"true", "a\x00b"} }), unotify.ErrInvalidArgument)
	wantError(t, start(func(s *unotify.Spawn) { s.LoadFlags = 1 << 31 }), unotify.ErrInvalidArgument)
	wantError(t, start(func(s *unotify.Spawn) { s.LoadFlags = unotify.LoadTsync }), unotify.ErrInvalidArgument)
	wantError(t, start(func(s *unotify.Spawn) { s.Filter = nil }), unotify.ErrInvalidArgument)
	if now := descriptors(t); now != fds {
		t.Errorf("%d descriptors became %d (%d threads)", fds, now, goroutines)
	}
}

func TestASupervisorMayRefuseTheProgramItself(t *testing.T) {
	guard(t, patience)
	child, err := self(newFilter(t, "execve"), "exit 0").Start()
	must(t, err)
	n := receive(t, child.Listener)
	if n.Name() != "execve" {
		t.Error(n.Name())
	}
	must(t, n.ReplyError(syscall.EACCES))
	var ended *unotify.ExitError
	if err := child.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 127 {
		t.Error(err)
	}
	if child.ExecError() != syscall.EACCES {
		t.Error(child.ExecError())
	}
	child.Listener.Close()
	must(t, child.Close())
}

func TestAClosedChildGivesErrors(t *testing.T) {
	guard(t, patience)
	child, err := self(newFilter(t, "getppid"), "exit 0").Start()
	must(t, err)
	must(t, child.Wait())
	must(t, child.Close())
	must(t, child.Listener.Close())
	_, err = child.PidFd()
	for _, err := range []error{err, child.Close(), child.Kill(), child.Signal(0)} {
		wantError(t, err, os.ErrClosed)
	}
	must(t, child.Wait()) // It is known.
	if child.ExecError() != 0 {
		t.Error(child.ExecError())
	}
	unwaited, err := self(newFilter(t, "getppid"), "exit 0").Start()
	must(t, err)
	pid := unwaited.Pid()
	must(t, unwaited.Close())
	wantError(t, unwaited.Wait(), os.ErrClosed)
	unwaited.Listener.Close()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status != 0 {
		t.Error(status, err)
	}
}

func TestAPidfdTellsOfTheEnd(t *testing.T) {
	guard(t, patience)
	it := start(t)
	pidfd, err := it.PidFd()
	must(t, err)
	must(t, it.Listener.WatchChild(pidfd))
	wantError(t, it.Listener.WatchChild(os.Stdin), unotify.ErrInvalidArgument)
	it.in.Close()
	_, err = it.Listener.Receive(background)
	wantError(t, err, unotify.ErrClosed)
	must(t, pidfd.Close())
}

// What Go does with signals of its own does not reach the program.
func TestAProgramStartsWithTheUsualSignals(t *testing.T) {
	guard(t, patience)
	signals := make(chan os.Signal, 10)
	signal.Notify(signals)
	defer signal.Stop(signals)
	var out bytes.Buffer
	script := unotify.Command(newFilter(t, "getppid"), "cat", "/proc/self/status")
	script.Stdout = &out
	must(t, finish(t, script))
	for _, line := range []string{"SigBlk:\t0000000000000000\n", "SigCgt:\t0000000000000000\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%s", out.String())
		}
	}
}

func TestManyProgramsAtOnce(t *testing.T) {
	guard(t, 2*patience)
	filter := newFilter(t, "getppid")
	var all sync.WaitGroup
	limit := make(chan struct{}, 8)
	for i := 0; i < 100; i++ {
		all.Add(1)
		limit <- struct{}{}
		go func() {
			defer all.Done()
			defer func() { <-limit }()
			var out bytes.Buffer
			script := unotify.Command(filter, "sh", "-c", "echo $PPID")
			script.Stdout = &out
			child, err := script.Start()
			if err != nil {
				t.Error(err)
				return
			}
			for {
				n, err := child.Listener.Receive(background)
				if errors.Is(err, unotify.ErrClosed) {
					break
				}
				if err != nil {
					t.Error(err)
					break
				}
				if err := n.ReplyValue(1234); err != nil {
					t.Error(err)
				}
			}
			if err := child.Wait(); err != nil || out.String() != "1234\n" {
				t.Errorf("%v %q", err, out.String())
			}
			child.Close()
			child.Listener.Close()
		}()
	}
	all.Wait()
}
