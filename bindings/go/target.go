package unotify

// #include "shim.h"
import "C"

import (
	"os"
	"unsafe"
)

// What these and the following give out is the target's and no other's: if the target does not wait any more they fail
// with ErrGone. Other errors: ErrFault for addresses, ErrPermission when the supervisor may not look into the target.
// Those of memory and opening can last as long as a target likes.

// Read fills the buffer from the target's memory, all or nothing.
func (n *Notification) Read(addr uint64, buffer []byte) error {
	_, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_read(c, C.uint64_t(addr), start(buffer), C.size_t(len(buffer)))
	})
	return err
}

// Write copies the data into the target's memory, all or nothing.
func (n *Notification) Write(addr uint64, data []byte) error {
	_, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_write(c, C.uint64_t(addr), start(data), C.size_t(len(data)))
	})
	return err
}

// ReadString copies the string at an address of the target's, which may be limit bytes long, else it is ErrTooLong.
func (n *Notification) ReadString(addr uint64, limit int) (string, error) {
	if limit < 0 {
		return "", errNegative("limit", limit)
	}
	buffer := make([]byte, limit+1)
	result, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_read_string(c, C.uint64_t(addr), (*C.char)(start(buffer)), C.size_t(len(buffer)))
	})
	return string(buffer[:result.value]), err
}

// ReadPointers copies the pointers of a null-terminated array in the target's memory (argv, envp), without the
// terminator; when there are more than limit, it is ErrTooLong. 32-bit ones are widened.
func (n *Notification) ReadPointers(addr uint64, limit int) ([]uint64, error) {
	if limit < 0 {
		return nil, errNegative("limit", limit)
	}
	array := make([]uint64, limit+1) // One more, so that it has an address.
	result, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_read_pointers(c, C.uint64_t(addr), (*C.uint64_t)(&array[0]), C.size_t(limit))
	})
	if err != nil {
		return nil, err
	}
	return array[:result.value], nil
}

// GetFd duplicates a descriptor of the target's (Linux 5.6). It is the same open file.
func (n *Notification) GetFd(number int) (*os.File, error) {
	return file("target's", func() (C.shim_result, error) {
		return n.with(func(c *C.unotify_notification) C.shim_result { return C.shim_get_fd(c, C.int(number)) })
	})
}

// AddFd gives the target a duplicate of the file's descriptor (Linux 5.9): at the lowest free number if target is -1,
// else at target, closing what was open there. It gives that number, and the target goes on waiting. The flags are none,
// or syscall.O_CLOEXEC.
func (n *Notification) AddFd(file *os.File, target int, flags ...int) (int, error) {
	number := -1
	err := withFd(file, func(fd int) error {
		result, err := n.with(func(c *C.unotify_notification) C.shim_result {
			return C.shim_add_fd(c, C.int(fd), C.int(target), C.int(or(flags)))
		})
		if err == nil {
			number = int(result.value)
		}
		return err
	})
	return number, err
}

// PidFd opens a pidfd for the target's process, whichever of its threads calls (Linux 5.3).
func (n *Notification) PidFd() (*os.File, error) {
	return file("pidfd", func() (C.shim_result, error) {
		return n.with(func(c *C.unotify_notification) C.shim_result { return C.shim_open_pidfd(c) })
	})
}

// The file that a call has opened.
func file(name string, open func() (C.shim_result, error)) (*os.File, error) {
	result, err := open()
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(result.value), name), nil
}

// Where a buffer begins, for C, which is given its length as well.
func start(buffer []byte) unsafe.Pointer {
	if len(buffer) == 0 {
		return unsafe.Pointer(&nothing)
	}
	return unsafe.Pointer(&buffer[0])
}

var nothing byte
