package notify

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// How a receive waits.
//
// A listener that the runtime's poller watched all the time would wake it for every notification, which
// takes longer than the rest of a call. So a receive first waits in the kernel, on its thread, and for a
// moment only: nothing has to get it out of there. The few that may do so at a time have a seat. Whoever
// has waited in vain, or found no seat, waits without a thread, in the waiting room: its listener goes
// into an epoll instance, which the runtime's poller watches, and out of it when something comes.

const (
	// inPlace is how long a receive waits on its thread, in nanoseconds.
	inPlace = 1_000_000
	// maxSeats is how many of a process may.
	maxSeats = 4
)

var seats atomic.Int32

// takeSeat tells whether there was one; if so it has to be given back.
func takeSeat() bool {
	if seats.Add(1) <= maxSeats {
		return true
	}
	seats.Add(-1)
	return false
}

func giveSeatBack() { seats.Add(-1) }

// A room is where those wait who have no thread. It is open while somebody waits.
type room struct {
	mu      sync.Mutex
	epoll   int
	file    *os.File                  // the same descriptor, for the runtime's poller
	waiting map[int32]chan<- struct{} // by the descriptor that is waited for
}

var waitingRoom = room{waiting: make(map[int32]chan<- struct{})}

const epollOneShot = 1 << 30

// enter gives a channel that has something once one of the descriptors polls readable. They are nobody
// else's here until they leave.
func (r *room) enter(fds ...int) (<-chan struct{}, syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		if errno := r.open(); errno != 0 {
			return nil, errno
		}
	}
	ready := make(chan struct{}, 1)
	for i, fd := range fds {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | epollOneShot, Fd: int32(fd)}
		if err := syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			r.remove(fds[:i])
			return nil, errnoOf(err)
		}
		r.waiting[int32(fd)] = ready
	}
	return ready, 0
}

func (r *room) leave(fds ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(fds)
}

func (r *room) remove(fds []int) {
	for _, fd := range fds {
		var none syscall.EpollEvent
		_ = syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_DEL, fd, &none)
		delete(r.waiting, int32(fd))
	}
	if len(r.waiting) == 0 {
		r.file.Close() // which ends attend
		r.file = nil
	}
}

func (r *room) open() syscall.Errno {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return errnoOf(err)
	}
	// It means nothing to epoll, but NewFile takes it for a file that can be waited for.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return errnoOf(err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return errnoOf(err)
	}
	r.epoll, r.file = fd, file
	go r.attend(raw)
	return 0
}

// attend tells those who have something, until the room is closed. That waits for nobody who is inside of
// raw.Read, so the lock is not taken there.
func (r *room) attend(raw syscall.RawConn) {
	events := make([]syscall.EpollEvent, 64)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return
		}
		r.mu.Lock()
		for _, event := range events[:n] {
			// Who is told of what another had waited for looks, and waits again.
			if ready, ok := r.waiting[event.Fd]; ok {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		}
		r.mu.Unlock()
	}
}
