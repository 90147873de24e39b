package notify

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// What a listener and its notifications have in common. The descriptor is closed when the listener was
// closed and nobody uses it any more; a notification uses it for as long as it is pending.
type shared struct {
	fd       int
	users    atomic.Int64 // and one while it is not closed
	isClosed atomic.Bool
	closed   chan struct{} // closed then
	turn     turn          // to receive
	deadline deadline
	fallback atomic.Int32 // the error number, positive, for what nobody answers
	place    place
	child    atomic.Int32 // a pidfd whose end is the listener's too, before Linux 6.11, or -1
	origin   *about       // the container that it came with, or nil
}

func newShared(fd int) *shared {
	s := &shared{
		fd:       fd,
		closed:   make(chan struct{}),
		turn:     newTurn(),
		deadline: newDeadline(),
	}
	s.users.Store(1)
	s.child.Store(-1)
	s.fallback.Store(int32(syscall.ENOSYS))
	return s
}

// use keeps the descriptor open until it is released; false when it is closed.
func (s *shared) use() bool {
	for {
		users := s.users.Load()
		if users == 0 {
			return false
		}
		if s.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

func (s *shared) release() {
	if s.users.Add(-1) == 0 {
		syscall.Close(s.fd)
		if child := s.child.Swap(-1); child >= 0 {
			syscall.Close(int(child))
		}
		s.origin.release()
	}
}

func (s *shared) close() error {
	if !s.isClosed.CompareAndSwap(false, true) {
		return errListenerClosed
	}
	close(s.closed)
	s.deadline.set(time.Time{}, nil)
	s.kick()
	s.release()
	return nil
}

// over is why a receive is not to go on; nil if it is.
func (s *shared) over(ctx context.Context) error {
	if s.isClosed.Load() {
		return errListenerClosed
	}
	if done := ctx.Done(); done != nil {
		select {
		case <-done:
			return ctx.Err()
		default:
		}
	}
	if s.deadline.hasPassed() {
		return plain(ErrTimeout)
	}
	return nil
}

// await waits for a channel, and for whatever ends a receive.
func (s *shared) await(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errListenerClosed
	case <-s.deadline.channel():
		return plain(ErrTimeout)
	}
}

// receive waits for a notification and puts it into the buffer, which is as long as the kernel's
// structure. The caller uses the descriptor.
func (s *shared) receive(ctx context.Context, buffer []uint64) error {
	if err := s.over(ctx); err != nil {
		return err
	}
	if !s.turn.take() {
		if err := s.awaitTurn(ctx); err != nil {
			return err
		}
	}
	err := s.receiveInTurn(ctx, buffer)
	s.turn.giveBack()
	return err
}

func (s *shared) awaitTurn(ctx context.Context) error {
	s.turn.waiting.Add(1)
	defer s.turn.waiting.Add(-1)
	for !s.turn.take() {
		if err := s.await(ctx, s.turn.free); err != nil {
			return err
		}
	}
	return nil
}

func (s *shared) receiveInTurn(ctx context.Context, buffer []uint64) error {
	for isFirst := true; ; isFirst = false {
		ready, stays := false, true
		if !s.place.isWarm() {
			var err error
			if ready, err = s.look(isFirst); err != nil {
				return err
			}
			if !ready {
				if err := s.over(ctx); err != nil {
					return err
				}
				if err := s.waitOutside(ctx); err != nil {
					return err
				}
				continue
			}
			// Somebody else who holds the listener may be faster, and RECV block. So the patrol knows of
			// it; but only what comes within a moment is worth staying warm for.
			stays = s.warmUp(isFirst)
		}
		received, err := s.fetch(buffer, ready)
		if !stays {
			s.place.coolDown()
		}
		if received || err != nil {
			return err
		}
		if err := s.over(ctx); err != nil {
			return err
		}
	}
}

// fetch is one RECV, of a listener that has something, or that is warm. It fails when no other will succeed.
func (s *shared) fetch(buffer []uint64, ready bool) (received bool, err error) {
	// The kernel receives into zeroes only.
	for i := range buffer {
		buffer[i] = 0
	}
	isWarm := s.place.enter(requestIn(buffer))
	if !isWarm && !ready {
		return false, nil // it was, a moment ago
	}
	_, errno := ioctl(s.fd, ioctlRecv, unsafe.Pointer(&buffer[0]))
	if isWarm && s.place.leave() && errno != 0 {
		return false, nil
	}
	switch errno {
	case 0:
		return true, nil
	case syscall.EINTR:
		return false, nil
	case syscall.ENOENT:
		// The target died between waking us and our looking, or they all have.
		_, err := s.look(false)
		return false, err
	}
	return false, system(errno, "receive from the listener")
}

// look tells whether there is something to receive; the first time, if there is a seat, it waits for that
// on this thread for a moment.
func (s *shared) look(isFirst bool) (ready bool, err error) {
	limit := int64(0)
	if isFirst && takeSeat() {
		defer giveSeatBack()
		limit = inPlace
	}
	events, errno := pollFd(s.fd, limit)
	switch {
	case errno != 0 && errno != syscall.EINTR:
		return false, system(errno, "wait for the listener")
	case events&(pollIn|pollHup) == pollHup:
		return false, plain(ErrClosed)
	}
	return errno == 0 && events&pollIn != 0, nil
}

// waitOutside waits without a thread until the listener may have something.
func (s *shared) waitOutside(ctx context.Context) error {
	fds := []int{s.fd}
	if child := int(s.child.Load()); child >= 0 {
		zombie, errno := isZombie(child)
		if zombie {
			if events, _ := pollFd(s.fd, 0); events&pollIn == 0 {
				return plain(ErrClosed)
			}
			return nil
		}
		// Once it was waited for the listener tells by itself.
		if errno == 0 {
			fds = append(fds, child)
		}
	}
	ready, errno := waitingRoom.enter(fds...)
	if errno != 0 {
		// Too many are watched already: on the thread, then.
		pollFd(s.fd, inPlace)
		return nil
	}
	defer waitingRoom.leave(fds...)
	return s.await(ctx, ready)
}
