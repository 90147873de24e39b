package unotify

// #include "shim.h"
import "C"

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Request is one system call of a target, as it was when the target made it.
type Request struct {
	ID                 uint64    // The notification's number, unique on its listener.
	Pid                int       // The thread, 0 if outside the supervisor's pid namespace.
	Flags              uint32    // The kernel's flags, always 0 so far.
	Syscall            int       // Number of the system call on Arch.
	Arch               uint32    // The call's architecture, an AUDIT_ARCH_* value.
	InstructionPointer uint64    // The target's instruction pointer at the call.
	Args               [6]uint64 // What they point to can change at any time.
}

// Name is the name of the system call, such as "openat", or "" if there is none.
func (r *Request) Name() string {
	name, err := SyscallName(r.Arch, r.Syscall)
	if err != nil {
		return ""
	}
	return name
}

// Notification is a call that a target waits on, to be answered once. The zero value holds none.
//
// It belongs to one goroutine at a time, and may be handed on: of two that use it at once one gets an error. What is
// answered late, because the target died or a signal interrupted its call, gives ErrGone, and what was answered before
// ErrAnswered. After other errors the target waits for a better answer.
type Notification struct {
	request  Request
	h        *handle
	busy     atomic.Bool
	pending  bool // It holds a call, as far as is known.
	listener *Listener
	counts   *counts // Of the supervisor that has handed it out.
}

// handle is a notification in C, apart from the Notification so that it can be freed with it wherever that lies.
type handle struct {
	c       *C.unotify_notification
	request *C.unotify_request // Always the same.
	kept    *atomic.Int64      // Where it counts as deferred, if it is.
}

func newHandle() (*handle, error) {
	result := C.shim_notification_new()
	if err := failure(result); err != nil {
		return nil, err
	}
	c := (*C.unotify_notification)(C.shim_pointer(result.handle))
	h := &handle{c: c, request: C.unotify_notification_request(c)}
	runtime.SetFinalizer(h, (*handle).free)
	return h, nil
}

// address gives a handle of C's as a number.
func address(handle unsafe.Pointer) C.uintptr_t { return C.uintptr_t(uintptr(handle)) }

func (h *handle) free() {
	runtime.SetFinalizer(h, nil)
	C.unotify_notification_free(h.c)
	if h.kept != nil {
		h.kept.Add(-1)
	}
}

func (h *handle) answer(reply C.uint32_t, value int64) error {
	kept := C.shim_reply(address(unsafe.Pointer(h.c)), reply, C.int64_t(value))
	runtime.KeepAlive(h)
	if kept != 0 {
		return failed(C.shim_take(kept))
	}
	return nil
}

// fill takes over what was received.
func (n *Notification) fill(l *Listener) {
	n.pending, n.listener = true, l
	r := n.h.request
	n.request = Request{
		ID: uint64(r.id), Pid: int(r.pid), Flags: uint32(r.flags), Syscall: int(r.syscall), Arch: uint32(r.arch),
		InstructionPointer: uint64(r.instruction_pointer),
		Args: [6]uint64{
			uint64(r.args[0]), uint64(r.args[1]), uint64(r.args[2]), uint64(r.args[3]), uint64(r.args[4]), uint64(r.args[5]),
		},
	}
}

// settle answers what is held before something else is waited for. The second error says that there is no way on.
func (n *Notification) settle(reply C.uint32_t, value int64) (replied, err error) {
	if reply != C.UNOTIFY_REPLY_NONE {
		replied = n.h.answer(reply, value)
		n.answered(reply, replied)
		if replied != nil && !isLate(replied) {
			return replied, replied
		}
		return replied, nil
	}
	n.drop()
	if n.h == nil {
		n.h, err = newHandle()
	}
	return nil, err
}

// drop answers what is held with the fallback error, unless it was answered. A handle that holds nothing is kept.
func (n *Notification) drop() {
	n.request = Request{}
	if n.h != nil && n.pending {
		n.h.free()
		n.h = nil
	}
	n.pending = false
}

