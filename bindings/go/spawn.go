package unotify

// #include "shim.h"
import "C"

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// Spawn is a program to start under a filter, with the manners of os/exec: a nil stream is the null device, a stream
// that is an *os.File is the program's own, and others are copied by goroutines until Wait.
type Spawn struct {
	Filter *Filter

	// Path is the program. A name without a slash is looked up in PATH.
	Path string
	// Args are its arguments with its name in front; empty are those of Path alone.
	Args []string
	// Env is its environment, nil for this process's.
	Env []string
	// Dir is where it starts, "" for this process's working directory.
	Dir string

	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// ExtraFiles become its descriptors from 3 on; a nil one is left out.
	ExtraFiles []*os.File

	// LoadFlags are for the filter, but for LoadTsync.
	LoadFlags uint32
	// KillOnParentDeath kills it when this process ends, however that ends.
	KillOnParentDeath bool
	// PidNamespace puts it and all it starts into a pid namespace, killed likewise. This takes CAP_SYS_ADMIN.
	PidNamespace bool
}

// Command is a [Spawn] of a program with arguments.
func Command(filter *Filter, name string, args ...string) *Spawn {
	return &Spawn{Filter: filter, Path: name, Args: append([]string{name}, args...)}
}

// Child is a program that was started. Its methods may be called by several goroutines.
type Child struct {
	// Listener is the supervising end of its filter: serve it, or the program waits for ever. It is the caller's.
	Listener *Listener

	c       *C.unotify_child
	users   users
	pid     int
	pidfd   int
	streams streams

	mu     sync.Mutex // Of waiting.
	waited bool
	status syscall.WaitStatus
	copied error
}

// Start starts the program. It returns when that runs, or when its execve waits for the supervisor, which can refuse it:
// see [Child.ExecError].
func (s *Spawn) Start() (*Child, error) {
	if s.Filter == nil {
		return nil, newError(ErrInvalidArgument, syscall.EINVAL, "a program is to be started without a filter")
	}
	streams, err := s.openStreams()
	if err != nil {
		return nil, err
	}
	child, err := s.start(streams.files)
	streams.closeTheirs()
	if err != nil {
		streams.closeOurs()
		return nil, err
	}
	child.streams = *streams
	child.streams.start()
	return child, nil
}

func (s *Spawn) start(files []*os.File) (*Child, error) {
	args := s.Args
	if len(args) == 0 {
		args = []string{s.Path}
	}
	env := s.Env
	if env == nil {
		env = os.Environ()
	}
	var memory cMemory
	defer memory.free()
	path, argv, envp := memory.string(s.Path), memory.strings(args), memory.strings(env)
	var directory *C.char
	if s.Dir != "" {
		directory = memory.string(s.Dir)
	}
	for _, text := range append(append([]string{s.Path, s.Dir}, args...), env...) {
		if i := indexNul(text); i >= 0 {
			return nil, newError(ErrInvalidArgument, syscall.EINVAL, "%q has a NUL in it", text)
		}
	}

	flags := C.uint32_t(0)
	if s.KillOnParentDeath {
		flags |= C.UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH
	}
	if s.PidNamespace {
		flags |= C.UNOTIFY_SPAWN_PID_NAMESPACE
	}
	fds, n := memory.fds(len(files)+1), 0
	for i, file := range files {
		if file != nil {
			// Fd makes it block, which is what the program expects.
			fds[n] = C.unotify_fd_map{parent_fd: C.int(file.Fd()), child_fd: C.int(i)}
			n++
		}
	}
	result, err := s.Filter.with(func(filter *C.unotify_filter) C.shim_result {
		return C.shim_spawn(filter, path, argv, envp, C.uint32_t(s.LoadFlags), flags, directory, &fds[0], C.size_t(n))
	})
	runtime.KeepAlive(files)
	if err != nil {
		return nil, err
	}
	return newChild((*C.unotify_child)(C.shim_pointer(result.handle)))
}

func newChild(c *C.unotify_child) (*Child, error) {
	child := &Child{c: c, pid: int(C.unotify_child_pid(c)), pidfd: int(C.unotify_child_pidfd(c))}
	listener, err := listenerOf(C.shim_child_take_listener(c))
	if err == nil {
		err = listener.endsWith(child.pidfd)
	}
	if err != nil {
		C.unotify_child_free(c)
		return nil, err
	}
	child.Listener = listener
	runtime.SetFinalizer(child, (*Child).Close)
	return child, nil
}

