// Package notify answers the system calls of other programs, in Go alone: it builds without cgo, and
// needs neither libunotify nor libseccomp.
//
// It receives the notifications of a seccomp listener (seccomp_unotify(2)), looks at the target that
// made a call, and answers it exactly once. Its types have the names, fields and methods of package
// libunotify/go, which does the same through the library, so that a program changes its import only:
//
//	for {
//		call, err := listener.Receive(ctx)
//		if errors.Is(err, notify.ErrClosed) {
//			return nil // the last target has ended
//		} else if err != nil {
//			return err
//		}
//		call.ReplyError(syscall.EPERM) // fails if the target was killed meanwhile
//	}
//
// The listeners of containers come to an [Agent] from their runtimes (runc, crun, youki). Others come over a Unix
// socket ([ListenerFromConn]), from a descriptor ([ListenerFromFd]), or from [Start], which runs a program under a
// small [Filter]. What the library has besides (filters of any kind, handlers and their supervisor, opening
// what a path means to the target) is in package libunotify/go.
//
// # Rules
//
// Letting a call continue is not allowing it: the kernel reads the memory that its arguments point to
// again, and the target may have changed it. What must not happen has to be refused, and what may
// happen has to be done for the target, with what was read of it once.
//
// Everything that is handed out of a target was its own while it waited. When it does not wait any
// more, the error is [ErrGone] and nothing is handed out.
//
// All methods may be called from any goroutine at any time. One goroutine at a time receives from a
// listener, the others wait for their turn. A [Listener] or [Notification] that nobody refers to any
// more is closed by the garbage collector, and what was not answered gets the fallback error; that can
// be late, so close and answer them.
//
// # What waiting costs
//
// A Receive that waits is a goroutine that waits, and takes no thread: a thousand of them take 5 to 7 KiB
// each. For the first millisecond up to four of a process wait on their threads, as that is the fastest for
// targets that call often; and while something comes again and again, up to 16 do. A context that is done, a
// deadline that passes and Close end a receive at once, or within 8 ms if it was on a thread. The package has
// up to two goroutines of its own, which are there while a receive waits or a listener is busy.
//
// To end a receive that is on a thread that gets a SIGURG, as threads of Go programs do all the time: do not
// ignore that signal (os/signal.Ignore).
//
// # Kernels
//
// Linux 5.0 to receive and to answer, 5.5 to let a call continue, 5.6 for descriptors of a target, 5.9 to
// give it some and to be told of the last target's end. Before 6.11 a target has ended when it was waited
// for, not when it has exited. On amd64 and arm64.
//
// Where /proc is not mounted, or SIGURG is blocked or ignored, a receive may outlast its context, and before
// 6.11 its targets, if somebody else receives through another descriptor of the same listener.
package notify
