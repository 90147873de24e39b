package unotify

import (
	"os"
	"syscall"
)

// withFd lends out a file's descriptor, which stays open meanwhile, and leaves its mode alone, as os.File.Fd does not.
func withFd(file *os.File, use func(fd int) error) error {
	if file == nil {
		return newError(ErrInvalidArgument, syscall.EBADF, "the file is nil")
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var used error
	if conn.Control(func(fd uintptr) { used = use(int(fd)) }) != nil {
		return closedError("file " + file.Name())
	}
	return used
}

// A duplicate, close-on-exec.
func dup(fd int) (int, error) {
	duplicate, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if errno != 0 {
		return -1, os.NewSyscallError("fcntl", errno)
	}
	return int(duplicate), nil
}
