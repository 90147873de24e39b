package unotify

import (
	"os"
	"sync"
	"syscall"
)

// lot is where those wait who are to have no thread meanwhile: one epoll instance for all of them, which the runtime
// watches together with everything else. It is there only while somebody waits.
type lot struct {
	mu      sync.Mutex
	set     *os.File
	fd      int                     // Of set.
	waiting map[int32]chan struct{} // By the descriptor that is waited for.
}

var parked = lot{waiting: map[int32]chan struct{}{}}

// enter gives a channel that has something as soon as one of the descriptors polls readable, or nearly so. They must
// be open, and nobody else's here, until leave is called with them.
func (l *lot) enter(fds ...int) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set == nil {
		if err := l.open(); err != nil {
			return nil, err
		}
	}
	ready := make(chan struct{}, 1)
	for i, fd := range fds {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(fd)}
		if err := syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			l.remove(fds[:i])
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
		l.waiting[int32(fd)] = ready
	}
	return ready, nil
}

func (l *lot) leave(fds ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(fds)
}

func (l *lot) remove(fds []int) {
	for _, fd := range fds {
		_ = syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_DEL, fd, nil)
		delete(l.waiting, int32(fd))
	}
	if len(l.waiting) == 0 {
		l.set.Close() // Which ends serve.
		l.set = nil
	}
}

func (l *lot) open() error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	// It means nothing to epoll, but os.File takes it for a file that can be waited for.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	l.fd, l.set = fd, os.NewFile(uintptr(fd), "epoll")
	conn, err := l.set.SyscallConn()
	if err != nil {
		return err
	}
	go l.serve(conn)
	return nil
}

// serve wakes those whose descriptors are readable, until the set is closed.
func (l *lot) serve(conn syscall.RawConn) {
	events := make([]syscall.EpollEvent, 64)
	for {
		n := 0
		err := conn.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), events, 0)
			return n > 0 && err == nil
		})
		if err != nil {
			return
		}
		l.wake(events[:n])
	}
}

func (l *lot) wake(events []syscall.EpollEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, event := range events {
		// Who is woken for what another had waited for looks and waits again.
		if ready := l.waiting[event.Fd]; ready != nil {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	}
}