// with lends out the handle.
func (n *Notification) with(use func(*C.unotify_notification) C.shim_result) (C.shim_result, error) {
	if !n.busy.CompareAndSwap(false, true) {
		return C.shim_result{}, errInUse
	}
	defer n.busy.Store(false)
	h := n.h
	if h == nil {
		return C.shim_result{}, errEmpty
	}
	defer runtime.KeepAlive(h)
	result := use(h.c)
	return result, failure(result)
}

func (n *Notification) answer(reply C.uint32_t, value int64) error {
	if !n.busy.CompareAndSwap(false, true) {
		return errInUse
	}
	err := error(errEmpty)
	if n.h != nil {
		err = n.h.answer(reply, value)
		n.answered(reply, err)
	}
	n.busy.Store(false)
	return err
}

// answered notes what an answer came to.
func (n *Notification) answered(reply C.uint32_t, err error) {
	if err == nil {
		n.pending = false
	}
	if n.counts != nil {
		n.counts.answered(reply, err)
	}
}

// Request is the system call, all zero if nothing was received.
func (n *Notification) Request() Request { return n.request }

// Listener is where it was received from, nil if nothing was.
func (n *Notification) Listener() *Listener { return n.listener }

// Name is the name of the system call, such as "openat".
func (n *Notification) Name() string { return n.request.Name() }

// CheckValid is nil while the target still waits for the answer. What was read of a target by other means before this
// belongs to that target.
func (n *Notification) CheckValid() error {
	_, err := n.with(func(c *C.unotify_notification) C.shim_result { return C.shim_check_valid(c) })
	return err
}

// ReplyValue lets the call return a value. Values from -4095 to -1 are errors to the target's C library.
func (n *Notification) ReplyValue(value int64) error { return n.answer(C.UNOTIFY_REPLY_VALUE, value) }

// ReplyError lets the call fail with an error number, 1 to 4095.
func (n *Notification) ReplyError(errno syscall.Errno) error {
	return n.answer(C.UNOTIFY_REPLY_ERROR, errorValue(errno))
}

// An error number as the library takes it: what does not fit is none, and is refused.
func errorValue(errno syscall.Errno) int64 {
	if errno > 4095 {
		return 0
	}
	return int64(errno)
}

// ReplyContinue lets the kernel carry out the call as if there were no filter (Linux 5.5). It is not a security
// decision: the target may have changed the memory that its arguments point to since you looked.
func (n *Notification) ReplyContinue() error { return n.answer(C.UNOTIFY_REPLY_CONTINUE, 0) }

// ReplyFd gives the target a duplicate of the file's descriptor at the lowest free number (Linux 5.9), and lets its
// call return that number. The flags are none, or syscall.O_CLOEXEC.
func (n *Notification) ReplyFd(file *os.File, flags ...int) error {
	return withFd(file, func(fd int) error {
		return n.replied(func(c *C.unotify_notification) C.shim_result {
			return C.shim_reply_fd(c, C.int(fd), C.int(or(flags)))
		})
	})
}

// replied is with for what answers.
func (n *Notification) replied(use func(*C.unotify_notification) C.shim_result) error {
	_, err := n.with(func(c *C.unotify_notification) C.shim_result {
		result := use(c)
		if result.status == 0 {
			n.pending = false
			if n.counts != nil {
				n.counts.fds.Add(1)
			}
		}
		return result
	})
	return err
}

// ReplyInterrupted ends the call as the kernel would if a signal waits for the target, and tells whether it did. It is
// for those who let a call wait, every 10 ms.
func (n *Notification) ReplyInterrupted() (bool, error) {
	result, err := n.with(func(c *C.unotify_notification) C.shim_result {
		result := C.shim_reply_interrupted(c)
		if result.status == 0 && result.value != 0 {
			n.pending = false
		}
		return result
	})
	return result.value != 0, err
}

// Close frees the notification. If nobody has answered it, the target gets the fallback error, ENOSYS unless another
// one was chosen. It can be received into again.
func (n *Notification) Close() error {
	if !n.busy.CompareAndSwap(false, true) {
		return errInUse
	}
	defer n.busy.Store(false)
	if n.h == nil {
		return errEmpty
	}
	n.request, n.pending = Request{}, false
	n.h.free()
	n.h = nil
	return nil
}

func or(flags []int) (all int) {
	for _, flag := range flags {
		all |= flag
	}
	return all
}
