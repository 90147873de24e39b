package unotify

// #include "shim.h"
import "C"

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// AtFdcwd is the dirfd of a path that is relative to the target's working directory.
const AtFdcwd = -100

func errNegative(what string, value int) error {
	return newError(ErrInvalidArgument, syscall.EINVAL, "%s is %d; it is not to be negative", what, value)
}

// OpenHow is how to open what a target names, by default for reading.
type OpenHow struct {
	Flags   int    // syscall.O_*, as for open(2).
	Mode    uint32 // Permissions of a file that is created.
	Resolve uint64 // RESOLVE_* of openat2(2).
	AtFlags int    // AT_EMPTY_PATH or 0.
}

// Open opens the file whose path is at an address of the target's memory, as the target would: from its root, relative
// to its working directory (AtFdcwd) or to its descriptor dirfd. Decide on what the file is and hand that over with
// [Notification.ReplyFd]: nothing is left that the target could exchange. The supervisor's rights count. O_CREAT and
// O_TRUNC act at once: to decide first, open with O_PATH, then [Notification.Reopen].
//
// An error has the Errno to answer with.
func (n *Notification) Open(dirfd int, path uint64, how OpenHow) (*os.File, error) {
	return n.open(nil, dirfd, path, how)
}

// OpenWithin is [Notification.Open] for what lies in a directory of roots that allows it, decided on the file itself
// before it is created or truncated. For all else the error's Errno is EACCES.
func (n *Notification) OpenWithin(roots *Roots, dirfd int, path uint64, how OpenHow) (opened *os.File, err error) {
	err = roots.with(func(roots *C.unotify_roots) error {
		opened, err = n.open(roots, dirfd, path, how)
		return err
	})
	return opened, err
}

func (n *Notification) open(roots *C.unotify_roots, dirfd int, path uint64, how OpenHow) (*os.File, error) {
	return file("target's", func() (C.shim_result, error) {
		return n.with(func(c *C.unotify_notification) C.shim_result {
			return C.shim_open(c, roots, C.int(dirfd), C.uint64_t(path), C.uint64_t(how.Flags), C.uint64_t(how.Mode),
				C.uint64_t(how.Resolve), C.uint64_t(how.AtFlags))
		})
	})
}

// ReplyOpenWithin is [Notification.OpenWithin] and [Notification.ReplyFd]. If that has to wait, for a FIFO's other end,
// a thread of the library's does, and the notification is empty then.
func (n *Notification) ReplyOpenWithin(roots *Roots, dirfd int, path uint64, how OpenHow) error {
	return roots.with(func(roots *C.unotify_roots) error {
		return n.replied(func(c *C.unotify_notification) C.shim_result {
			return C.shim_reply_open_within(c, roots, C.int(dirfd), C.uint64_t(path), C.uint64_t(how.Flags),
				C.uint64_t(how.Mode), C.uint64_t(how.Resolve), C.uint64_t(how.AtFlags))
		})
	})
}

// Reopen opens for good what was opened with O_PATH, once it is decided that the target may have it, whatever its name
// leads to by now.
func (n *Notification) Reopen(found *os.File, flags int, mode uint32) (opened *os.File, err error) {
	err = withFd(found, func(fd int) error {
		opened, err = file(found.Name(), func() (C.shim_result, error) {
			return n.with(func(c *C.unotify_notification) C.shim_result {
				return C.shim_reopen(c, C.int(fd), C.uint64_t(flags), C.uint64_t(mode))
			})
		})
		return err
	})
	return opened, err
}

// ReplyOpen is [Notification.Reopen] and [Notification.ReplyFd], close-on-exec with O_CLOEXEC. If that has to wait, for
// a FIFO's other end, a thread of the library's does, and the notification is empty then.
func (n *Notification) ReplyOpen(found *os.File, flags int, mode uint32) error {
	return withFd(found, func(fd int) error {
		return n.replied(func(c *C.unotify_notification) C.shim_result {
			return C.shim_reply_open(c, C.int(fd), C.int(flags), C.mode_t(mode))
		})
	})
}

