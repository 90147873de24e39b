// Package unotify is for programs that answer chosen system calls of other programs, their targets, through seccomp
// user notification: see seccomp_unotify(2). It is the Go form of libunotify, which it calls through cgo, and whose
// manual, unotify(7), has the model and what is only named here.
//
// A [Filter] says which calls notify. [Spawn] starts a program under it and gives a [Child] with a [Listener]. From
// that [Notification] values are received, and each is answered once: with a value, an error, a descriptor, or by
// letting the call continue. A [Supervisor] does the loop, with a handler for each system call.
//
// # Errors
//
// All failures are an [*Error] with a status, the kernel's error number and a sentence that names the culprit, but for
// those of closed handles (os.ErrClosed) and of contexts. Use errors.Is with ErrGone and its like, with syscall.Errno
// values, or with those of package os. A target can die at any time: ErrGone of an answer is no failure of yours.
//
// # Goroutines and threads
//
// Listeners, filters, children, sets of directories and supervisors may be used by several goroutines; a notification
// belongs to one at a time. Nothing crashes that is used after it was closed, or by two: it gives an error. What is not
// closed is freed by the garbage collector some time, but a target should not wait for that.
//
// A goroutine that waits in [Listener.Receive] for long takes no thread, so that thousands may. Of busy listeners some,
// at most 16, are waited for on a thread each, as that is much faster. Everything else that calls C takes a thread while
// it lasts: reading, writing and opening can last as long as a target likes.
//
// # Signals
//
// The library gets a thread out of a receive with SIGSTKFLT, which Linux itself never sends. The package takes that
// signal from the runtime when the program starts; os/signal does not offer it.
//
// # Without cgo
//
// Package libunotify/go/notify has the part that an agent takes, with the same names, for CGO_ENABLED=0.
package unotify
