package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

var background = context.Background()

func receive(t testing.TB, p *program) *unotify.Notification {
	t.Helper()
	call, err := p.listener.Receive(background)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Fatalf("got %v instead of %v", err, expected)
	}
}

// fewer is how often a slow machine does what others do so many times to meet a rare moment.
func fewer(times int) int { return target.Fewer(times) }

func says(t testing.TB, p *program, expected string) {
	t.Helper()
	if said := strings.TrimSpace(p.said()); said != expected {
		t.Fatalf("the target said %q instead of %q", said, expected)
	}
}

func TestARequestTellsWhoMadeWhichCallWithAllBitsOfItsArguments(t *testing.T) {
	p := start(t, fmt.Sprintf("call:%d,0x8000000000000001,0x123456789abcdef0,0,1,0xffffffff00000000",
		uint64(math.MaxUint64)))
	call := receive(t, p)
	request := call.Request()
	expected := [6]uint64{math.MaxUint64, 0x8000000000000001, 0x123456789abcdef0, 0, 1, 0xffffffff00000000}
	if request.Args != expected {
		t.Errorf("arguments %#x", request.Args)
	}
	if request.Syscall != target.Number || request.Flags != 0 || request.InstructionPointer == 0 {
		t.Errorf("%+v", request)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", p.process.Pid, request.Pid)); err != nil {
		t.Error(err)
	}
	must(t, call.ReplyValue(0))
	if again := call.Request(); again != request {
		t.Errorf("%+v after the answer", again)
	}
}

func TestAValueIsReturnedAsItIs(t *testing.T) {
	for _, value := range []int64{0, 1, 1 << 40, math.MaxInt64, math.MinInt64, -4096} {
		p := start(t, "call:1")
		must(t, receive(t, p).ReplyValue(value))
		says(t, p, fmt.Sprint(value, " 0"))
	}
	// These are error numbers to everybody.
	p := start(t, "call:1")
	must(t, receive(t, p).ReplyValue(-int64(syscall.EPERM)))
	says(t, p, "-1 1")
}

func TestAnErrorIsReturnedAsItIs(t *testing.T) {
	for _, errno := range []syscall.Errno{1, syscall.EPERM, syscall.ENOSYS, 4094} {
		p := start(t, "call:1")
		must(t, receive(t, p).ReplyError(errno))
		says(t, p, fmt.Sprint("-1 ", int(errno)))
	}
}

func TestANumberThatIsNoErrorIsRefusedAndTheTargetWaits(t *testing.T) {
	p := start(t, "call:1")
	call := receive(t, p)
	for _, errno := range []syscall.Errno{0, 4096, ^syscall.Errno(0)} {
		expect(t, call.ReplyError(errno), unotify.ErrInvalidArgument)
	}
	must(t, call.ReplyValue(7))
	says(t, p, "7 0")
}

func TestTheKernelMakesACallThatGoesOn(t *testing.T) {
	p := start(t, "call:1")
	must(t, receive(t, p).ReplyContinue())
	says(t, p, fmt.Sprint("-1 ", int(syscall.EFAULT)))
}

func TestASecondAnswerIsRefused(t *testing.T) {
	p := start(t, "call:1")
	call := receive(t, p)
	must(t, call.ReplyValue(1))
	expect(t, call.ReplyValue(2), unotify.ErrAnswered)
	expect(t, call.ReplyError(syscall.EPERM), unotify.ErrAnswered)
	expect(t, call.ReplyContinue(), unotify.ErrAnswered)
	expect(t, call.CheckValid(), unotify.ErrAnswered)
	expect(t, call.ReplyFd(os.Stdin), unotify.ErrAnswered)
	_, err := call.ReadString(0, 1)
	expect(t, err, unotify.ErrAnswered)
	says(t, p, "1 0")
}

func TestATargetThatWasKilledIsGone(t *testing.T) {
	p := start(t, "call:1")
	call := receive(t, p)
	must(t, call.CheckValid())
	must(t, p.process.Kill())
	<-p.ended
	expect(t, call.CheckValid(), unotify.ErrGone)
	expect(t, call.Read(4096, make([]byte, 1)), unotify.ErrGone)
	_, err := call.GetFd(0)
	expect(t, err, unotify.ErrGone)
	expect(t, call.ReplyValue(1), unotify.ErrGone)
	expect(t, call.ReplyValue(1), syscall.ENOENT)
	_, err = call.PidFd()
	expect(t, err, unotify.ErrGone)
}

