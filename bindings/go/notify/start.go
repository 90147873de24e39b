package notify

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"
)

// Start starts a program under a filter, as cmd.Start does, and gives the listener for it and for
// whatever it starts in turn. The program cannot gain rights by executing a file (no_new_privs).
//
// A thread of this process is put under the filter, starts the program, which inherits it, and ends. So
// the listener is here before the program runs, and nothing has to be sent. But what that thread and the
// program do up to the program's first instruction is under the filter too, when nobody answers yet.
// Start refuses filters that notify such calls (such as execve, close, dup3, read, write and futex) with
// [ErrInvalidArgument]; package libunotify/go starts programs under any filter.
//
// cmd.SysProcAttr.Pdeathsig is refused, as it would come when that thread ends. When this process ends
// before the program, the calls that are notified fail with ENOSYS.
//
// The program is to be waited for with cmd.Wait, after [ErrClosed] has come, or by a goroutine meanwhile. See
// [Listener.WatchChild] for what ErrClosed means before Linux 6.11, when the program leaves others behind.
//
// It fails with [ErrUnsupported] before Linux 5.0, with [ErrBusy] when this process is under a filter with a
// listener itself.
func Start(cmd *exec.Cmd, filter *Filter) (*Listener, error) {
	program, err := filter.Program()
	if err != nil {
		return nil, err
	}
	for _, number := range filter.notifies() {
		if neededToStart[number] {
			return nil, invalid("call %d is made on the way to the program, when nobody can answer it", number)
		}
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	} else if cmd.SysProcAttr.Pdeathsig != 0 {
		return nil, invalid("Pdeathsig is sent when the thread that has started the program ends, which is at once")
	}
	closeNull, err := giveNull(cmd)
	if err != nil {
		return nil, err
	}
	defer closeNull()
	started := make(chan startedProgram, 1)
	go startOnOwnThread(cmd, program, started)
	result := <-started
	if result.err == nil {
		// Without it the listener ends later, on a kernel that is as old as to have none.
		if pidfd, errno := pidfdOpen(cmd.Process.Pid, 0); errno == 0 {
			result.listener.shared.watch(pidfd)
		}
	}
	return result.listener, result.err
}

type startedProgram struct {
	listener *Listener
	err      error
}

// giveNull opens the null device where exec.Cmd would: opening is what a filter may well notify.
func giveNull(cmd *exec.Cmd) (closeNull func(), err error) {
	if cmd.Stdin != nil && cmd.Stdout != nil && cmd.Stderr != nil {
		return func() {}, nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if cmd.Stdin == nil {
		cmd.Stdin = null
	}
	if cmd.Stdout == nil {
		cmd.Stdout = null
	}
	if cmd.Stderr == nil {
		cmd.Stderr = null
	}
	return func() { null.Close() }, nil
}

// startOnOwnThread runs on a thread that ends with it, as it never gives it back. That of main does not
// end, and would be a target for ever.
func startOnOwnThread(cmd *exec.Cmd, program []syscall.SockFilter, started chan<- startedProgram) {
	runtime.LockOSThread()
	if syscall.Gettid() == syscall.Getpid() {
		defer runtime.UnlockOSThread()
		elsewhere := make(chan startedProgram, 1)
		go startOnOwnThread(cmd, program, elsewhere)
		started <- <-elsewhere
		return
	}
	fd, err := install(program)
	if err != nil {
		started <- startedProgram{nil, err}
		return
	}
	listener, err := owned(fd)
	if err == nil {
		if err = cmd.Start(); err != nil {
			listener.Close()
			listener = nil
		}
	}
	started <- startedProgram{listener, err}
}

// install puts the calling thread under a filter, for good, and gives its listener.
func install(program []syscall.SockFilter) (fd int, err error) {
	const (
		setNoNewPrivs = 38
		setModeFilter = 1
		newListener   = 1 << 3
		waitKillable  = 1 << 5 // Linux 5.19: only fatal signals interrupt a received call
	)
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return -1, system(errno, "set no_new_privs")
	}
	whole := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	var number uintptr
	var errno syscall.Errno
	for _, flags := range []uintptr{newListener | waitKillable, newListener} {
		number, _, errno = syscall.RawSyscall(sysSeccomp, setModeFilter, flags, uintptr(unsafe.Pointer(&whole)))
		if errno != syscall.EINVAL {
			break
		}
	}
	switch errno {
	case 0:
		return int(number), nil
	case syscall.EINVAL, syscall.ENOSYS:
		return -1, failure(ErrUnsupported, syscall.ENOSYS, "user notification takes Linux 5.0")
	case syscall.EBUSY:
		return -1, failure(ErrBusy, errno, "the filters of this process have a listener already")
	}
	return -1, system(errno, "load the filter")
}
