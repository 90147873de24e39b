package unotify_test

import (
	"context"
	"math"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

func TestACallReturnsTheValue(t *testing.T) {
	guard(t, patience)
	it := start(t)
	for _, value := range []int64{0, 1, math.MaxInt32 + 1, math.MaxInt64, -4096, math.MinInt64} {
		must(t, it.called().ReplyValue(value))
		if got, errno := it.result(); got != value || errno != 0 {
			t.Errorf("%d became %d, %v", value, got, errno)
		}
	}
}

func TestANegativeValueIsAnErrorToTheTarget(t *testing.T) {
	guard(t, patience)
	it := start(t)
	for _, errno := range []syscall.Errno{1, syscall.ENOENT, 4094} {
		must(t, it.called().ReplyValue(-int64(errno)))
		if _, got := it.result(); got != errno {
			t.Errorf("%d became %d", errno, got)
		}
	}
}

func TestACallFailsWithTheError(t *testing.T) {
	guard(t, patience)
	it := start(t)
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.EXDEV, 4094} {
		must(t, it.called().ReplyError(errno))
		if _, got := it.result(); got != errno {
			t.Errorf("%d became %d", errno, got)
		}
	}
}

func TestWhatIsNoErrorNumberIsRefusedAndTheTargetGoesOnWaiting(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	for _, errno := range []syscall.Errno{0, 4096, 1 << 32, 1<<32 + 1, math.MaxUint64} {
		wantError(t, n.ReplyError(errno), unotify.ErrInvalidArgument, syscall.EINVAL)
	}
	must(t, n.CheckValid())
	must(t, n.ReplyError(syscall.EPERM))
}

func TestACallIsContinued(t *testing.T) {
	guard(t, patience)
	it := start(t)
	must(t, it.called().ReplyContinue())
	if got, errno := it.result(); got != int64(os.Getpid()) || errno != 0 {
		t.Errorf("the parent is %d, %v", got, errno)
	}
}

func TestAllBitsOfAllArgumentsCome(t *testing.T) {
	guard(t, patience)
	it := start(t)
	sent := [6]uint64{1 << 63, math.MaxUint64, 0x0123456789abcdef, 1 << 32, math.MaxUint32, 0x8000000080000000}
	n := it.called(sent[:]...)
	request := n.Request()
	if request.Args != sent {
		t.Errorf("%x became %x", sent, request.Args)
	}
	if request.Pid != it.Pid() || request.Flags != 0 || request.InstructionPointer == 0 || request.ID == 0 {
		t.Errorf("%+v", request)
	}
	if request.Syscall != syscall.SYS_GETPPID || request.Arch != unotify.ArchNative() || n.Name() != "getppid" {
		t.Errorf("%+v", request)
	}
	for bit := 0; bit < 64; bit++ {
		for arg := 0; arg < 6; arg++ {
			must(t, n.ReplyValue(0))
			var args [6]uint64
			args[arg] = 1 << bit
			it.getppid(args[:]...)
			must(t, it.Listener.ReceiveInto(context.Background(), n))
			if n.Request().Args != args {
				t.Fatalf("%x became %x", args, n.Request().Args)
			}
		}
	}
	must(t, n.ReplyValue(0))
}

func TestNothingIsAnsweredTwice(t *testing.T) {
	guard(t, patience)
	n := start(t).called()
	must(t, n.ReplyValue(1))
	wantError(t, n.ReplyValue(2), unotify.ErrAnswered)
	wantError(t, n.ReplyError(syscall.EPERM), unotify.ErrAnswered)
	wantError(t, n.ReplyContinue(), unotify.ErrAnswered)
	wantError(t, n.CheckValid(), unotify.ErrAnswered)
}

func TestAKilledTargetIsGone(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	must(t, it.Kill())
	it.Wait()
	wantError(t, n.CheckValid(), unotify.ErrGone)
	wantError(t, n.ReplyValue(1), unotify.ErrGone)
}

