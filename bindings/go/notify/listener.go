package notify

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"time"
)

// A Listener is the supervising end of a filter that notifies.
type Listener struct {
	shared *shared
}

// ListenerFromFd makes a listener of a descriptor, which is the listener's from then on. It switches
// synchronous wake-up on where the kernel has it.
//
// It fails with [ErrInvalidArgument] when the descriptor is no listener, and is still the caller's then.
func ListenerFromFd(fd int) (*Listener, error) {
	if errno := askSizes(); errno != 0 {
		return nil, failure(ErrUnsupported, syscall.ENOSYS, "user notification takes Linux 5.0")
	}
	switch errno := idValid(fd, 0); errno {
	case 0, syscall.ENOENT:
	case syscall.EBADF:
		return nil, failure(ErrInvalidArgument, errno, "descriptor %d is not open", fd)
	default:
		return nil, failure(ErrInvalidArgument, errno, "descriptor %d is not a seccomp listener", fd)
	}
	syscall.CloseOnExec(fd)
	listener := &Listener{newShared(fd)}
	// Older than 6.6: only speed is lost.
	_ = listener.SetSyncWakeUp(true)
	runtime.SetFinalizer(listener, (*Listener).Close)
	return listener, nil
}

// ListenerFromFile makes a listener of a duplicate of a file's descriptor.
func ListenerFromFile(file *os.File) (*Listener, error) {
	own := -1
	var errno syscall.Errno
	if err := withFd(file, func(fd int) { own, errno = duplicate(fd) }); err != nil {
		return nil, err
	}
	if errno != 0 {
		return nil, system(errno, "duplicate the descriptor")
	}
	return owned(own)
}

// ListenerFromPid takes a duplicate of the listener that process pid has as descriptor fd (Linux 5.6).
//
// It fails with [ErrPermission] without the right to trace that process.
func ListenerFromPid(pid, fd int) (*Listener, error) {
	process, errno := pidfdOpen(pid, 0)
	if errno != 0 {
		return nil, system(errno, "open a pidfd for the process")
	}
	defer syscall.Close(process)
	own, errno := pidfdGetfd(process, fd)
	if errno != 0 {
		return nil, system(errno, "get the descriptor of the process")
	}
	return owned(own)
}

// owned is ListenerFromFd for a descriptor that nobody else has.
func owned(fd int) (*Listener, error) {
	listener, err := ListenerFromFd(fd)
	if err != nil {
		syscall.Close(fd)
	}
	return listener, err
}

// Receive waits for the next notification.
//
// It fails with [ErrClosed] when the last target has ended (told by Linux since 5.9), with [ErrTimeout]
// when the deadline has passed, with the context's error when that is done, and with os.ErrClosed when
// the listener is closed. What nobody has received then is still there for the next receive.
func (l *Listener) Receive(ctx context.Context) (*Notification, error) {
	into := new(Notification)
	if err := l.ReceiveInto(ctx, into); err != nil {
		return nil, err
	}
	return into, nil
}

// ReceiveInto is Receive into a notification that is there already (the zero value is one), and
// allocates nothing from its second use on. What that one held is answered with the fallback error if
// nobody has answered it.
func (l *Listener) ReceiveInto(ctx context.Context, into *Notification) error {
	defer runtime.KeepAlive(l)
	held := into.held.Load()
	if held == nil {
		into.held.CompareAndSwap(nil, newNotification())
		held = into.held.Load()
	}
	return held.fill(ctx, l.shared)
}

// SetDeadline sets the time when receives, those that wait and later ones, fail with [ErrTimeout]. The
// zero time is none.
func (l *Listener) SetDeadline(when time.Time) error {
	if l.shared.isClosed.Load() {
		return errListenerClosed
	}
	l.shared.deadline.set(when, l.shared.kick)
	return nil
}

// SetFallbackError chooses the error number that a notification gets which nobody answers: ENOSYS at
// first.
func (l *Listener) SetFallbackError(errno syscall.Errno) error {
	if l.shared.isClosed.Load() {
		return errListenerClosed
	}
	if err := checkErrno(errno); err != nil {
		return err
	}
	l.shared.fallback.Store(int32(errno))
	return nil
}

// SetSyncWakeUp switches synchronous wake-up on or off (Linux 6.6, on at first): on, the kernel runs the
// woken side at once on the same processor.
func (l *Listener) SetSyncWakeUp(on bool) error {
	if !l.shared.use() {
		return errListenerClosed
	}
	defer l.shared.release()
	flags := uintptr(0)
	if on {
		flags = syncWakeUp
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(l.shared.fd), ioctlSetFlags, flags)
	switch errno {
	case 0:
		return nil
	case syscall.EINVAL, syscall.ENOTTY:
		return failure(ErrUnsupported, syscall.ENOSYS, "synchronous wake-up takes Linux 6.6")
	}
	return system(errno, "set the listener's flags")
}

// Fd is the listener's descriptor, which remains the listener's, or -1 when it is closed.
func (l *Listener) Fd() int {
	if l.shared.isClosed.Load() {
		return -1
	}
	return l.shared.fd
}

// File duplicates the descriptor, for another process or another library.
func (l *Listener) File() (*os.File, error) {
	if l.shared.isClosed.Load() || !l.shared.use() {
		return nil, errListenerClosed
	}
	defer l.shared.release()
	fd, errno := duplicate(l.shared.fd)
	if errno != 0 {
		return nil, system(errno, "duplicate the listener")
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// Close ends all receives with os.ErrClosed. The descriptor is closed when no notification from it is
// pending any more; if it was the last one, the kernel answers every later call with ENOSYS.
func (l *Listener) Close() error {
	runtime.SetFinalizer(l, nil)
	return l.shared.close()
}
