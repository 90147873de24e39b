package notify

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// maxErrno is the largest error number that a system call can return.
const maxErrno = 4095

// ReplyValue lets the call return value. Values from -4095 to -1 are errors to the target's C library.
func (n *Notification) ReplyValue(value int64) error {
	return n.reply(value, 0, 0)
}

// ReplyError lets the call fail with an error number up to 4095.
func (n *Notification) ReplyError(errno syscall.Errno) error {
	if err := checkErrno(errno); err != nil {
		return err
	}
	return n.reply(0, -int32(errno), 0)
}

// ReplyContinue lets the kernel carry out the call as if there were no filter (Linux 5.5).
//
// This is no security decision: the kernel reads the memory that the arguments point to again, and the
// target may have changed it since you looked.
func (n *Notification) ReplyContinue() error {
	return n.reply(0, 0, flagContinue)
}

func (n *Notification) reply(value int64, errno int32, flags uint32) error {
	held := n.held.Load()
	if held == nil {
		return notPending(empty)
	}
	held.mu.Lock()
	defer held.mu.Unlock()
	return held.send(value, errno, flags)
}

// send answers. Under the lock.
func (n *notification) send(value int64, errno int32, flags uint32) error {
	if n.state != pending {
		return notPending(n.state)
	}
	*(*response)(unsafe.Pointer(&n.answer[0])) = response{n.raw().id, value, errno, flags}
	switch errno := send(n.listener.fd, unsafe.Pointer(&n.answer[0])); {
	case errno == 0:
		n.end(answered)
		return nil
	case errno == syscall.ENOENT:
		n.end(gone)
		return plain(ErrGone)
	case errno == syscall.EINPROGRESS:
		// Somebody answered it who holds another copy of the listener's descriptor.
		n.end(answered)
		return plain(ErrAnswered)
	case errno == syscall.EINVAL && flags != 0:
		return failure(ErrUnsupported, errno, "continuing a system call takes Linux 5.5")
	default:
		return system(errno, "answer the notification")
	}
}

func checkErrno(errno syscall.Errno) error {
	if errno < 1 || errno > maxErrno {
		return invalid("error number %d is outside 1 to %d", uint(errno), maxErrno)
	}
	return nil
}

// AddFd gives the target a duplicate of file (Linux 5.9) and returns its number there: the lowest free
// one if target is -1, else target, where whatever was open is closed. Of the flags there is
// syscall.O_CLOEXEC. The target goes on waiting.
//
// It fails with EBADF when file was opened with O_PATH, or target is beyond the target's limit, with
// EMFILE when the target may not have more.
func (n *Notification) AddFd(file *os.File, target int, flags ...int) (int, error) {
	what := addFd{}
	switch {
	case target >= 0:
		what.newfd, what.flags = uint32(target), addFdSetFd
	case target != -1:
		return -1, failure(ErrInvalidArgument, syscall.EBADF, "%d cannot be the number of a descriptor", target)
	}
	looked, err := n.look()
	if err != nil {
		return -1, err
	}
	defer looked.done()
	return looked.give(file, what, flags)
}

// ReplyFd gives the target a duplicate of file at the lowest free number (Linux 5.9), and lets its call
// return that number. The flags are none, or syscall.O_CLOEXEC. Before Linux 5.14 it takes two steps, and a
// target that a signal interrupts in between keeps a descriptor that its call never returned.
//
// Signals are held back on this thread meanwhile, some microseconds. What stops or kills the supervisor
// in that moment can make the call return 0, its standard input; [Notification.AddFd] and then
// [Notification.ReplyValue] cannot go wrong like this.
//
// It fails as AddFd, and with [ErrBusy] while another holder of the listener gives a descriptor.
func (n *Notification) ReplyFd(file *os.File, flags ...int) error {
	looked, err := n.look()
	if err != nil {
		return err
	}
	defer looked.done()
	_, err = looked.give(file, addFd{flags: addFdSend}, flags)
	if errors.Is(err, ErrUnsupported) {
		// The flag may be what this kernel does not know.
		number, err := looked.give(file, addFd{}, flags)
		if err != nil {
			return err
		}
		return n.ReplyValue(int64(number))
	}
	if err == nil {
		looked.answered()
	}
	return err
}

// answered remembers that the kernel has let the target go.
func (p pendant) answered() {
	n := p.of
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == pending && n.listener == p.on && n.raw().id == p.id {
		n.end(answered)
	}
}

// give is one ADDFD, and the number that it gave.
func (p pendant) give(file *os.File, what addFd, flags []int) (number int, err error) {
	what.id = p.id
	for _, flag := range flags {
		if flag&^syscall.O_CLOEXEC != 0 {
			return -1, invalid("flags %#x: only O_CLOEXEC is one here", flag)
		}
		what.newfdmod |= uint32(flag)
	}
	var errno syscall.Errno
	err = withFd(file, func(fd int) {
		what.srcfd = uint32(fd)
		number, errno = giveFd(p.on.fd, &what)
	})
	if err == nil && errno != 0 {
		err = p.explainGiving(errno)
	}
	if err != nil {
		return -1, err
	}
	return number, nil
}

func (p pendant) explainGiving(errno syscall.Errno) error {
	switch errno {
	// ESRCH: it went away while the kernel waited for it to take the descriptor.
	case syscall.ENOENT, syscall.ESRCH:
		return p.gone()
	case syscall.EINPROGRESS:
		p.answered()
		return plain(ErrAnswered)
	case syscall.EINVAL, syscall.ENOTTY, syscall.ENOSYS:
		return failure(ErrUnsupported, syscall.ENOSYS, "giving a descriptor to a target takes Linux 5.9")
	case syscall.EBADF:
		return failure(ErrInvalidArgument, errno,
			"the descriptor is not open or opened with O_PATH, or the number beyond the target's limit")
	case syscall.EMFILE:
		return failure(ErrSystem, errno, "the target may not have more descriptors")
	case syscall.EBUSY:
		return failure(ErrBusy, errno, "somebody else is giving the target a descriptor just now")
	}
	return system(errno, "give the target a descriptor")
}

// withFd lets do have the file's descriptor, which stays open and as it is meanwhile ((*os.File).Fd
// would make it a blocking one).
func withFd(file *os.File, do func(fd int)) error {
	if file == nil {
		return invalid("the file is nil")
	}
	connection, err := file.SyscallConn()
	if err == nil {
		err = connection.Control(func(fd uintptr) { do(int(fd)) })
	}
	if err != nil {
		return failure(ErrInvalidArgument, syscall.EBADF, "the file is closed")
	}
	return nil
}
