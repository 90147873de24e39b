package unotify

// #include "shim.h"
import "C"

import (
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// Listener is the supervising end of a filter that notifies. All its methods may be called by several goroutines.
type Listener struct {
	*listenerHandle
	users    users
	closed   chan struct{}
	deadline deadline

	container    atomic.Pointer[Container] // That it is of, while Agent.Serve serves it.
	isContainers bool                      // It came to an agent.
	given        chan struct{}             // Closed when nobody is left, if it was given up. Before that whoever is may look.

	turn *turns  // Of receiving, one at a time.
	hot  lookout // At those who are blocked in C for it. While it is awake the listener is a hot one: receive.go.
}

// listenerHandle is what is freed, apart from the Listener as that is known to its own timer.
type listenerHandle struct {
	c     *C.unotify_listener
	fd    int
	child atomic.Int32 // A pidfd of our own whose end is the listener's too (before Linux 6.11), or -1.
}

func newListener(c *C.unotify_listener) *Listener {
	l := &Listener{
		listenerHandle: &listenerHandle{c: c, fd: int(C.unotify_listener_fd(c))},
		closed:         make(chan struct{}),
		turn:           newTurns(1),
	}
	l.child.Store(-1)
	l.hot.unmoved = l.cool
	runtime.SetFinalizer(l.listenerHandle, (*listenerHandle).free)
	return l
}

func (h *listenerHandle) free() {
	runtime.SetFinalizer(h, nil)
	C.unotify_listener_free(h.c)
	if child := h.child.Load(); child >= 0 {
		syscall.Close(int(child))
	}
}

func listenerOf(result C.shim_result) (*Listener, error) {
	if err := failure(result); err != nil {
		return nil, err
	}
	return newListener((*C.unotify_listener)(C.shim_pointer(result.handle))), nil
}

// ListenerFromFd makes a listener of a descriptor from elsewhere, and takes ownership of it unless this fails.
func ListenerFromFd(fd int) (*Listener, error) {
	return listenerOf(C.shim_listener_from_fd(C.int(fd)))
}

// ListenerFromFile makes a listener of a duplicate of a file's descriptor.
func ListenerFromFile(file *os.File) (*Listener, error) {
	var l *Listener
	err := withFd(file, func(fd int) error {
		duplicate, err := dup(fd)
		if err != nil {
			return err
		}
		if l, err = ListenerFromFd(duplicate); err != nil {
			syscall.Close(duplicate)
		}
		return err
	})
	return l, err
}

// ListenerFromPid duplicates the listener that a process has as descriptor fd (Linux 5.6).
func ListenerFromPid(pid, fd int) (*Listener, error) {
	return listenerOf(C.shim_listener_from_pid(C.pid_t(pid), C.int(fd)))
}

// ListenerFromConn receives a listener over a Unix socket (SCM_RIGHTS, with one byte of any payload). It honours the
// connection's read deadline.
func ListenerFromConn(conn *net.UnixConn) (*Listener, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var l *Listener
	var received error
	err = raw.Read(func(fd uintptr) bool {
		l, received = listenerOf(C.shim_listener_from_socket(C.int(fd)))
		return !isAgain(received)
	})
	if err != nil {
		return nil, err
	}
	return l, received
}

// SendTo sends a duplicate of the listener for [ListenerFromConn].
func (l *Listener) SendTo(conn *net.UnixConn) error {
	if !l.users.enter() {
		return errListenerClosed
	}
	defer l.leave()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = failure(C.shim_listener_to_socket(l.c, C.int(fd)))
		return !isAgain(sent)
	})
	if err != nil {
		return err
	}
	return sent
}

func isAgain(err error) bool {
	failed, ok := err.(*Error)
	return ok && failed.Errno == syscall.EAGAIN
}

// Fd is the listener's descriptor, which remains the listener's, or -1 when it is closed.
func (l *Listener) Fd() int {
	if isClosed(l.closed) {
		return -1
	}
	return l.fd
}

