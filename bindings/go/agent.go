package unotify

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/cgo"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// AgentOptions is how an agent is to work. The zero value has the defaults.
type AgentOptions struct {
	Mode       os.FileMode          // Permissions of its socket, whatever the umask. 0 is 0600.
	MaxFds     int                  // Descriptors that may come with a state, up to 253. 0 is 16.
	MaxMessage int                  // Bytes that a state may have. 0 is 1 MiB.
	TimeLimit  time.Duration        // That a connection may take for it. 0 is 10 s.
	Users      []uint32             // Who is listened to (SO_PEERCRED). nil: root and this process's user.
	Log        func(refused string) // Is told, by Accept, in a sentence of each connection that was refused, and why.
}

// Agent takes the listeners of containers from their runtimes (runc, crun, youki), at the socket that profiles name as
// listenerPath. Its methods may be called by several goroutines.
type Agent struct {
	*agentHandle
	users  users
	closed chan struct{}
	turn   *turns // Of looking, one at a time.
}

// agentHandle is what is freed.
type agentHandle struct {
	c        *C.unotify_agent
	fd       int
	refusals *refusals  // nil without a Log.
	handle   cgo.Handle // Of these.
}

// NewAgent makes an agent with a socket at a path, which goes with it. One that is there is replaced if it is this
// user's and nobody listens on it: else it fails with syscall.EADDRINUSE, which is ErrBusy when somebody does, and
// ErrPermission when it is another user's. The options may be nil.
func NewAgent(path string, options *AgentOptions) (*Agent, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	return options.make(func(o *cOptions) C.shim_result {
		return C.shim_agent_new(name, o.mode, o.fds, o.message, o.limit, o.users, o.nUsers, C.uintptr_t(o.log))
	})
}

// AgentFromEnvironment makes an agent on the socket that systemd has passed to this process (LISTEN_FDS). It fails with
// [ErrInvalidArgument] when none was.
func AgentFromEnvironment(options *AgentOptions) (*Agent, error) { return options.from(-1) }

// AgentFromListener makes an agent on a duplicate of a Unix stream socket that listens, such as one that a service
// manager passed. The name of that is nobody's of the agent to remove.
func AgentFromListener(socket *net.UnixListener, options *AgentOptions) (*Agent, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var agent *Agent
	var failed error
	if err := raw.Control(func(fd uintptr) { agent, failed = options.from(int(fd)) }); err != nil {
		return nil, err
	}
	return agent, failed
}

func (o *AgentOptions) from(socket int) (*Agent, error) {
	return o.make(func(c *cOptions) C.shim_result {
		return C.shim_agent_from_socket(C.int(socket), c.mode, c.fds, c.message, c.limit, c.users, c.nUsers, C.uintptr_t(c.log))
	})
}

// The options as C takes them.
type cOptions struct {
	mode, fds, nUsers C.uint32_t
	message           C.size_t
	limit             C.int
	users             *C.uid_t
	log               cgo.Handle
}

func (o *AgentOptions) make(call func(*cOptions) C.shim_result) (*Agent, error) {
	if o == nil {
		o = &AgentOptions{}
	}
	if o.Users != nil && len(o.Users) == 0 {
		return nil, newError(ErrInvalidArgument, syscall.EINVAL, "the agent would listen to nobody: its list of users is empty")
	}
	if o.MaxFds < 0 || o.MaxFds > math.MaxInt32 || o.MaxMessage < 0 || o.TimeLimit < 0 {
		return nil, newError(ErrInvalidArgument, syscall.EINVAL, "an option of the agent is out of range")
	}
	limit := (o.TimeLimit + time.Millisecond - 1) / time.Millisecond
	if limit > math.MaxInt32 {
		limit = math.MaxInt32
	}
	given := cOptions{
		mode: C.uint32_t(o.Mode), fds: C.uint32_t(o.MaxFds), nUsers: C.uint32_t(len(o.Users)),
		message: C.size_t(o.MaxMessage), limit: C.int(limit),
	}
	if len(o.Users) > 0 {
		room := C.malloc(C.size_t(4 * len(o.Users)))
		defer C.free(room)
		copy(unsafe.Slice((*uint32)(room), len(o.Users)), o.Users)
		given.users = (*C.uid_t)(room)
	}
	var refused *refusals
	if o.Log != nil {
		refused = &refusals{log: o.Log}
		given.log = cgo.NewHandle(refused)
	}
	result := call(&given)
	if err := failure(result); err != nil {
		if given.log != 0 {
			given.log.Delete()
		}
		return nil, err
	}
	c := (*C.unotify_agent)(C.shim_pointer(result.handle))
	a := &Agent{
		agentHandle: &agentHandle{c: c, fd: int(C.unotify_agent_fd(c)), refusals: refused, handle: given.log},
		closed:      make(chan struct{}),
		turn:        newTurns(1),
	}
	runtime.SetFinalizer(a.agentHandle, (*agentHandle).free)
	return a, nil
}

