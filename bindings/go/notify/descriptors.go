package notify

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// GetFd duplicates the target's descriptor number (pidfd_getfd(2), Linux 5.6). It is the same open file:
// what is done to a socket through it is done to the target's, and what the target does to its number
// afterwards changes nothing.
//
// Use it by SyscallConn: (*os.File).Fd makes a descriptor that does not block a blocking one, for the
// target too.
//
// It fails with EBADF when the target has no such descriptor, and with [ErrUnsupported] before Linux 6.9
// for a thread that does not share its leader's.
func (n *Notification) GetFd(number int) (*os.File, error) {
	looked, err := n.look()
	if err != nil {
		return nil, err
	}
	defer looked.done()
	tid, err := looked.target()
	if err != nil {
		return nil, err
	}
	fd, errno := getFd(tid, number)
	if err := looked.check(); err != nil {
		if errno == 0 {
			syscall.Close(fd)
		}
		return nil, err
	}
	switch errno {
	case 0:
		return os.NewFile(uintptr(fd), fmt.Sprintf("target's descriptor %d", number)), nil
	case syscall.EBADF:
		return nil, failure(ErrInvalidArgument, errno, "the target has no descriptor %d", number)
	case syscall.ENOSYS:
		return nil, failure(ErrUnsupported, errno, "copying a target's descriptor takes Linux 5.6")
	case syscall.EOPNOTSUPP:
		return nil, failure(ErrUnsupported, syscall.ENOSYS,
			"copying a descriptor of a thread that has its own takes Linux 6.9")
	}
	return nil, looked.explain(errno, fmt.Sprintf("copy descriptor %d of the target", number))
}

// getFd duplicates a descriptor of that thread; EOPNOTSUPP when only the leader's can be had and they
// are not this thread's.
func getFd(tid, number int) (int, syscall.Errno) {
	thread, errno := pidfdOpen(tid, pidfdThread)
	if errno == 0 {
		defer syscall.Close(thread)
		return pidfdGetfd(thread, number)
	}
	if errno != syscall.EINVAL { // before 6.9
		return -1, errno
	}
	leader, tgid, errno := processPidfd(tid)
	if errno != 0 {
		return -1, errno
	}
	defer syscall.Close(leader)
	if tgid != tid {
		share, errno := shareDescriptors(tid, tgid)
		if errno != 0 {
			return -1, errno
		}
		if !share {
			return -1, syscall.EOPNOTSUPP
		}
	}
	return pidfdGetfd(leader, number)
}

// PidFd opens a pidfd for the target's process, whichever of its threads calls (Linux 5.3).
func (n *Notification) PidFd() (*os.File, error) {
	looked, err := n.look()
	if err != nil {
		return nil, err
	}
	defer looked.done()
	tid, err := looked.target()
	if err != nil {
		return nil, err
	}
	fd, _, errno := processPidfd(tid)
	if err := looked.check(); err != nil {
		if errno == 0 {
			syscall.Close(fd)
		}
		return nil, err
	}
	if errno != 0 {
		return nil, looked.explain(errno, "open a pidfd for the target")
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// processPidfd opens a pidfd of the thread group, and tells its number.
func processPidfd(tid int) (fd, tgid int, errno syscall.Errno) {
	fd, errno = pidfdOpen(tid, 0)
	// It does not lead its group, which kernels say differently.
	if errno != syscall.EINVAL && errno != syscall.ENOENT {
		return fd, tid, errno
	}
	if err := checkProc(); err != nil {
		return -1, 0, errnoOf(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return -1, 0, errnoOf(err)
	}
	tgid, err = strconv.Atoi(statusField(status, "Tgid"))
	if err != nil {
		return -1, 0, syscall.EIO
	}
	fd, errno = pidfdOpen(tgid, 0)
	return fd, tgid, errno
}

// explain is for something about a target that waits, which could not be had.
func (p pendant) explain(err error, what string) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	switch errno := errnoOf(err); errno {
	case syscall.EPERM, syscall.EACCES:
		return forbidden(errno, what)
	case syscall.ENOENT:
		return failure(ErrSystem, errno, "cannot %s: /proc does not show the target "+
			"(it is not mounted, belongs to another pid namespace, or hides it: hidepid)", what)
	default:
		return system(errno, what)
	}
}

func forbidden(errno syscall.Errno, what string) error {
	return failure(ErrPermission, errno, "not permitted to %s: it takes the right to trace it "+
		"(the same user, or CAP_SYS_PTRACE; see kernel.yama.ptrace_scope), "+
		"and no filter on this process that refuses the call", what)
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EIO
}
