package main

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// What is done with a program's socket. It is a duplicate, so the same open file: whether it blocks is the program's
// own to choose, and cannot be changed for netguard alone. A call that would wait for long must not wait in the
// kernel, where nothing would end it when the program gets a signal, or is killed. So each is made such that it does
// not wait, and again when the socket is ready; and meanwhile the program is looked after.

// errAnswered says that the program does not wait for an answer any more.
var errAnswered = errors.New("it was answered")

// numberOf lends out a file's descriptor. (*os.File).Fd would make the program's socket a blocking one.
func numberOf(file *os.File, do func(fd int)) {
	if raw, err := file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// on makes a call on a socket.
func on(socket *os.File, do func(fd int) syscall.Errno) syscall.Errno {
	errno := syscall.EBADF
	numberOf(socket, func(fd int) { errno = do(fd) })
	return errno
}

func blocks(socket *os.File) bool {
	var flags uintptr
	errno := on(socket, func(fd int) (errno syscall.Errno) {
		flags, _, errno = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		return errno
	})
	return errno == 0 && flags&syscall.O_NONBLOCK == 0
}

// connectFor connects the program's socket. One that does not block is connected at once (EINPROGRESS is an answer
// too). For one that does, the time limit of a connection is what keeps the kernel from waiting: it is the socket's
// as well, but nothing else is sent over it yet, and it is set back at once.
func connectFor(call *notification, socket *os.File, to destination) error {
	if !blocks(socket) || to.family() == syscall.AF_UNSPEC {
		return asError(on(socket, func(fd int) syscall.Errno { return connect(fd, to) }))
	}
	limit := limitOf(socket)
	for begun := time.Now(); ; {
		errno := on(socket, func(fd int) syscall.Errno {
			_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{Usec: 1000})
			defer syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit)
			return connect(fd, to)
		})
		switch {
		// On its way, and a Unix socket's queue is full.
		case errno == syscall.EINPROGRESS, errno == syscall.EALREADY:
		case errno == syscall.EAGAIN && to.family() == syscall.AF_UNIX:
		default:
			return asError(errno)
		}
		if err := await(call, socket, errno == syscall.EAGAIN, begun, limit); err != nil {
			if err == syscall.ETIMEDOUT {
				err = errno
			}
			return err
		}
	}
}

func connect(fd int, to destination) syscall.Errno {
	address := to.address
	if to.file != nil {
		address = pathTo(int(to.file.Fd()))
	}
	var first *byte
	if len(address) > 0 {
		first = &address[0]
	}
	for {
		_, _, errno := syscall.Syscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(first)), uintptr(len(address)))
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// limitOf is the socket's own time limit for sending and connecting.
func limitOf(socket *os.File) (limit syscall.Timeval) {
	_ = on(socket, func(fd int) syscall.Errno {
		length := uint32(unsafe.Sizeof(limit))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_SNDTIMEO,
			uintptr(unsafe.Pointer(&limit)), uintptr(unsafe.Pointer(&length)), 0)
		return errno
	})
	return limit
}

// await waits until the socket may be ready, or for a moment if it does not tell. It ends with errAnswered when the
// program is gone, or a signal waits for it: then its call is made again, or fails with EINTR. ETIMEDOUT when the
// socket's time limit has passed.
func await(call *notification, socket *os.File, blindly bool, begun time.Time, limit syscall.Timeval) error {
	const longest = 10 * time.Millisecond
	for pause := 100 * time.Microsecond; ; pause *= 2 {
		if pause > longest {
			pause = longest
		}
		time.Sleep(pause)
		if call.CheckValid() != nil {
			return errAnswered
		}
		if interrupted, err := call.ReplyInterrupted(); interrupted || err != nil {
			return errAnswered
		}
		if total := time.Duration(limit.Nano()); total > 0 && time.Since(begun) >= total {
			return syscall.ETIMEDOUT
		}
		if blindly && pause == longest || !blindly && isReady(socket) {
			return nil
		}
	}
}

// isReady tells whether a socket polls writable, or failed.
func isReady(socket *os.File) bool {
	const pollOut = 0x4
	return on(socket, func(fd int) syscall.Errno {
		one := struct {
			fd              int32
			events, revents int16
		}{int32(fd), pollOut, 0}
		var now syscall.Timespec
		ready, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&one)), 1,
			uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if errno == 0 && ready == 0 {
			return syscall.EAGAIN
		}
		return errno
	}) == 0
}

// A message is what is sent, in netguard's own copy.
type message struct {
	to            destination
	data, control []byte
}

const (
	msgDontWait = 0x40
	msgNoSignal = 0x4000
	msgZeroCopy = 0x4000000
)

// sendFor sends a message over the program's socket, and says how much of it. A broken pipe's signal is sent to the
// program.
func sendFor(call *notification, socket *os.File, m message, flags int) (int, error) {
	limit := limitOf(socket)
	own := flags&^msgZeroCopy | msgDontWait | msgNoSignal
	for begun := time.Now(); ; {
		sent := 0
		errno := on(socket, func(fd int) (errno syscall.Errno) {
			sent, errno = send(fd, m, own)
			return errno
		})
		switch {
		case errno == syscall.EPIPE && flags&msgNoSignal == 0:
			signalPipe(call)
			return 0, errno
		case errno != syscall.EAGAIN || flags&msgDontWait != 0 || !blocks(socket):
			return sent, asError(errno)
		}
		if err := await(call, socket, false, begun, limit); err == syscall.ETIMEDOUT {
			return 0, syscall.EAGAIN
		} else if err != nil {
			return 0, err
		}
	}
}

func send(fd int, m message, flags int) (int, syscall.Errno) {
	address := m.to.address
	if m.to.file != nil {
		address = pathTo(int(m.to.file.Fd()))
	}
	var header syscall.Msghdr
	var vector syscall.Iovec
	if len(address) > 0 {
		header.Name, header.Namelen = &address[0], uint32(len(address))
	}
	if len(m.data) > 0 {
		vector.Base = &m.data[0]
		vector.SetLen(len(m.data))
		header.Iov, header.Iovlen = &vector, 1
	}
	if len(m.control) > 0 {
		header.Control = &m.control[0]
		header.SetControllen(len(m.control))
	}
	for {
		sent, _, errno := syscall.Syscall(syscall.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&header)), uintptr(flags))
		if errno != syscall.EINTR {
			return int(sent), errno
		}
	}
}

// signalPipe sends SIGPIPE to the program, and to no other that has its number meanwhile.
func signalPipe(call *notification) {
	const pidfdSendSignal = 424
	if pidfd, err := call.PidFd(); err == nil {
		numberOf(pidfd, func(fd int) {
			_, _, _ = syscall.Syscall6(pidfdSendSignal, uintptr(fd), uintptr(syscall.SIGPIPE), 0, 0, 0, 0)
		})
		pidfd.Close()
	}
}

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
