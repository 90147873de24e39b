package notify

import (
	"net"
	"runtime"
	"syscall"
)

// SendTo sends a duplicate of the listener over a Unix socket (SCM_RIGHTS, with one byte), for
// [ListenerFromConn] or anybody else.
//
// This is a sendmsg(2): a thread whose filter notifies that waits here for ever, as nobody has the
// listener yet. It fails with [ErrClosed] when the other side is closed.
func (l *Listener) SendTo(conn *net.UnixConn) error {
	defer runtime.KeepAlive(l)
	if !l.shared.use() {
		return errListenerClosed
	}
	defer l.shared.release()
	raw, err := conn.SyscallConn()
	if err != nil {
		return failure(ErrInvalidArgument, errnoOf(err), "the connection is closed")
	}
	var failed error
	err = raw.Write(func(fd uintptr) (done bool) {
		for failed = syscall.EINTR; failed == syscall.EINTR; {
			failed = syscall.Sendmsg(int(fd), []byte("L"), syscall.UnixRights(l.shared.fd), nil, syscall.MSG_NOSIGNAL)
		}
		return failed != syscall.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return socketError(err, "send the listener")
}

// ListenerFromConn receives a listener over a Unix socket: the first descriptor of one message. Others that
// come with it are closed. The socket's own read deadline ends the wait.
//
// It fails with [ErrClosed] when the other side is closed, with [ErrInvalidArgument] when the message
// carries no listener.
func ListenerFromConn(conn *net.UnixConn) (*Listener, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, failure(ErrInvalidArgument, errnoOf(err), "the connection is closed")
	}
	// All that one message can bring: 253 descriptors, credentials, a security label.
	control := make([]byte, 4096)
	var payload [1]byte
	var count, controlCount int
	var failed error
	err = raw.Read(func(fd uintptr) (done bool) {
		for failed = syscall.EINTR; failed == syscall.EINTR; {
			count, controlCount, _, _, failed = syscall.Recvmsg(int(fd), payload[:], control, syscall.MSG_CMSG_CLOEXEC)
		}
		return failed != syscall.EAGAIN
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, socketError(err, "receive a listener")
	}
	fds := received(control[:controlCount])
	for _, other := range fds[min(1, len(fds)):] {
		syscall.Close(other)
	}
	switch {
	case len(fds) > 0:
		return owned(fds[0])
	case count == 0:
		return nil, plain(ErrClosed)
	}
	return nil, invalid("the message carries no descriptor")
}

// received is which descriptors came with a message. A pidfd of its sender (SCM_PIDFD, Linux 6.5), which comes to a socket
// that asked for it, is closed.
func received(control []byte) (fds []int) {
	const pidfd = 4
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for i := range messages {
		isPidfd := messages[i].Header.Level == syscall.SOL_SOCKET && messages[i].Header.Type == pidfd
		if isPidfd {
			messages[i].Header.Type = syscall.SCM_RIGHTS
		}
		some, err := syscall.ParseUnixRights(&messages[i])
		switch {
		case err != nil:
		case isPidfd:
			closeAll(some)
		default:
			fds = append(fds, some...)
		}
	}
	return fds
}

func socketError(err error, what string) error {
	if err == nil {
		return nil
	}
	switch errno := errnoOf(err); errno {
	case syscall.EPIPE, syscall.ECONNRESET:
		return failure(ErrClosed, errno, "the other side of the socket is closed")
	case syscall.ENOTSOCK, syscall.EOPNOTSUPP:
		return failure(ErrInvalidArgument, errno, "cannot %s: not a Unix socket", what)
	case syscall.EIO:
		return err // not the kernel's: a deadline of the socket
	default:
		return system(errno, what)
	}
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
