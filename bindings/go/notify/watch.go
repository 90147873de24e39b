package notify

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// Since Linux 6.11 a target ends when it exits, before that when it was waited for. Whoever waits for a
// child after its listener has ended would wait for ever there; so the child is watched beside it.

var release struct {
	once         sync.Once
	major, minor int
}

func kernelIsAtLeast(major, minor int) bool {
	release.once.Do(func() {
		text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
		first, rest, _ := strings.Cut(string(text), ".")
		second, _, _ := strings.Cut(rest, ".")
		second, _, _ = strings.Cut(second, "-")
		release.major, _ = strconv.Atoi(first)
		release.minor, _ = strconv.Atoi(second)
	})
	return release.major > major || release.major == major && release.minor >= minor
}

// WatchChild tells which child of the caller's has loaded the filter, by a pidfd, so that the listener
// ends with it on every kernel. Before Linux 6.11 receives also fail with [ErrClosed] when that child is a
// zombie and no notification is pending. It is not waited for. Whether other targets are left cannot be
// known before it was: who has such targets waits for the child and receives again. Only the first call
// for a listener counts, and programs that [Start] starts are watched already.
//
// It fails with [ErrUnsupported] before Linux 5.4.
func (l *Listener) WatchChild(pidfd *os.File) error {
	defer runtime.KeepAlive(l)
	own := -1
	var errno syscall.Errno
	err := withFd(pidfd, func(fd int) {
		if _, errno = isZombie(fd); errno == 0 || errno == syscall.ECHILD {
			own, errno = duplicate(fd)
		}
	})
	switch {
	case err != nil:
		return err
	case errno == syscall.EBADF:
		return failure(ErrInvalidArgument, errno, "the descriptor does not stand for a process")
	case errno == syscall.EINVAL:
		return failure(ErrUnsupported, syscall.ENOSYS, "waiting for a process by its descriptor takes Linux 5.4")
	case errno != 0:
		return system(errno, "watch the child")
	}
	l.shared.watch(own)
	return nil
}

// watch takes a pidfd over.
func (s *shared) watch(pidfd int) {
	if kernelIsAtLeast(6, 11) || !s.child.CompareAndSwap(-1, int32(pidfd)) {
		syscall.Close(pidfd)
	}
}

// isZombie tells whether the process that a pidfd stands for is a child of this one that has ended and
// was not waited for. ECHILD when it is not, or no longer, a child.
func isZombie(pidfd int) (bool, syscall.Errno) {
	const byPidfd = 3 // P_PIDFD
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPidfd, uintptr(pidfd), uintptr(unsafe.Pointer(&info)),
			syscall.WEXITED|syscall.WNOWAIT|syscall.WNOHANG, 0, 0)
		if errno != syscall.EINTR {
			return info[0] != 0, errno // si_signo
		}
	}
}
