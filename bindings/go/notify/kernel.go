package notify

import (
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// Numbers of system calls that are the same on every architecture.
const (
	sysPidfdSendSignal = 424
	sysPidfdOpen       = 434
	sysClone3          = 435
	sysCloseRange      = 436
	sysPidfdGetfd      = 438
)

// The ioctls of a listener. ID_VALID has the direction that it was first published with, which every
// kernel takes; those before 5.9 take no other.
const (
	ioctlRecv     = 0xc0502100
	ioctlSend     = 0xc0182101
	ioctlIDValid  = 0x80082102
	ioctlAddFd    = 0x40182103
	ioctlSetFlags = 0x40082104
)

const (
	getNotifSizes = 3 // an operation of seccomp(2)

	syncWakeUp   = 1 // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (Linux 6.6)
	flagContinue = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE (Linux 5.5)
	addFdSetFd   = 1 // SECCOMP_ADDFD_FLAG_SETFD
	addFdSend    = 2 // SECCOMP_ADDFD_FLAG_SEND (Linux 5.14)

	pidfdThread = syscall.O_EXCL // PIDFD_THREAD (Linux 6.9)
)

// The kernel's structures, as long as they are known today.
type (
	rawRequest struct { // struct seccomp_notif
		id                 uint64
		pid, flags         uint32
		nr                 int32
		arch               uint32
		instructionPointer uint64
		args               [6]uint64
	}
	response struct { // struct seccomp_notif_resp
		id    uint64
		val   int64
		error int32
		flags uint32
	}
	addFd struct { // struct seccomp_notif_addfd
		id                            uint64
		flags, srcfd, newfd, newfdmod uint32
	}
)

const (
	requestBytes  = int(unsafe.Sizeof(rawRequest{}))
	responseBytes = int(unsafe.Sizeof(response{}))
)

var sizes struct {
	once              sync.Once
	errno             syscall.Errno
	request, response int // in bytes, and no less than those known today
}

// askSizes asks once how long the running kernel's structures are.
func askSizes() syscall.Errno {
	sizes.once.Do(func() {
		var raw struct{ notif, resp, data uint16 }
		_, _, sizes.errno = syscall.RawSyscall(sysSeccomp, getNotifSizes, 0, uintptr(unsafe.Pointer(&raw)))
		sizes.request, sizes.response = requestBytes, responseBytes
		if int(raw.notif) > requestBytes {
			sizes.request = int(raw.notif)
		}
		if int(raw.resp) > responseBytes {
			sizes.response = int(raw.resp)
		}
	})
	return sizes.errno
}

// ioctl makes one of the listener's ioctls that may block. The caller repeats EINTR if that is right.
func ioctl(fd int, request uintptr, argument unsafe.Pointer) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
	return int(n), errno
}

// send answers a notification. It never blocks, so the scheduler is not told of it.
func send(fd int, answer unsafe.Pointer) syscall.Errno {
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), ioctlSend, uintptr(answer))
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// idValid is 0 while the notification is pending, ENOENT when it is not any more.
func idValid(fd int, id uint64) syscall.Errno {
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), ioctlIDValid, uintptr(unsafe.Pointer(&id)))
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// giveFd puts a duplicate of a descriptor of this process into the target, and gives its number there.
// A signal that comes before the target has taken it takes it back, and it is given again. Not so with
// addFdSend: the answer stays, and is 0 then. So signals are held back on this thread meanwhile, for the
// few microseconds that the target needs to wake up.
func giveFd(fd int, what *addFd) (int, syscall.Errno) {
	if what.flags&addFdSend != 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		all, before := ^uint64(0), uint64(0)
		setSignalMask(&all, &before)
		defer setSignalMask(&before, nil)
	}
	for {
		number, errno := ioctl(fd, ioctlAddFd, unsafe.Pointer(what))
		if errno != syscall.EINTR {
			return number, errno
		}
	}
}

func setSignalMask(mask, before *uint64) {
	const setMask = 2 // SIG_SETMASK
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(mask)),
		uintptr(unsafe.Pointer(before)), 8, 0, 0)
}

const (
	pollIn  = 0x1
	pollHup = 0x10
)

// pollFd waits for a descriptor, at most for so many nanoseconds. A listener's POLLERR only says that a
// signal came while the kernel looked.
func pollFd(fd int, nanoseconds int64) (events int16, errno syscall.Errno) {
	one := struct {
		fd              int32
		events, revents int16
	}{int32(fd), pollIn, 0}
	limit := syscall.NsecToTimespec(nanoseconds)
	_, _, errno = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&one)), 1,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	return one.revents, errno
}

func pidfdOpen(pid int, flags uintptr) (int, syscall.Errno) {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), flags, 0)
	return int(fd), errno
}

func pidfdGetfd(pidfd, target int) (int, syscall.Errno) {
	fd, _, errno := syscall.Syscall(sysPidfdGetfd, uintptr(pidfd), uintptr(target), 0)
	return int(fd), errno
}

// duplicate duplicates a descriptor, close-on-exec.
func duplicate(fd int) (int, syscall.Errno) {
	number, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	return int(number), errno
}

// shareDescriptors asks kcmp(2) whether two threads have one table of descriptors.
func shareDescriptors(a, b int) (bool, syscall.Errno) {
	const files = 2 // KCMP_FILES
	order, _, errno := syscall.Syscall6(sysKcmp, uintptr(a), uintptr(b), files, 0, 0, 0)
	return order == 0, errno
}
