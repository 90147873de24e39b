package notify

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A Request is one system call of a target, as it was when the target made it.
type Request struct {
	ID                 uint64    // the notification's number, unique on its listener
	Pid                int       // the thread, 0 if outside the supervisor's pid namespace
	Flags              uint32    // the kernel's flags, always 0 so far
	Syscall            int       // number of the system call on Arch
	Arch               uint32    // the call's architecture, an AUDIT_ARCH value
	InstructionPointer uint64    // the target's, at the call
	Args               [6]uint64 // what they point to can change at any time
}

// A Notification is one call of a target that waits for its answer. The zero value holds none, for
// [Listener.ReceiveInto].
//
// Its methods fail with [ErrGone] when the target does not wait any more, because it died or a signal
// interrupted its call, and with [ErrAnswered] when it was answered before. After other errors the
// target waits for a better answer.
//
// It may not be copied.
type Notification struct {
	held atomic.Pointer[notification]
}

// What a Notification holds is an object of its own, so that the collector can tell of its end wherever the
// Notification itself lies.
type notification struct {
	mu       sync.Mutex
	state    state
	listener *shared  // used while pending
	buffer   []uint64 // as long as the kernel's structure
	answer   []uint64
}

type state uint8

const (
	empty state = iota
	receiving
	pending
	answered
	gone
)

func newNotification() *notification {
	askSizes()
	n := &notification{
		buffer: make([]uint64, (sizes.request+7)/8),
		answer: make([]uint64, (sizes.response+7)/8),
	}
	runtime.SetFinalizer(n, (*notification).drop)
	return n
}

// drop answers what nobody has answered and nobody can answer any more.
func (n *notification) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fallBack()
}

// fallBack answers with the fallback error if nobody has answered. Under the lock.
func (n *notification) fallBack() {
	if n.state == pending {
		// Gone is as good as answered here, and there is nobody to tell of anything else.
		_ = n.send(0, -n.listener.fallback.Load(), 0)
	}
}

// fill receives. The lock is not held meanwhile: whoever else tries something finds nothing to do it with.
func (n *notification) fill(ctx context.Context, from *shared) error {
	if !from.use() {
		return errListenerClosed
	}
	err := n.vacate()
	if err == nil {
		err = from.receive(ctx, n.buffer)
		n.mu.Lock()
		n.state = empty
		if err == nil {
			n.state = pending
			n.listener = from
		}
		n.mu.Unlock()
	}
	if err != nil {
		from.release()
	}
	return err
}

func (n *notification) vacate() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == receiving {
		return failure(ErrInvalidArgument, syscall.EBUSY, "another goroutine receives into it")
	}
	n.fallBack()
	n.state = receiving
	return nil
}

func requestIn(buffer []uint64) *rawRequest {
	return (*rawRequest)(unsafe.Pointer(&buffer[0]))
}

func (n *notification) raw() *rawRequest {
	return requestIn(n.buffer)
}

// Request is the call: who made it and with what arguments. It is zero before the first.
func (n *Notification) Request() Request {
	held := n.held.Load()
	if held == nil {
		return Request{}
	}
	return held.request()
}

func (n *notification) request() Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == empty || n.state == receiving {
		return Request{}
	}
	raw := n.raw()
	return Request{
		ID:                 raw.id,
		Pid:                int(raw.pid),
		Flags:              raw.flags,
		Syscall:            int(raw.nr),
		Arch:               raw.arch,
		InstructionPointer: raw.instructionPointer,
		Args:               raw.args,
	}
}

// Close answers with the fallback error if nobody has answered. It holds nothing afterwards, and can be
// received into again.
func (n *Notification) Close() error {
	held := n.held.Load()
	if held == nil {
		return notPending(empty)
	}
	held.mu.Lock()
	defer held.mu.Unlock()
	if held.state == empty || held.state == receiving {
		return notPending(held.state)
	}
	held.fallBack()
	held.state = empty
	return nil
}

// CheckValid tells whether the target still waits for the answer. What was read of a target by other
// means before this succeeds belongs to that target.
func (n *Notification) CheckValid() error {
	pending, err := n.look()
	if err != nil {
		return err
	}
	defer pending.done()
	return pending.check()
}

// A pendant is a notification that is looked at while others may answer it: whose it is, and the
// listener, which stays open until that is done.
type pendant struct {
	of  *notification
	on  *shared
	id  uint64
	pid int
}

// look is for everything but answering. What it finds belongs to the target if check says so afterwards.
func (n *Notification) look() (pendant, error) {
	held := n.held.Load()
	if held == nil {
		return pendant{}, notPending(empty)
	}
	held.mu.Lock()
	defer held.mu.Unlock()
	if held.state != pending {
		return pendant{}, notPending(held.state)
	}
	held.listener.users.Add(1) // it has one already
	raw := held.raw()
	return pendant{held, held.listener, raw.id, int(raw.pid)}, nil
}

func (p pendant) done() { p.on.release() }

// check fails unless the target still waits.
func (p pendant) check() error {
	switch errno := idValid(p.on.fd, p.id); errno {
	case 0:
		return nil
	case syscall.ENOENT:
		return p.gone()
	default:
		return system(errno, "check the notification")
	}
}

// gone remembers what the kernel has said, if nobody knows better.
func (p pendant) gone() error {
	n := p.of
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == pending && n.listener == p.on && n.raw().id == p.id {
		n.end(gone)
	} else if n.state == answered && n.listener == p.on && n.raw().id == p.id {
		return plain(ErrAnswered)
	}
	return plain(ErrGone)
}

// target is the thread that waits.
func (p pendant) target() (int, error) {
	if p.pid == 0 {
		return 0, failure(ErrNotVisible, syscall.ESRCH,
			"the target is in a pid namespace that this process does not see")
	}
	return p.pid, nil
}

// end is that of a pending notification. Under the lock.
func (n *notification) end(how state) {
	n.state = how
	n.listener.release()
}

func notPending(s state) error {
	switch s {
	case answered:
		return plain(ErrAnswered)
	case gone:
		return plain(ErrGone)
	}
	return failure(ErrInvalidArgument, syscall.EBADF, "the notification is closed, or nothing was received into it")
}
