package notify

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
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

// checked gives the options with the defaults in the place of zeroes, and refuses what is out of range.
func (o *AgentOptions) checked() (AgentOptions, error) {
	if o == nil {
		o = &AgentOptions{}
	}
	its := *o
	if its.Mode == 0 {
		its.Mode = 0o600
	}
	if its.MaxFds == 0 {
		its.MaxFds = 16
	}
	if its.MaxMessage == 0 {
		its.MaxMessage = 1 << 20
	}
	if its.TimeLimit == 0 {
		its.TimeLimit = 10 * time.Second
	}
	its.Users = append([]uint32(nil), o.Users...)
	switch {
	case its.Mode&^0o777 != 0:
		return its, invalid("Mode is %#o, which is beyond 0777", uint32(its.Mode))
	case its.MaxFds < 0 || its.MaxFds > mostSent:
		return its, invalid("MaxFds is %d, which is outside 1 to %d", its.MaxFds, mostSent)
	case its.MaxMessage < 0:
		return its, invalid("MaxMessage is %d, which is negative", its.MaxMessage)
	case its.TimeLimit < 0:
		return its, invalid("TimeLimit is %v, which is negative", its.TimeLimit)
	case o.Users != nil && len(o.Users) == 0:
		return its, invalid("the agent would listen to nobody: its list of users is empty")
	}
	return its, nil
}

// listensTo tells whether that user is listened to.
func (o *AgentOptions) listensTo(user uint32) bool {
	if len(o.Users) == 0 {
		return user == 0 || user == uint32(syscall.Geteuid())
	}
	for _, listened := range o.Users {
		if listened == user {
			return true
		}
	}
	return false
}

func (o *AgentOptions) tell(refused []string) {
	if o.Log != nil {
		for _, sentence := range refused {
			o.Log(sentence)
		}
	}
}

func (o *AgentOptions) limits() limits { return limits{o.MaxMessage, o.MaxFds} }

// An Agent takes the listeners of containers from their runtimes (runc, crun, youki), at the socket that profiles name
// as listenerPath. Its methods may be called by several goroutines.
//
// A message is taken when its last brace has come, not at the end of the connection, for runc and crun keep that open
// while the container waits. Connections are read beside each other, without a thread and while somebody accepts: one
// that sends nothing, or too much, or what it should not, delays nobody and is refused. At most 256 are on their way
// at once.
//
// There is no supervisor in this package, so the agent has no Serve, and there is no ContainerOf: serve each container
// by a goroutine, which knows whose it is, as in the example.
type Agent struct {
	options     AgentOptions
	endpoint    int // the socket
	connections *connections
	turn        turn          // to look
	passed      chan struct{} // takes the turn from who only waits
	closed      chan struct{} // closed then

	mu           sync.Mutex
	users        int         // and one while it is not closed
	name         *socketName // to be removed at the end; nil if that is somebody else's
	isClosed     bool
	isHandedOver bool
}

// NewAgent makes an agent with a socket at a path, which goes with it. One that is there is replaced if it is this
// user's and nobody listens on it: else it fails with syscall.EADDRINUSE, which is [ErrBusy] when somebody does, and
// [ErrPermission] when it is another user's. The options may be nil.
func NewAgent(path string, options *AgentOptions) (*Agent, error) {
	its, err := options.checked()
	if err != nil {
		return nil, err
	}
	endpoint, name, err := bindSocket(path, uint32(its.Mode))
	if err != nil {
		return nil, err
	}
	agent, err := newAgent(endpoint, its)
	if err != nil {
		name.remove()
		return nil, err
	}
	agent.name = name
	return agent, nil
}

// AgentFromEnvironment makes an agent on the socket that systemd has passed to this process (LISTEN_FDS): a single one,
// which can be taken once. It fails with [ErrInvalidArgument] when not one was.
func AgentFromEnvironment(options *AgentOptions) (*Agent, error) {
	its, err := options.checked()
	if err != nil {
		return nil, err
	}
	endpoint, err := passedSocket()
	if err != nil {
		return nil, err
	}
	return newAgent(endpoint, its)
}

// AgentFromListener makes an agent on a duplicate of a Unix stream socket that listens, such as one that a service
// manager passed. The name of that is nobody's of the agent to remove.
func AgentFromListener(socket *net.UnixListener, options *AgentOptions) (*Agent, error) {
	its, err := options.checked()
	if err != nil {
		return nil, err
	}
	endpoint := -1
	var errno syscall.Errno
	raw, err := socket.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { endpoint, errno = duplicate(int(fd)) })
	}
	if err != nil {
		return nil, err
	}
	if errno != 0 {
		return nil, system(errno, "duplicate the socket")
	}
	if err := checkListens(endpoint); err != nil {
		return nil, err
	}
	return newAgent(endpoint, its)
}