// OpenParent opens the directory that holds the last component of the path, with O_PATH, and gives that component, for
// calls that make, remove or rename it. Use it only with calls that neither follow nor open it.
func (n *Notification) OpenParent(dirfd int, path uint64) (parent *os.File, name string, err error) {
	buffer := make([]byte, 256)
	parent, err = file("directory", func() (C.shim_result, error) {
		return n.with(func(c *C.unotify_notification) C.shim_result {
			return C.shim_open_parent(c, C.int(dirfd), C.uint64_t(path), (*C.char)(start(buffer)), C.size_t(len(buffer)))
		})
	})
	return parent, cString(buffer), err
}

// Path is the absolute path of what the path at an address of the target's memory leads to, as the target sees it. For
// logs, not for deciding: it may lead elsewhere later.
func (n *Notification) Path(dirfd int, path uint64) (string, error) {
	buffer := make([]byte, 2*syscall.PathMax)
	_, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_read_path(c, C.int(dirfd), C.uint64_t(path), (*C.char)(start(buffer)), C.size_t(len(buffer)))
	})
	if err != nil {
		return "", err
	}
	return cString(buffer), nil
}

// Create creates a file in a directory, after [Notification.OpenParent], and opens it, as the target would: less its
// umask or by the directory's default list, owned by its user and group.
func (n *Notification) Create(directory *os.File, name string, flags int, mode uint32) (created *os.File, err error) {
	err = n.make(directory, name, func(c *C.unotify_notification, fd C.int, name *C.char) C.shim_result {
		result := C.shim_create(c, fd, name, C.int(flags), C.mode_t(mode))
		if result.status == 0 {
			created = os.NewFile(uintptr(result.value), C.GoString(name))
		}
		return result
	})
	return created, err
}

// Mkdir is the same for mkdirat(2).
func (n *Notification) Mkdir(directory *os.File, name string, mode uint32) error {
	return n.make(directory, name, func(c *C.unotify_notification, fd C.int, name *C.char) C.shim_result {
		return C.shim_mkdir(c, fd, name, C.mode_t(mode))
	})
}

// Mknod is the same for mknodat(2).
func (n *Notification) Mknod(directory *os.File, name string, mode uint32, device uint64) error {
	return n.make(directory, name, func(c *C.unotify_notification, fd C.int, name *C.char) C.shim_result {
		return C.shim_mknod(c, fd, name, C.mode_t(mode), C.dev_t(device))
	})
}

func (n *Notification) make(directory *os.File, name string,
	use func(*C.unotify_notification, C.int, *C.char) C.shim_result) error {
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	return withFd(directory, func(fd int) error {
		_, err := n.with(func(c *C.unotify_notification) C.shim_result { return use(c, C.int(fd), cName) })
		return err
	})
}

// Rights in a directory of [Roots].
const (
	RightRead   uint32 = C.UNOTIFY_RIGHT_READ   // Open for reading.
	RightWrite  uint32 = C.UNOTIFY_RIGHT_WRITE  // Open for writing, and truncate.
	RightCreate uint32 = C.UNOTIFY_RIGHT_CREATE // Make new files.
)

// RootsSamePaths is the flag of sets for targets that change neither their root nor their mounts: they are faster.
const RootsSamePaths uint32 = C.UNOTIFY_ROOTS_SAME_PATHS

// Roots are directories that targets may open things in. They may be used by several goroutines.
type Roots struct {
	mu sync.RWMutex
	c  *C.unotify_roots
}

// NewRoots makes an empty set.
func NewRoots(flags uint32) (*Roots, error) {
	result := C.shim_roots_new(C.uint32_t(flags))
	if err := failure(result); err != nil {
		return nil, err
	}
	r := &Roots{c: (*C.unotify_roots)(C.shim_pointer(result.handle))}
	runtime.SetFinalizer(r, (*Roots).Close)
	return r, nil
}

func (r *Roots) with(use func(*C.unotify_roots) error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.c == nil {
		return errRootsClosed
	}
	return use(r.c)
}

// Add allows what lies in a directory, with what is mounted there now, or a single file; "/" is everything. It is kept
// open, and its name does not matter afterwards. The rights of directories within each other add up.
func (r *Roots) Add(path string, rights uint32) error {
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return errRootsClosed
	}
	return failure(C.shim_roots_add(r.c, cPath, C.uint32_t(rights)))
}

// Close frees the set.
func (r *Roots) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return errRootsClosed
	}
	runtime.SetFinalizer(r, nil)
	C.unotify_roots_free(r.c)
	r.c = nil
	return nil
}