func (h *agentHandle) free() {
	runtime.SetFinalizer(h, nil)
	C.unotify_agent_free(h.c)
	if h.handle != 0 {
		h.handle.Delete()
	}
}

func (a *Agent) leave() {
	if a.users.leave() {
		a.free()
	}
}

// Accept waits for the next container, without a thread. A connection that brings none is refused, and delays nobody.
//
// It ends with the context's error when that is done, and with os.ErrClosed when the agent is closed.
func (a *Agent) Accept(ctx context.Context) (*Container, error) {
	if !a.users.enter() {
		return nil, errAgentClosed
	}
	defer a.leave()
	a.turn.waiting.Add(1)
	for !a.turn.try() {
		select {
		case <-a.turn.free:
		case <-ctx.Done():
			a.turn.waiting.Add(-1)
			return nil, ctx.Err()
		case <-a.closed:
			a.turn.waiting.Add(-1)
			return nil, errAgentClosed
		}
	}
	a.turn.waiting.Add(-1)
	defer a.turn.giveBack()
	for {
		if isClosed(a.closed) {
			return nil, errAgentClosed
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		result := C.shim_agent_accept(a.c)
		err := failure(result)
		var container *Container
		if err == nil {
			container = newContainer((*C.unotify_container)(C.shim_pointer(result.handle)))
		}
		container.keptBy(a.refusals.tell)
		if err == nil {
			return container, nil
		}
		if !errors.Is(err, ErrTimeout) {
			return nil, err
		}
		if err := a.park(ctx); err != nil {
			return nil, err
		}
	}
}

// park waits until there is something to do for who accepts.
func (a *Agent) park(ctx context.Context) error {
	ready, err := parked.enter(a.fd)
	if err != nil {
		return err
	}
	defer parked.leave(a.fd)
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.closed:
		return errAgentClosed
	}
}

// Serve has a supervisor serve all containers, until the context is done, which is its error, or the supervisor ends. It
// is told of each container first by onContainer, unless that is nil; after an error of that the container is closed,
// and its calls fail with ENOSYS. A handler finds its container by [ContainerOf]. The supervisor needs KeepRunning.
// When onContainer panics, Serve panics with a [HandlerPanic], as when a handler does; its container is closed.
//
// left is called, unless it is nil, as a handler is, once the listener of a container has left the supervisor; then the
// container is closed. After the return the listeners are still the supervisor's: the next Run or Serve goes on with
// them, and its Close closes them.
func (a *Agent) Serve(ctx context.Context, s *Supervisor, onContainer func(*Container) error, left func(*Container)) error {
	if !s.KeepRunning {
		return newError(ErrInvalidArgument, syscall.EINVAL, "the supervisor would end without a container: set KeepRunning")
	}
	accepting, cancel := context.WithCancel(ctx)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	failed := error(errGoexit)
	var panicked *HandlerPanic
	go func() {
		defer close(done)
		defer stop()
		defer func() {
			if value := recover(); value != nil {
				panicked = &HandlerPanic{value, debug.Stack()}
			}
		}()
		failed = a.acceptFor(accepting, s, onContainer, left)
	}()
	err := func() error {
		defer func() { // Also when a handler has panicked.
			cancel()
			<-done
		}()
		return s.Run(running)
	}()
	if panicked != nil {
		panic(panicked)
	}
	if ctx.Err() == nil && failed != nil && !errors.Is(failed, context.Canceled) {
		return failed
	}
	return err
}

func (a *Agent) acceptFor(ctx context.Context, s *Supervisor, onContainer func(*Container) error, left func(*Container)) error {
	for {
		container, err := a.Accept(ctx)
		if err != nil {
			return err
		}
		if onContainer != nil {
			var unwanted error
			container.keptBy(func() { unwanted = onContainer(container) })
			if unwanted != nil {
				container.Close()
				continue
			}
		}
		listener, err := container.TakeListener()
		if errors.Is(err, ErrInvalidArgument) || errors.Is(err, os.ErrClosed) {
			continue // onContainer has taken it.
		}
		if err != nil {
			container.Close()
			return err
		}
		listener.container.Store(container)
		over := func() {
			listener.container.Store(nil)
			if left != nil {
				left(container)
			}
			container.Close()
		}
		if err := s.AddListener(listener, over); err != nil { // It is closed.
			listener.Close()
			container.Close()
			return err
		}
	}
}