func TestAnEmptyNotificationHoldsNothing(t *testing.T) {
	var none unotify.Notification
	expect(t, none.ReplyValue(1), unotify.ErrInvalidArgument)
	expect(t, none.CheckValid(), unotify.ErrInvalidArgument)
	expect(t, none.Read(0, nil), unotify.ErrInvalidArgument)
	expect(t, none.ReplyFd(os.Stdin), unotify.ErrInvalidArgument)
	expect(t, none.Close(), unotify.ErrInvalidArgument)
	if none.Request() != (unotify.Request{}) {
		t.Error(none.Request())
	}
}

func TestWhatIsClosedUnansweredGetsTheFallbackError(t *testing.T) {
	p := start(t, "call:1", "call:2", "call:3")
	must(t, receive(t, p).Close())
	must(t, p.listener.SetFallbackError(syscall.EXDEV))
	expect(t, p.listener.SetFallbackError(0), unotify.ErrInvalidArgument)
	var call unotify.Notification
	must(t, p.listener.ReceiveInto(background, &call))
	must(t, p.listener.ReceiveInto(background, &call)) // without an answer
	must(t, call.ReplyValue(3))
	says(t, p, fmt.Sprintf("-1 %d\n-1 %d\n3 0", int(syscall.ENOSYS), int(syscall.EXDEV)))
}

