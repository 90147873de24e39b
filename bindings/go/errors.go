package unotify

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Status is what kind of error it is, the C library's unotify_status. The constants are errors to compare with:
//
//	if errors.Is(err, unotify.ErrGone) { … }
type Status int32

const (
	ErrGone            Status = -1  // The target died, or a signal interrupted its call.
	ErrClosed          Status = -2  // The last target has ended, or the other side hung up.
	ErrStopped         Status = -3  // Told to stop.
	ErrTimeout         Status = -4  // The deadline passed first.
	ErrAnswered        Status = -5  // The notification was answered before.
	ErrInvalidArgument Status = -6  // Out of range, closed, or of the wrong kind.
	ErrUnknownSyscall  Status = -7  // The architecture has no call of this name or number.
	ErrUnknownArch     Status = -8  // No architecture has this name or number.
	ErrUnsupported     Status = -9  // The running kernel or libseccomp is too old for this.
	ErrPermission      Status = -10 // Not permitted to a caller with these privileges.
	ErrBusy            Status = -11 // The filters of this thread have a listener already.
	ErrFault           Status = -12 // The target cannot read (or write) at this address.
	ErrTooLong         Status = -13 // The string, list or path is longer than the room.
	ErrNotVisible      Status = -14 // The target is outside the supervisor's pid namespace.
	ErrNoMemory        Status = -15 // Not enough memory.
	ErrSystem          Status = -16 // The kernel said no for another reason: see Errno.
	ErrPanic           Status = -17 // Code that ran under the library's control panicked.
	ErrInterrupted     Status = -18 // A signal was handled while it waited.
	ErrHandler         Status = -19 // A handler said that it failed.
)

// String gives the C library's name, such as "UNOTIFY_ERR_GONE".
func (s Status) String() string { return C.GoString(C.unotify_status_name(C.int(s))) }

// Error says in half a sentence what the status means.
func (s Status) Error() string { return C.GoString(C.unotify_status_message(C.int(s))) }

// Error is a failure of this package, but for those of closed handles (os.ErrClosed) and of contexts.
//
// errors.Is finds its Status (ErrGone and the like), its Errno (syscall.EPERM), what that is to package os
// (os.ErrPermission), and of a deadline os.ErrDeadlineExceeded.
type Error struct {
	Status  Status
	Errno   syscall.Errno // The kernel's error number, or the nearest to it.
	Message string        // A sentence for people, which names the culprit.
}

func (e *Error) Error() string { return "unotify: " + e.Message }

// Unwrap gives the error number.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Is finds the status.
func (e *Error) Is(target error) bool {
	return target == e.Status || e.Timeout() && target == os.ErrDeadlineExceeded
}

// Timeout tells whether a deadline has passed.
func (e *Error) Timeout() bool { return e.Status == ErrTimeout }

// An error that this package finds by itself.
func newError(status Status, errno syscall.Errno, format string, values ...any) *Error {
	return &Error{status, errno, fmt.Sprintf(format, values...)}
}

var (
	errDeadline = newError(ErrTimeout, syscall.ETIMEDOUT, "the deadline has passed")
	errEmpty    = newError(ErrInvalidArgument, syscall.EBADF, "the notification is closed, or nothing was received into it")
	errInUse    = newError(ErrInvalidArgument, syscall.EBUSY, "another goroutine is using the notification")
)

func closedError(what string) error {
	return fmt.Errorf("unotify: the %s is closed: %w", what, os.ErrClosed)
}

var (
	errListenerClosed   = closedError("listener")
	errFilterClosed     = closedError("filter")
	errChildClosed      = closedError("child")
	errRootsClosed      = closedError("set of directories")
	errSupervisorClosed = closedError("supervisor")
)

// The error of a C function, or nil.
func failure(result C.shim_result) error {
	if result.status == 0 {
		return nil
	}
	return failed(result)
}

// Kept apart, so that success is checked in place.
func failed(result C.shim_result) error {
	failed := &Error{Status: Status(result.status), Errno: syscall.Errno(result.errnum)}
	if result.sentence != 0 {
		sentence := C.shim_pointer(result.sentence)
		failed.Message = C.GoString((*C.char)(sentence))
		C.free(sentence)
	} else {
		failed.Message = failed.Status.Error()
	}
	return failed
}

// Whether an error only says that the target does not wait any more, or that it was answered.
func isLate(err error) bool { return errors.Is(err, ErrGone) || errors.Is(err, ErrAnswered) }

// Whether an error says that a listener has come to its end, as all do.
func isEnd(err error) bool { return errors.Is(err, ErrClosed) || errors.Is(err, os.ErrClosed) }
