package notify

import (
	"fmt"
	"os"
	"syscall"
)

// Status is what kind of error it is, with the numbers of the C library. The constants are errors to compare with:
//
//	if errors.Is(err, notify.ErrGone) { … }
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
	ErrUnsupported     Status = -9  // The running kernel is too old for this.
	ErrPermission      Status = -10 // Not permitted to a caller with these privileges.
	ErrBusy            Status = -11 // The filters of this thread have a listener already.
	ErrFault           Status = -12 // The target cannot read (or write) at this address.
	ErrTooLong         Status = -13 // The string, list or path is longer than the room.
	ErrNotVisible      Status = -14 // The target is outside the supervisor's pid namespace.
	ErrNoMemory        Status = -15 // Not enough memory.
	ErrSystem          Status = -16 // The kernel said no for another reason: see Errno.
	ErrPanic           Status = -17 // For package unotify.
	ErrInterrupted     Status = -18 // For package unotify.
	ErrHandler         Status = -19 // For package unotify.
)

// By the status's number, negated.
var statuses = [...]struct {
	name, message string
	errno         syscall.Errno
}{
	-ErrGone:            {"UNOTIFY_ERR_GONE", "the notification is no longer pending", syscall.ENOENT},
	-ErrClosed:          {"UNOTIFY_ERR_CLOSED", "the last target exited, or the other side hung up", syscall.EPIPE},
	-ErrStopped:         {"UNOTIFY_ERR_STOPPED", "told to stop", syscall.ECANCELED},
	-ErrTimeout:         {"UNOTIFY_ERR_TIMEOUT", "the time limit passed", syscall.ETIMEDOUT},
	-ErrAnswered:        {"UNOTIFY_ERR_ANSWERED", "the notification was answered before", syscall.EINPROGRESS},
	-ErrInvalidArgument: {"UNOTIFY_ERR_INVALID_ARGUMENT", "an argument is null, out of range, closed or of the wrong kind", syscall.EINVAL},
	-ErrUnknownSyscall:  {"UNOTIFY_ERR_UNKNOWN_SYSCALL", "unknown system call", syscall.EINVAL},
	-ErrUnknownArch:     {"UNOTIFY_ERR_UNKNOWN_ARCH", "unknown architecture", syscall.EINVAL},
	-ErrUnsupported:     {"UNOTIFY_ERR_UNSUPPORTED", "the running kernel or libseccomp is too old for this", syscall.ENOSYS},
	-ErrPermission:      {"UNOTIFY_ERR_PERMISSION", "not permitted to this caller", syscall.EPERM},
	-ErrBusy:            {"UNOTIFY_ERR_BUSY", "a listener is already installed on this task's filters", syscall.EBUSY},
	-ErrFault:           {"UNOTIFY_ERR_FAULT", "the address is not accessible in the target", syscall.EFAULT},
	-ErrTooLong:         {"UNOTIFY_ERR_TOO_LONG", "longer than the room for it", syscall.ENAMETOOLONG},
	-ErrNotVisible:      {"UNOTIFY_ERR_NOT_VISIBLE", "the target is outside this pid namespace", syscall.ESRCH},
	-ErrNoMemory:        {"UNOTIFY_ERR_NO_MEMORY", "out of memory", syscall.ENOMEM},
	-ErrSystem:          {"UNOTIFY_ERR_SYSTEM", "system error, see errno", syscall.EIO},
	-ErrPanic:           {"UNOTIFY_ERR_PANIC", "code under the library's control panicked", syscall.ECANCELED},
	-ErrInterrupted:     {"UNOTIFY_ERR_INTERRUPTED", "a signal was handled on this thread", syscall.EINTR},
	-ErrHandler:         {"UNOTIFY_ERR_HANDLER", "a handler said that it failed", syscall.ECANCELED},
}

// String gives the C library's name, such as "UNOTIFY_ERR_GONE".
func (s Status) String() string {
	if s >= ErrHandler && s < 0 {
		return statuses[-s].name
	}
	return fmt.Sprintf("status %d", int32(s))
}

// Error says in half a sentence what the status means.
func (s Status) Error() string {
	if s >= ErrHandler && s < 0 {
		return statuses[-s].message
	}
	return s.String()
}

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
func (e *Error) Unwrap() error { return e.Errno }

// Is finds the status.
func (e *Error) Is(target error) bool {
	return target == e.Status || e.Timeout() && target == os.ErrDeadlineExceeded
}

// Timeout tells whether a deadline has passed.
func (e *Error) Timeout() bool { return e.Status == ErrTimeout }

// plain is a status's own error.
func plain(status Status) *Error {
	return &Error{status, statuses[-status].errno, status.Error()}
}

func failure(status Status, errno syscall.Errno, format string, args ...any) *Error {
	return &Error{status, errno, fmt.Sprintf(format, args...)}
}

// invalid is about an argument that the kernel was not asked about.
func invalid(format string, args ...any) *Error {
	return failure(ErrInvalidArgument, syscall.EINVAL, format, args...)
}

// system is an error of the kernel's that means what that number usually means. what says what was
// tried ("receive from the listener").
func system(errno syscall.Errno, what string) *Error {
	status := ErrSystem
	switch errno {
	case syscall.EPERM, syscall.EACCES:
		status = ErrPermission
	case syscall.ENOMEM:
		status = ErrNoMemory
	case syscall.ENOSYS:
		status = ErrUnsupported
	case syscall.EBADF, syscall.EINVAL:
		status = ErrInvalidArgument
	}
	return failure(status, errno, "cannot %s: %v", what, errno)
}

var errListenerClosed = fmt.Errorf("unotify: the listener is closed: %w", os.ErrClosed)
