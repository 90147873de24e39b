package unotify

// #include "shim.h"
import "C"

import "syscall"

// Verdict is what a handler has decided.
type Verdict struct {
	kind  verdict
	value int64
	err   error
}

type verdict int

const (
	handled verdict = iota
	withValue
	withErrno
	continued
	deferred
	notHandled
	failing
)

var (
	// Handled says that the handler has answered, or leaves it to the fallback error.
	Handled = Verdict{}
	// Continue is [Notification.ReplyContinue].
	Continue = Verdict{kind: continued}
	// Deferred says that the notification is the handler's from now on, to answer and to close on any goroutine.
	Deferred = Verdict{kind: deferred}
	// NotHandled leaves it to the next handler for the call, the default handlers, and then the fallback error.
	NotHandled = Verdict{kind: notHandled}
)

// Value is [Notification.ReplyValue]: the fastest way to answer from a handler, as it takes no call of its own.
func Value(value int64) Verdict { return Verdict{kind: withValue, value: value} }

// Errno is [Notification.ReplyError].
func Errno(errno syscall.Errno) Verdict { return Verdict{kind: withErrno, value: errorValue(errno)} }

// Failed says that the handler failed: the target gets the fallback error, and the run ends with err.
func Failed(err error) Verdict { return Verdict{kind: failing, err: err} }

// reply is how the library is to answer for it.
func (v Verdict) reply() (kind C.uint32_t, value int64) {
	switch v.kind {
	case withValue:
		return C.UNOTIFY_REPLY_VALUE, v.value
	case withErrno:
		return C.UNOTIFY_REPLY_ERROR, v.value
	case continued:
		return C.UNOTIFY_REPLY_CONTINUE, 0
	}
	return C.UNOTIFY_REPLY_NONE, 0
}
