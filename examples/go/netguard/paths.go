package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const (
	oPath         = 0x200000
	sysOpenat2    = 437
	noMagicLinks  = 0x02 // RESOLVE_NO_MAGICLINKS
	resolveInRoot = 0x10 // RESOLVE_IN_ROOT
)

// openFor opens what a path names to the program, without a right to do anything with it. It is decided on, and sent
// to, that very file.
//
// A program with a root directory or mounts of its own may use absolute paths, which are resolved there.
func openFor(call *notification, path string) (*os.File, error) {
	proc := fmt.Sprintf("/proc/%d/", call.Request().Pid)
	directory := proc + "root"
	isAbsolute := strings.HasPrefix(path, "/")
	if !isAbsolute {
		directory = proc + "cwd"
	}
	from, err := syscall.Open(directory, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(from)
	seesTheSame := sameFile(proc+"root", "/") && sameFile(proc+"ns/mnt", "/proc/self/ns/mnt")
	// All that was looked at was the program's.
	if err := call.CheckValid(); err != nil {
		return nil, err
	}
	var fd int
	switch {
	case seesTheSame:
		fd, err = syscall.Openat(from, path, oPath|syscall.O_CLOEXEC, 0)
	case isAbsolute:
		fd, err = openat2(from, path, oPath|syscall.O_CLOEXEC, resolveInRoot|noMagicLinks)
	default:
		return nil, syscall.EACCES
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func sameFile(a, b string) bool {
	var first, second syscall.Stat_t
	return syscall.Stat(a, &first) == nil && syscall.Stat(b, &second) == nil &&
		first.Dev == second.Dev && first.Ino == second.Ino
}

func openat2(directory int, path string, flags, resolve uint64) (int, error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	how := struct{ flags, mode, resolve uint64 }{flags, 0, resolve}
	fd, _, errno := syscall.Syscall6(sysOpenat2, uintptr(directory), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