func TestWhatNobodyRefersToGetsTheFallbackError(t *testing.T) {
	p := start(t, "call:1")
	receive(t, p)
	for ended := false; !ended; {
		runtime.GC()
		select {
		case <-p.ended:
			ended = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	says(t, p, fmt.Sprint("-1 ", int(syscall.ENOSYS)))
}

func TestMemoryIsReadOverPages(t *testing.T) {
	text := strings.Repeat("over the border ", 100)
	p := start(t, "string:"+text)
	call := receive(t, p)
	args := call.Request().Args
	buffer := make([]byte, len(text))
	must(t, call.Read(args[0], buffer))
	if string(buffer) != text {
		t.Error(string(buffer))
	}
	read, err := call.ReadString(args[0], len(text))
	must(t, err)
	if read != text {
		t.Error(read)
	}
	_, err = call.ReadString(args[0], len(text)-1)
	expect(t, err, unotify.ErrTooLong)
	must(t, call.ReplyValue(0))
}

func TestAStringMayEndWhereMemoryDoes(t *testing.T) {
	p := start(t, "edge:the last")
	call := receive(t, p)
	args := call.Request().Args
	read, err := call.ReadString(args[0], 4096)
	must(t, err)
	if read != "the last" {
		t.Error(read)
	}
	buffer := []byte("as it was..")
	expect(t, call.Read(args[0], buffer), unotify.ErrFault)
	if string(buffer) != "as it was.." {
		t.Errorf("a failed read left %q", buffer)
	}
	_, err = call.ReadString(args[2], 10)
	expect(t, err, syscall.EFAULT)
	_, err = call.ReadString(0, 10)
	expect(t, err, unotify.ErrFault)
	expect(t, call.Read(math.MaxUint64-3, buffer), unotify.ErrFault)
	must(t, call.ReplyValue(0))
}

func TestMemoryIsWritten(t *testing.T) {
	p := start(t, "buffer:before")
	call := receive(t, p)
	must(t, call.Write(call.Request().Args[0], []byte("afterwards")))
	must(t, call.ReplyValue(0))
	says(t, p, "afterwards")
}

func TestWhatTheTargetCannotWriteToIsNotWritten(t *testing.T) {
	p := start(t, "readonly")
	call := receive(t, p)
	args := call.Request().Args
	border := args[0] + args[1]
	expect(t, call.Write(border, []byte{1}), unotify.ErrFault)
	expect(t, call.Write(border-1, []byte{1, 1}), unotify.ErrFault)
	expect(t, call.Write(0, []byte{1}), unotify.ErrFault)
	must(t, call.Write(border-1, []byte{2}))
	must(t, call.ReplyValue(0))
	says(t, p, "2 0")
}

func TestATargetsDescriptorIsTheSameOpenFile(t *testing.T) {
	p := start(t, "file:the text")
	call := receive(t, p)
	file, err := call.GetFd(int(call.Request().Args[0]))
	must(t, err)
	defer file.Close()
	buffer := make([]byte, 3)
	if _, err := file.Read(buffer); err != nil || string(buffer) != "the" {
		t.Errorf("%q, %v", buffer, err)
	}
	_, err = call.GetFd(9999)
	expect(t, err, unotify.ErrInvalidArgument)
	expect(t, err, syscall.EBADF)
	must(t, call.ReplyValue(0))
	says(t, p, "3")
}

func TestADescriptorOfAThreadWithItsOwnIsThatThreads(t *testing.T) {
	p := start(t, "own-file:own")
	call := receive(t, p)
	file, err := call.GetFd(int(call.Request().Args[0]))
	if errors.Is(err, unotify.ErrUnsupported) {
		must(t, call.ReplyValue(0))
		return // before Linux 6.9
	}
	must(t, err)
	defer file.Close()
	buffer := make([]byte, 3)
	if _, err := file.Read(buffer); err != nil || string(buffer) != "own" {
		t.Errorf("%q, %v", buffer, err)
	}
	must(t, call.ReplyValue(0))
}

func TestAPidfdStandsForTheProcessOfAnyThread(t *testing.T) {
	p := start(t, "thread:5")
	call := receive(t, p)
	if call.Request().Pid == p.process.Pid {
		t.Fatal("the leader made the call")
	}
	pidfd, err := call.PidFd()
	must(t, err)
	defer pidfd.Close()
	raw, err := pidfd.SyscallConn()
	must(t, err)
	var status []byte
	must(t, raw.Control(func(fd uintptr) {
		status, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	}))
	must(t, err)
	if !bytes.Contains(status, []byte(fmt.Sprintf("\nPid:\t%d\n", p.process.Pid))) {
		t.Errorf("%s", status)
	}
	must(t, call.ReplyValue(5))
	says(t, p, "5 0")
}

func newPipe(t testing.TB, text string) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	must(t, err)
	_, err = writer.WriteString(text)
	must(t, err)
	must(t, writer.Close())
	t.Cleanup(func() { reader.Close() })
	return reader
}

func TestADescriptorIsGivenWithTheAnswer(t *testing.T) {
	p := start(t, "given", "given")
	must(t, receive(t, p).ReplyFd(newPipe(t, "given\n")))
	must(t, receive(t, p).ReplyFd(newPipe(t, "for itself\n"), syscall.O_CLOEXEC))
	says(t, p, "given 0\nfor itself 1")
}

func TestADescriptorIsGivenAndTheTargetWaits(t *testing.T) {
	p := start(t, "given", "given")
	call := receive(t, p)
	number, err := call.AddFd(newPipe(t, "anywhere\n"), -1)
	must(t, err)
	must(t, call.ReplyValue(int64(number)))
	call = receive(t, p)
	if number, err = call.AddFd(newPipe(t, "at its place\n"), 77); err != nil || number != 77 {
		t.Fatal(number, err)
	}
	_, err = call.AddFd(os.Stdin, -2)
	expect(t, err, syscall.EBADF)
	_, err = call.AddFd(os.Stdin, 1<<30)
	expect(t, err, syscall.EBADF)
	_, err = call.AddFd(nil, -1)
	expect(t, err, unotify.ErrInvalidArgument)
	_, err = call.AddFd(os.Stdin, -1, syscall.O_APPEND)
	expect(t, err, unotify.ErrInvalidArgument)
	must(t, call.ReplyValue(77))
	says(t, p, "anywhere 0\nat its place 0")
}

func TestThousandsOfDescriptorsAreGivenUnderSignals(t *testing.T) {
	count := target.Fewer(2000)
	p := start(t, fmt.Sprintf("all-given:%d", count))
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = syscall.Kill(os.Getpid(), syscall.SIGURG)
			}
		}
	}()
	defer close(stop)
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	for i := 0; i < count; i++ {
		must(t, receive(t, p).ReplyFd(null))
	}
	says(t, p, fmt.Sprint(count))
}