// File gives a duplicate of the listener's descriptor, which is the caller's to close.
func (l *Listener) File() (*os.File, error) {
	if !l.users.enter() {
		return nil, errListenerClosed
	}
	defer l.leave()
	duplicate, err := dup(l.fd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(duplicate), "listener"), nil
}

// SetDeadline ends receives with ErrTimeout (os.ErrDeadlineExceeded) from that time on, those under way and later
// ones. The zero time is none.
func (l *Listener) SetDeadline(t time.Time) error {
	if isClosed(l.closed) {
		return errListenerClosed
	}
	l.deadline.set(t, l.interrupt)
	return nil
}

// SetSyncWakeUp switches synchronous wake-up on or off (Linux 6.6): with it the kernel runs the woken side at once on
// the same processor. It is on at first where the kernel has it.
func (l *Listener) SetSyncWakeUp(on bool) error {
	if !l.users.enter() {
		return errListenerClosed
	}
	defer l.leave()
	flag := C.int(0)
	if on {
		flag = 1
	}
	return failure(C.shim_listener_set_sync_wake_up(l.c, flag))
}

// SetFallbackError chooses the error for notifications that are closed unanswered, ENOSYS at first.
func (l *Listener) SetFallbackError(errno syscall.Errno) error {
	if !l.users.enter() {
		return errListenerClosed
	}
	defer l.leave()
	return failure(C.shim_listener_set_fallback_error(l.c, C.int(errno)))
}

// WatchChild tells which child of the caller's loaded the filter by itself, by a pidfd, so that the listener ends
// with it before Linux 6.11 too. Not needed after [Spawn].
func (l *Listener) WatchChild(pidfd *os.File) error {
	return withFd(pidfd, func(fd int) error {
		if !l.users.enter() {
			return errListenerClosed
		}
		defer l.leave()
		if err := failure(C.shim_listener_watch_child(l.c, C.int(fd))); err != nil {
			return err
		}
		return l.endsWith(fd)
	})
}

// endsWith lets who waits without a thread wait for the child's end as well, where the kernel does not tell of it.
func (l *Listener) endsWith(pidfd int) error {
	if !zombiesKeepListeners || pidfd < 0 {
		return nil
	}
	duplicate, err := dup(pidfd)
	if err != nil {
		return err
	}
	if before := l.child.Swap(int32(duplicate)); before >= 0 {
		syscall.Close(int(before))
	}
	l.interrupt()
	return nil
}

// Close frees the listener. Receives that are under way end with os.ErrClosed. Once no notification from it is left,
// the kernel answers what is pending, and every later call of its targets, with ENOSYS.
func (l *Listener) Close() error {
	if !l.users.enter() {
		return errListenerClosed
	}
	defer l.leave()
	if !l.shut() {
		return errListenerClosed
	}
	return nil
}

// shut lets nobody in any more, and gets those out who receive. The caller has entered. It tells whether it was the
// first to do so.
func (l *Listener) shut() bool {
	if !l.users.close() {
		return false
	}
	close(l.closed)
	l.deadline.set(time.Time{}, nil)
	C.unotify_listener_set_interrupted(l.c, 1)
	return true
}

func (l *Listener) leave() {
	switch {
	case !l.users.leave():
	case l.given != nil:
		close(l.given)
	default:
		l.free()
	}
}

// giveUp closes it for this package, and gives what it was of the library's, which is the caller's; nil if it is closed.
func (l *Listener) giveUp() *C.unotify_listener {
	if !l.users.enter() {
		return nil
	}
	if !l.shut() {
		l.leave()
		return nil
	}
	nobody := make(chan struct{})
	l.given = nobody
	l.leave()
	<-nobody
	runtime.SetFinalizer(l.listenerHandle, nil)
	if child := l.child.Load(); child >= 0 {
		syscall.Close(int(child))
	}
	C.unotify_listener_set_interrupted(l.c, 0)
	return l.c
}

// interrupt gets whoever receives out of C, to look at what has changed.
func (l *Listener) interrupt() {
	if l.users.enter() {
		C.unotify_listener_set_interrupted(l.c, 1)
		l.leave()
	}
}
