package unotify

// #include "shim.h"
import "C"

import (
	"context"
	"math"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// How a goroutine waits for a notification.
//
// The fast way is to block in C, in the kernel's RECV: with synchronous wake-up target and supervisor then take turns
// on one processor. It takes a thread as long as it lasts, and sees neither contexts nor other listeners. So it is for
// a listener that is busy: the *hot* one, whose last notification is some milliseconds old. A timer looks whether it
// still is, and if not gets the receiver out of C. All others wait in the lot (lot.go), which takes no thread, and
// there for contexts too.
//
// A context is looked at when the timer has found that nothing comes, after twice lookEvery at most.
const mostHot = 16 // Listeners: as many threads may be blocked.

var hotListeners atomic.Int32

// heat makes the listener a hot one, if there may be one more.
func (l *Listener) heat(most int32) {
	if hotListeners.Add(1) > most || l.hot.awake.Load() {
		hotListeners.Add(-1)
		return
	}
	l.hot.wake()
}

// cool is called when the listener is hot no longer.
func (l *Listener) cool(inC bool) {
	hotListeners.Add(-1)
	if inC {
		l.interrupt()
	}
}

// Receive waits for the next notification, which is the caller's to answer and to close.
//
// It ends with ErrClosed when the last target has ended, with os.ErrClosed when the listener is closed, with ErrTimeout
// when its deadline passes, and with the context's error when that is done, some milliseconds later at most. Several
// goroutines may wait: one receives, the others queue. Who waits for long takes no thread.
func (l *Listener) Receive(ctx context.Context) (*Notification, error) {
	n := new(Notification)
	if err := l.ReceiveInto(ctx, n); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// ReceiveInto is [Listener.Receive] into a notification that exists, such as a zero one, which allocates nothing once
// it was used. What it held gets the fallback error unless it was answered. After an error it holds nothing.
func (l *Listener) ReceiveInto(ctx context.Context, n *Notification) error {
	if !n.busy.CompareAndSwap(false, true) {
		return errInUse
	}
	_, err := l.receive(ctx, n, C.UNOTIFY_REPLY_NONE, 0)
	if err != nil {
		n.drop()
	}
	n.busy.Store(false)
	return err
}

// receive answers what n holds, if it is to, and receives the next into it. The notification is the caller's, and so
// is what it holds after an error. An error of the answer that the target waits on after is also the second one.
func (l *Listener) receive(ctx context.Context, n *Notification, reply C.uint32_t, value int64) (replied, err error) {
	if n.h == nil {
		if n.h, err = newHandle(); err != nil {
			return nil, err
		}
	}
	if !l.users.enter() {
		if reply != C.UNOTIFY_REPLY_NONE {
			replied = n.h.answer(reply, value)
			n.answered(reply, replied)
		}
		return replied, errListenerClosed
	}
	// No deferred calls: they cost as much as all else here.
	if over := l.isOver(ctx); over != nil || !l.turn.try() {
		// What is held now is answered before others are waited for.
		if replied, err = n.settle(reply, value); err == nil {
			err = over
		}
		if err == nil {
			err = l.queue(ctx)
		}
		if err != nil {
			l.leave()
			return replied, err
		}
		reply = C.UNOTIFY_REPLY_NONE
	}
	late, err := l.receiveInTurn(ctx, n, reply, value)
	l.turn.giveBack()
	l.leave()
	if late != nil {
		replied = late
	}
	return replied, err
}

func (l *Listener) receiveInTurn(ctx context.Context, n *Notification, reply C.uint32_t, value int64) (replied, err error) {
	for {
		timeout := C.int(0)
		l.hot.count.Add(1)
		if l.hot.awake.Load() {
			timeout = -1
		}
		var kept C.uintptr_t
		if reply == C.UNOTIFY_REPLY_NONE {
			kept = C.shim_receive(address(unsafe.Pointer(l.c)), address(unsafe.Pointer(n.h.c)), timeout)
		} else {
			kept = C.shim_reply_receive(address(unsafe.Pointer(l.c)), address(unsafe.Pointer(n.h.c)), reply, C.int64_t(value), timeout)
		}
		l.hot.count.Add(1)
		if kept == 0 {
			if reply != C.UNOTIFY_REPLY_NONE {
				n.answered(reply, nil)
			}
			n.fill(l)
			if timeout == 0 {
				l.heat(mostHot)
			}
			return replied, nil
		}
		result := C.shim_take(kept)
		if reply != C.UNOTIFY_REPLY_NONE {
			if result.replied != 0 {
				replied = repliedError(result)
			}
			n.answered(reply, replied)
			if replied != nil && !isLate(replied) {
				return replied, replied
			}
			reply = C.UNOTIFY_REPLY_NONE
		}
		if result.status == 0 { // Only the answer came late.
			n.fill(l)
			return replied, nil
		}
		n.pending = false
		err := failed(result)
		switch Status(result.status) {
		case ErrTimeout:
		case ErrStopped:
			C.unotify_listener_set_interrupted(l.c, 0)
		default:
			return replied, err
		}
		if isClosed(l.closed) {
			return replied, errListenerClosed
		}
		if over := l.isOver(ctx); over != nil {
			return replied, over
		}
		if !l.hot.awake.Load() {
			if err := l.park(ctx); err != nil {
				return replied, err
			}
		}
	}
}

// What an answer came to that did not go out. Its sentence is there unless receiving has another.
func repliedError(result C.shim_result) error {
	if result.status != 0 && result.status != result.replied {
		status := Status(result.replied)
		return &Error{Status: status, Errno: syscall.ENOENT, Message: status.Error()}
	}
	result.status = result.replied
	return failed(result)
}

// isOver tells why there is nothing to wait for any more.
func (l *Listener) isOver(ctx context.Context) error {
	if l.deadline.isOver() {
		return errDeadline
	}
	if done := ctx.Done(); done != nil {
		select {
		case <-done:
			return ctx.Err()
		default:
		}
	}
	return nil
}

// queue waits until it is this goroutine's turn to receive.
func (l *Listener) queue(ctx context.Context) error {
	l.turn.waiting.Add(1)
	defer l.turn.waiting.Add(-1)
	for !l.turn.try() {
		select {
		case <-l.turn.free:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.closed:
			return errListenerClosed
		case <-l.deadline.wait():
			return errDeadline
		}
	}
	return nil
}

// park waits without a thread until there is something to receive, or nearly so.
func (l *Listener) park(ctx context.Context) error {
	fds := []int{l.fd}
	if child := l.child.Load(); child >= 0 {
		fds = append(fds, int(child))
	}
	ready, err := parked.enter(fds...)
	if err != nil {
		// Without a descriptor left for the lot, or room in the kernel, it has to take a thread.
		l.heat(math.MaxInt32)
		return ctx.Err()
	}
	defer parked.leave(fds...)
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closed:
		return errListenerClosed
	case <-l.deadline.wait():
		return errDeadline
	}
}