// ContainerOf gives the container that a notification comes from, if [Agent.Serve] serves it, or nil.
func ContainerOf(n *Notification) *Container {
	listener := n.Listener()
	if listener == nil {
		return nil
	}
	return listener.container.Load()
}

// Fd is a descriptor for an event loop, which remains the agent's, or -1 when it is closed. It polls readable when
// [Agent.Accept] has something to do.
func (a *Agent) Fd() int {
	if isClosed(a.closed) {
		return -1
	}
	return a.fd
}

// Close removes the socket. Accepts that are under way end with os.ErrClosed. Containers that were accepted stay as
// they are.
func (a *Agent) Close() error {
	if !a.users.enter() {
		return errAgentClosed
	}
	defer a.leave()
	if !a.users.close() {
		return errAgentClosed
	}
	close(a.closed)
	return nil
}

var (
	errAgentClosed     = closedError("agent")
	errContainerClosed = closedError("container")
)

// Container is what a runtime says of a container, and its listener until that is taken. What a runtime leaves out is
// "" or 0. The fields remain when it is closed.
type Container struct {
	ID          string            // Its name among those of its runtime; its user may have chosen it.
	Bundle      string            // The directory that it was described in. crun says "." for exec.
	Status      string            // "creating", "created", "running" or "stopped", or what a runtime has beyond these.
	Metadata    string            // What the profile says in listenerMetadata.
	Version     string            // Of the OCI runtime specification that the runtime goes by.
	Annotations map[string]string // By their keys.
	Pid         int               // The process under the filter, as the runtime numbers it; it may have ended.
	InitPid     int               // The container's first process, likewise: after exec it is another.
	HandedOver  bool              // Whether it came from another agent.

	mu sync.Mutex
	c  *C.unotify_container
}

func newContainer(c *C.unotify_container) *Container {
	container := &Container{
		ID:          C.GoString(C.unotify_container_id(c)),
		Bundle:      C.GoString(C.unotify_container_bundle(c)),
		Status:      C.GoString(C.unotify_container_status(c)),
		Metadata:    C.GoString(C.unotify_container_metadata(c)),
		Version:     C.GoString(C.unotify_container_version(c)),
		Annotations: map[string]string{},
		Pid:         int(C.unotify_container_pid(c)),
		InitPid:     int(C.unotify_container_init_pid(c)),
		HandedOver:  C.unotify_container_was_handed_over(c) != 0,
		c:           c,
	}
	for i := C.size_t(0); ; i++ {
		key := C.unotify_container_annotation_key(c, i)
		if key == nil {
			break
		}
		container.Annotations[C.GoString(key)] = C.GoString(C.unotify_container_annotation(c, key))
	}
	runtime.SetFinalizer(container, (*Container).Close)
	return container
}

// keptBy calls a function of the program's, and closes the container, unless it is nil, if that does not return: its
// calls would wait for nobody.
func (c *Container) keptBy(call func()) {
	returned := false
	defer func() {
		if !returned && c != nil {
			c.Close()
		}
	}()
	call()
	returned = true
}

// TakeListener gives the container's listener, which is the caller's from then on. It fails with ErrInvalidArgument when
// it was taken before.
func (c *Container) TakeListener() (*Listener, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c == nil {
		return nil, errContainerClosed
	}
	return listenerOf(C.shim_container_take_listener(c.c))
}

// File gives a duplicate of a descriptor that came with the listener, by its name, or nil if there is none. The runtimes
// of today send no other.
func (c *Container) File(name string) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c == nil {
		return nil, errContainerClosed
	}
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	fd := int(C.unotify_container_fd(c.c, text))
	if fd < 0 {
		return nil, nil
	}
	duplicate, err := dup(fd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(duplicate), name), nil
}

// Close frees the container, and its listener if nobody took it: its notifying calls then fail with ENOSYS.
func (c *Container) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c == nil {
		return errContainerClosed
	}
	runtime.SetFinalizer(c, nil)
	C.unotify_container_free(c.c)
	c.c = nil
	return nil
}