// Pid is its process id, which may name another process once it was waited for.
func (c *Child) Pid() int { return c.pid }

// PidFd gives a duplicate of the child's pidfd, which polls readable when it has ended (Linux 5.2).
func (c *Child) PidFd() (*os.File, error) {
	if !c.users.enter() {
		return nil, errChildClosed
	}
	defer c.leave()
	if c.pidfd < 0 {
		return nil, newError(ErrUnsupported, syscall.ENOSYS, "this kernel has no pidfd")
	}
	fd, err := dup(c.pidfd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// ExitError says that a program ended otherwise than with 0.
type ExitError struct{ Status syscall.WaitStatus }

func (e *ExitError) Error() string {
	if e.Status.Signaled() {
		return "signal: " + e.Status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", e.Status.ExitStatus())
}

// ExitCode is the exit status, or -1 after a signal.
func (e *ExitError) ExitCode() int { return e.Status.ExitStatus() }

// Wait waits for the program to end, and for its streams to be copied. It gives an [ExitError] if the program ended
// otherwise than with 0, and the same again if called again. Others must answer its notifications meanwhile. It takes
// no thread where there are pidfds.
func (c *Child) Wait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waited {
		if err := c.wait(); err != nil {
			return err
		}
		c.waited = true
		c.copied = c.streams.wait()
	}
	if c.status != 0 {
		return &ExitError{c.status}
	}
	return c.copied
}

func (c *Child) wait() error {
	if !c.users.enter() {
		return errChildClosed
	}
	defer c.leave()
	limit := C.int(-1)
	if c.pidfd >= 0 {
		if ready, err := parked.enter(c.pidfd); err == nil {
			<-ready
			parked.leave(c.pidfd)
		}
	}
	result := C.shim_child_wait(c.c, limit)
	if err := failure(result); err != nil {
		return err
	}
	c.status = syscall.WaitStatus(result.value)
	return nil
}

// WaitStatus is how the program ended, after [Child.Wait].
func (c *Child) WaitStatus() syscall.WaitStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Signal sends the child a signal, never another process that got the same id.
func (c *Child) Signal(signal syscall.Signal) error {
	if !c.users.enter() {
		return errChildClosed
	}
	defer c.leave()
	return failure(C.shim_child_kill(c.c, C.int(signal)))
}

// Kill sends it SIGKILL.
func (c *Child) Kill() error { return c.Signal(syscall.SIGKILL) }

// ExecError is the error number of its execve, if that failed after [Spawn.Start] had returned: because the supervisor
// refused the call, or continued it and the kernel refused. The child then exits with status 127.
func (c *Child) ExecError() syscall.Errno {
	if !c.users.enter() {
		return 0
	}
	defer c.leave()
	return syscall.Errno(C.unotify_child_exec_error(c.c))
}

// Close frees the handle. It neither kills the child nor waits for it, and leaves the Listener alone.
func (c *Child) Close() error {
	if !c.users.enter() {
		return errChildClosed
	}
	defer c.leave()
	if !c.users.close() {
		return errChildClosed
	}
	runtime.SetFinalizer(c, nil)
	return nil
}

func (c *Child) leave() {
	if c.users.leave() {
		C.unotify_child_free(c.c)
	}
}

// cMemory is memory of C's that is given back together.
type cMemory []unsafe.Pointer

func (m *cMemory) keep(p unsafe.Pointer) unsafe.Pointer {
	*m = append(*m, p)
	return p
}

func (m *cMemory) free() {
	for _, p := range *m {
		C.free(p)
	}
}

func (m *cMemory) string(s string) *C.char { return (*C.char)(m.keep(unsafe.Pointer(C.CString(s)))) }

// strings gives an array that ends with NULL.
func (m *cMemory) strings(list []string) **C.char {
	array := (**C.char)(m.keep(C.calloc(C.size_t(len(list)+1), C.size_t(unsafe.Sizeof((*C.char)(nil))))))
	for i, s := range list {
		unsafe.Slice(array, len(list))[i] = m.string(s)
	}
	return array
}

func (m *cMemory) fds(n int) []C.unotify_fd_map {
	return unsafe.Slice((*C.unotify_fd_map)(m.keep(C.calloc(C.size_t(n), C.size_t(unsafe.Sizeof(C.unotify_fd_map{}))))), n)
}

func indexNul(s string) int {
	for i := range []byte(s) {
		if s[i] == 0 {
			return i
		}
	}
	return -1
}