// newAgent takes a socket over, also when it fails.
func newAgent(endpoint int, options AgentOptions) (*Agent, error) {
	connections, err := newConnections(endpoint)
	if err != nil {
		syscall.Close(endpoint)
		return nil, err
	}
	agent := &Agent{
		options:     options,
		endpoint:    endpoint,
		connections: connections,
		turn:        newTurn(),
		passed:      make(chan struct{}),
		closed:      make(chan struct{}),
		users:       1,
	}
	runtime.SetFinalizer(agent, (*Agent).Close)
	return agent, nil
}

// Accept waits for the next container, without a thread. A connection that brings none is refused, and delays nobody.
//
// It ends with the context's error when that is done, with os.ErrClosed when the agent is closed, and with [ErrClosed]
// when it was handed over.
func (a *Agent) Accept(ctx context.Context) (*Container, error) {
	if !a.use() {
		return nil, errAgentClosed
	}
	defer a.release()
	for {
		if err := a.takeTurn(ctx, nil); err != nil {
			return nil, err
		}
		container, isPassed, err := a.acceptInTurn(ctx)
		if !isPassed {
			return container, err
		}
	}
}

// acceptInTurn gives the turn back, unless somebody has taken it over.
func (a *Agent) acceptInTurn(ctx context.Context) (container *Container, isPassed bool, err error) {
	defer func() {
		if !isPassed {
			a.turn.giveBack()
		}
	}()
	for !isPassed {
		if err := a.over(ctx); err != nil {
			return nil, false, err
		}
		if container, err := a.look(); container != nil || err != nil {
			return container, false, err
		}
		if isPassed, err = a.waitOutside(ctx); err != nil {
			return nil, false, err
		}
	}
	return nil, true, nil
}

// look looks at what there is, and gives a container if one has come. Who does not return from being told of a refusal
// has it closed: its calls would wait for nobody.
func (a *Agent) look() (*Container, error) {
	container, err := a.connections.next(a.endpoint, &a.options)
	refused := a.connections.takeRefused()
	container.keptBy(func() { a.options.tell(refused) })
	return container, err
}

// over is why what is done in turn is not to go on; nil if it is.
func (a *Agent) over(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.isClosed:
		return errAgentClosed
	case a.isHandedOver:
		return errHandedOver
	}
	return ctx.Err()
}

// takeTurn waits for the turn. With a channel it takes it from who waits for something to come, too.
func (a *Agent) takeTurn(ctx context.Context, from chan<- struct{}) error {
	if a.turn.take() {
		return nil
	}
	a.turn.waiting.Add(1)
	defer a.turn.waiting.Add(-1)
	for !a.turn.take() {
		select {
		case from <- struct{}{}:
			return nil
		case <-a.turn.free:
		case <-ctx.Done():
			return ctx.Err()
		case <-a.closed:
			return errAgentClosed
		}
	}
	return nil
}

// waitOutside waits without a thread until there may be something to do, or somebody takes the turn.
func (a *Agent) waitOutside(ctx context.Context) (isPassed bool, err error) {
	ready, errno := waitingRoom.enter(a.connections.epoll)
	if errno != 0 {
		// Too many are watched already: on the thread, then.
		pollFd(a.connections.epoll, inPlace)
		return false, nil
	}
	defer waitingRoom.leave(a.connections.epoll)
	select {
	case <-ready:
		return false, nil
	case <-a.passed:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-a.closed:
		return false, errAgentClosed
	}
}

// Fd is a descriptor for an event loop, which remains the agent's, or -1 when it is closed. It polls readable when
// [Agent.Accept] has something to do.
func (a *Agent) Fd() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.isClosed {
		return -1
	}
	return a.connections.epoll
}

// Close removes the socket. Accepts that are under way end with os.ErrClosed. Containers that were accepted stay as
// they are; the calls of those that nobody has accepted fail with ENOSYS.
func (a *Agent) Close() error {
	a.mu.Lock()
	if a.isClosed {
		a.mu.Unlock()
		return errAgentClosed
	}
	a.isClosed = true
	name := a.name
	a.mu.Unlock()
	runtime.SetFinalizer(a, nil)
	name.remove()
	close(a.closed)
	a.release()
	return nil
}

// use keeps the descriptors open until it is released; false when it is closed.
func (a *Agent) use() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.isClosed {
		a.users++
	}
	return !a.isClosed
}

func (a *Agent) release() {
	a.mu.Lock()
	a.users--
	isLast := a.users == 0
	a.mu.Unlock()
	if isLast {
		a.connections.close()
		syscall.Close(a.endpoint)
	}
}

var errHandedOver = failure(ErrClosed, syscall.EPIPE, "the agent was handed over")

var errAgentClosed = fmt.Errorf("unotify: the agent is closed: %w", os.ErrClosed)
