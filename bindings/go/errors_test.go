package unotify_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	unotify "libunotify/go"
)

func TestAnErrorIsItsStatusItsNumberAndWhatThatIsToOthers(t *testing.T) {
	err := error(&unotify.Error{Status: unotify.ErrPermission, Errno: syscall.EPERM, Message: "no"})
	for _, target := range []error{unotify.ErrPermission, syscall.EPERM, os.ErrPermission} {
		wantError(t, err, target)
	}
	for _, target := range []error{unotify.ErrGone, syscall.EACCES, os.ErrNotExist, os.ErrDeadlineExceeded} {
		if errors.Is(err, target) {
			t.Errorf("it is %v", target)
		}
	}
	var errno syscall.Errno
	var status *unotify.Error
	if !errors.As(err, &errno) || errno != syscall.EPERM || !errors.As(err, &status) {
		t.Error(errno)
	}
	if err.Error() != "unotify: no" {
		t.Error(err)
	}
}

func TestStatusesAreTheLibrarys(t *testing.T) {
	names := map[unotify.Status]string{
		unotify.ErrGone: "GONE", unotify.ErrClosed: "CLOSED", unotify.ErrStopped: "STOPPED",
		unotify.ErrTimeout: "TIMEOUT", unotify.ErrAnswered: "ANSWERED",
		unotify.ErrInvalidArgument: "INVALID_ARGUMENT", unotify.ErrUnknownSyscall: "UNKNOWN_SYSCALL",
		unotify.ErrUnknownArch: "UNKNOWN_ARCH", unotify.ErrUnsupported: "UNSUPPORTED",
		unotify.ErrPermission: "PERMISSION", unotify.ErrBusy: "BUSY", unotify.ErrFault: "FAULT",
		unotify.ErrTooLong: "TOO_LONG", unotify.ErrNotVisible: "NOT_VISIBLE", unotify.ErrNoMemory: "NO_MEMORY",
		unotify.ErrSystem: "SYSTEM", unotify.ErrPanic: "PANIC", unotify.ErrInterrupted: "INTERRUPTED",
		unotify.ErrHandler: "HANDLER",
	}
	for status, name := range names {
		if status.String() != "UNOTIFY_ERR_"+name || status.Error() == "unknown status" {
			t.Errorf("%d is %s: %s", status, status.String(), status.Error())
		}
	}
	if len(names) != 19 || unotify.Status(-20).String() != "UNOTIFY_ERR_?" {
		t.Error("there are more")
	}
}