func TestClosingUnansweredGivesTheFallbackError(t *testing.T) {
	guard(t, patience)
	it := start(t)
	must(t, it.called().Close())
	if _, errno := it.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
	must(t, it.Listener.SetFallbackError(syscall.EXDEV))
	must(t, it.called().Close())
	if _, errno := it.result(); errno != syscall.EXDEV {
		t.Error(errno)
	}
	wantError(t, it.Listener.SetFallbackError(4096), unotify.ErrInvalidArgument)
}

func TestReceivingIntoAnUnansweredOneGivesItTheFallbackError(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	wantError(t, it.Listener.ReceiveInto(ctx, n), context.DeadlineExceeded)
	if _, errno := it.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
	if n.Request() != (unotify.Request{}) {
		t.Error("it still shows the old call")
	}
}

func TestACollectedNotificationIsAnswered(t *testing.T) {
	guard(t, patience)
	it := start(t)
	it.getppid()
	_, err := it.Listener.Receive(context.Background()) // And it is nobody's.
	must(t, err)
	answered := make(chan syscall.Errno)
	go func() {
		_, errno := it.result()
		answered <- errno
	}()
	for {
		runtime.GC()
		select {
		case errno := <-answered:
			if errno != syscall.ENOSYS {
				t.Error(errno)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAClosedOrEmptyNotificationGivesErrors(t *testing.T) {
	guard(t, patience)
	it := start(t)
	closed := it.called()
	must(t, closed.ReplyValue(1))
	must(t, closed.Close())
	for _, n := range []*unotify.Notification{closed, {}} {
		for what, err := range map[string]error{
			"CheckValid":    n.CheckValid(),
			"Close":         n.Close(),
			"ReplyValue":    n.ReplyValue(1),
			"ReplyError":    n.ReplyError(1),
			"ReplyContinue": n.ReplyContinue(),
			"ReplyFd":       n.ReplyFd(os.Stdin),
			"Read":          n.Read(it.text, make([]byte, 1)),
			"Write":         n.Write(it.text, []byte{1}),
			"Mkdir":         n.Mkdir(os.Stdin, "x", 0),
		} {
			if !isError(err, unotify.ErrInvalidArgument) {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err := n.ReadString(it.text, 8)
		wantError(t, err, unotify.ErrInvalidArgument, syscall.EBADF)
		_, err = n.Open(unotify.AtFdcwd, it.path, unotify.OpenHow{})
		wantError(t, err, unotify.ErrInvalidArgument, syscall.EBADF)
		_, err = n.PidFd()
		wantError(t, err, unotify.ErrInvalidArgument, syscall.EBADF)
		if n.Request() != (unotify.Request{}) || n.Name() != "" && n.Name() != "read" {
			t.Errorf("%+v", n.Request())
		}
	}
	// It can be used again.
	it.getppid()
	must(t, it.Listener.ReceiveInto(context.Background(), closed))
	must(t, closed.ReplyValue(1))
}

func isError(err error, target error) bool {
	failed, ok := err.(*unotify.Error)
	return ok && failed.Is(target)
}

func TestTwoGoroutinesWithOneNotificationGetErrorsAndNoCrash(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	done := make(chan error)
	for i := 0; i < 4; i++ {
		go func() {
			var worst error
			buffer := make([]byte, 16)
			for i := 0; i < 500; i++ {
				if err := n.Read(it.text, buffer); err != nil && !isError(err, syscall.EBUSY) &&
					!strings.Contains(err.Error(), "another goroutine") {
					worst = err
				}
			}
			done <- worst
		}()
	}
	for i := 0; i < 4; i++ {
		must(t, <-done)
	}
	must(t, n.ReplyValue(1))
}

func TestANotificationOutlivesItsListener(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	must(t, it.Listener.Close())
	must(t, n.ReplyValue(7))
	if got, _ := it.result(); got != 7 {
		t.Error(got)
	}
}
