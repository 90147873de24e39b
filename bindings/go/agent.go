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
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// AgentOptions is how an agent is to work. The zero value has the defaults.
type AgentOptions struct {
	Mode       os.FileMode   // Permissions of its socket, whatever the umask. 0 is 0600.
	MaxFds     int           // Descriptors that may come with a state, up to 253. 0 is 16.
	MaxMessage int           // Bytes that a state may have. 0 is 1 MiB.
	TimeLimit  time.Duration // That a connection may take for it. 0 is 10 s.
	Users      []uint32      // Who is listened to (SO_PEERCRED). nil: root and this process's user.
	// Log is told, in a sentence, of each connection that was refused, and why. It is called by Accept, Serve and HandOver,
	// and must not call these.
	Log func(refused string)
}

var errAgentClosed = closedError("agent")

// Agent takes the listeners of containers from their runtimes (runc, crun, youki), at the socket that profiles name as
// listenerPath. Its methods may be called by several goroutines.
type Agent struct {
	*agentHandle
	users  users
	closed chan struct{}
	turn   *turns               // Of looking, one at a time.
	asked  chan chan<- struct{} // Who only waits, and has the turn, is asked to pass it on by that.
	gone   bool                 // It was handed over. Whose turn it is may look.
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
	if strings.IndexByte(path, 0) >= 0 {
		return nil, newError(ErrInvalidArgument, syscall.EINVAL, "the path %q has a byte of zero in it", path)
	}
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
	if socket == nil {
		return nil, newError(ErrInvalidArgument, syscall.EBADF, "the socket is nil")
	}
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
		asked:       make(chan chan<- struct{}),
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
// It ends with the context's error when that is done, with os.ErrClosed when the agent is closed, and with ErrClosed when
// it was handed over.
func (a *Agent) Accept(ctx context.Context) (container *Container, err error) {
	err = a.accept(ctx, func(next *Container) error {
		container = next
		return nil
	})
	return container, err
}

// accept has a function take the next container. Nobody else accepts meanwhile.
func (a *Agent) accept(ctx context.Context, take func(*Container) error) error {
	if !a.users.enter() {
		return errAgentClosed
	}
	defer a.leave()
	if err := a.takeTurn(ctx); err != nil {
		return err
	}
	hasTurn := true
	defer func() {
		if hasTurn {
			a.turn.giveBack()
		}
	}()
	for {
		if isClosed(a.closed) {
			return errAgentClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		result := C.shim_agent_accept(a.c)
		err := failure(result)
		var container *Container
		if err == nil {
			container = newContainer((*C.unotify_container)(C.shim_pointer(result.handle)))
		}
		container.keptBy(a.refusals.tell)
		if err == nil {
			return take(container)
		}
		if !errors.Is(err, ErrTimeout) {
			return err
		}
		if hasTurn, err = a.park(ctx); err != nil {
			return err
		}
		if !hasTurn {
			if err := a.takeTurn(ctx); err != nil {
				return err
			}
			hasTurn = true
		}
	}
}

// takeTurn waits for the turn of using the library's agent.
func (a *Agent) takeTurn(ctx context.Context) error { return a.waitForTurn(ctx, nil) }

// takeTurnFromWhoWaits is the same for what is not to wait for a container.
func (a *Agent) takeTurnFromWhoWaits(ctx context.Context) error { return a.waitForTurn(ctx, a.asked) }

func (a *Agent) waitForTurn(ctx context.Context, ask chan<- chan<- struct{}) error {
	a.turn.waiting.Add(1)
	defer a.turn.waiting.Add(-1)
	passed := make(chan struct{})
	for !a.turn.try() {
		select {
		case <-a.turn.free:
		case ask <- passed:
			<-passed
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-a.closed:
			return errAgentClosed
		}
	}
	return nil
}

const lookAgain = 10 * time.Millisecond

// park waits until there is something to do for who accepts, or somebody else needs the turn, and has it then.
func (a *Agent) park(ctx context.Context) (hasTurn bool, err error) {
	var again <-chan time.Time
	ready, failed := parked.enter(a.fd)
	if failed != nil {
		// Without a descriptor left for the lot, or room in the kernel, it has to look now and then.
		again = time.After(lookAgain)
	}
	var pass chan<- struct{}
	select {
	case <-ready:
	case <-again:
	case pass = <-a.asked:
	case <-ctx.Done():
		err = ctx.Err()
	case <-a.closed:
		err = errAgentClosed
	}
	if failed == nil {
		parked.leave(a.fd) // Before another one may be there.
	}
	if pass != nil {
		close(pass)
	}
	return pass == nil, err
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
