package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// From one agent to the next, while containers wait. It is what the C library's agents say to each other, so either may
// be one of those.
//
// The old one sends its socket and then one container after the other over a Unix stream socket, each as a message with
// descriptors, and after each it waits for one byte: what was sent has come. The last message says how many there
// were, and with the byte after that the containers are the new one's. Whatever goes wrong before, the old one still
// has them all, and the new one has nothing.

const (
	// protocol is what agents of this version say to each other.
	protocol = 1
	// hasCome is the byte that says that a message has come.
	hasCome = 'k'
	// toFinish is how long a runtime that is in the middle of its message is waited for.
	toFinish = time.Second
)

// handOverLimits are what a message between agents may take: the other one is trusted.
var handOverLimits = limits{64 << 20, mostSent}

// handOverMessage is the form of a message between agents.
type handOverMessage struct {
	Protocol  int             `json:"unotify"`
	Socket    *handOverSocket `json:"socket,omitempty"`
	Container *told           `json:"container,omitempty"`
	End       *int            `json:"end,omitempty"`
}

type handOverSocket struct {
	Path   []uint16 `json:"path"` // its bytes
	Device uint64   `json:"device"`
	Inode  uint64   `json:"inode"`
}

// HandOver gives everything to another process, which calls [TakeOver], or what that is in another language, at the other
// end of a connection, a Unix stream socket: the agent's socket, so that no runtime is turned away, and the containers
// that nobody has accepted or that were [Agent.PutBack]. They wait meanwhile, and none of their calls fails. Containers
// that are served by a goroutine stay here: end its Receive, answer what it has received, and put the listener back
// before. (In package libunotify/go there is one more argument, for the supervisor that serves them.)
//
// Accepts may be under way: they wait meanwhile, and end with [ErrClosed] after success. A container leaves this process
// whole, as its runtime has told of it, with its descriptors; what the program knows of it besides has to be where the
// new process finds it.
//
// After an error all is still here, and the containers come by Accept. It fails with ErrClosed when the other side hangs
// up or the agent was handed over before, with [ErrTimeout] when it does not answer within the agent's TimeLimit, with
// [ErrPermission] when it is a user who is not listened to, and with the context's error when that is done first. That
// shuts the connection down; it remains the caller's to close, and has no deadline afterwards. Log may not call this.
func (a *Agent) HandOver(ctx context.Context, conn *net.UnixConn) error {
	if !a.use() {
		return errAgentClosed
	}
	defer a.release()
	if err := checkPeer(conn, &a.options); err != nil {
		return err
	}
	if err := a.takeTurn(ctx, a.passed); err != nil {
		return err
	}
	defer a.turn.giveBack()
	if err := a.over(ctx); err != nil {
		return err
	}
	// Last, as it is a function of the program's, which may panic.
	defer func() { a.options.tell(a.connections.takeRefused()) }()
	if err := a.connections.leave(a.endpoint); err != nil {
		return system(errnoOf(err), "leave the socket alone")
	}
	a.finish()
	if err := talk(ctx, conn, func() error { return a.sendAll(conn) }); err != nil {
		if failed := a.connections.watch(a.endpoint); failed != nil {
			return system(errnoOf(failed), "watch the socket")
		}
		if failed := a.connections.arm(); failed != nil {
			return failed
		}
		return err
	}
	a.mu.Lock()
	a.name = nil
	a.isHandedOver = true
	a.mu.Unlock()
	a.connections.letGo()
	return nil
}

// PutBack takes the listener of a container back, as if that had just come: Accept gives it again, and [Agent.HandOver]
// takes it along. It is closed here. What was received from it is still to be answered here. Log may not call this.
//
// It fails with [ErrInvalidArgument] when the listener is of no container, with os.ErrClosed when it is closed, and with
// [ErrClosed] when the agent was handed over.
func (a *Agent) PutBack(listener *Listener) error {
	if !a.use() {
		return errAgentClosed
	}
	defer a.release()
	if listener == nil || listener.shared.origin == nil {
		return invalid("the listener is no container's: it did not come to an agent")
	}
	if err := a.takeTurn(context.Background(), a.passed); err != nil {
		return err
	}
	defer a.turn.giveBack()
	if err := a.over(context.Background()); err != nil {
		return err
	}
	on := listener.shared
	if on.isClosed.Load() || !on.use() {
		return errListenerClosed
	}
	defer on.release()
	fd, errno := duplicate(on.fd)
	if errno != 0 {
		return system(errno, "duplicate the listener")
	}
	again, err := owned(fd)
	if err != nil {
		return err
	}
	if err := listener.Close(); err != nil { // Somebody was faster.
		again.Close()
		return err
	}
	a.connections.ready = append(a.connections.ready, newContainer(on.origin, again))
	return a.connections.arm()
}

// finish lets runtimes that are in the middle of it finish, while others wait.
func (a *Agent) finish() {
	c := a.connections
	for until := time.Now().Add(toFinish); ; {
		err := c.look(a.endpoint, &a.options)
		left := time.Until(until)
		if err != nil || left <= 0 {
			for c.dropOldest("the agent was handed over to another one") {
			}
		}
		if len(c.open) == 0 {
			return
		}
		pollFd(c.epoll, int64(left))
	}
}

func (a *Agent) sendAll(to *net.UnixConn) error {
	first := handOverMessage{}
	a.mu.Lock()
	if name := a.name; name != nil {
		first.Socket = &handOverSocket{Device: name.device, Inode: name.inode}
		for _, b := range []byte(name.path) {
			first.Socket.Path = append(first.Socket.Path, uint16(b))
		}
	}
	a.mu.Unlock()
	if err := a.send(to, first, a.endpoint); err != nil {
		return err
	}
	containers := a.connections.ready
	for _, container := range containers {
		// Nobody else knows it.
		its := *container.about.told
		its.Fds = nil
		var fds []int
		for _, file := range container.about.files {
			its.Fds = append(its.Fds, file.name)
			fds = append(fds, file.fd)
		}
		its.Fds = append(its.Fds, listenerName)
		fds = append(fds, container.listener.shared.fd)
		if err := a.send(to, handOverMessage{Container: &its}, fds...); err != nil {
			return err
		}
	}
	count := len(containers)
	return a.send(to, handOverMessage{End: &count})
}

// send sends a message and waits until it has come.
func (a *Agent) send(to *net.UnixConn, message handOverMessage, fds ...int) error {
	message.Protocol = protocol
	text, err := json.Marshal(message)
	if err != nil {
		return invalid("%v", err)
	}
	_ = to.SetDeadline(time.Now().Add(a.options.TimeLimit))
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	sent, _, err := to.WriteMsgUnix(text, rights, nil)
	if err == nil && sent < len(text) { // Once it has all of the last one the other side may hang up.
		_, err = to.Write(text[sent:])
	}
	if err != nil {
		return hungUp(err, "send to the other agent")
	}
	answer := []byte{0}
	if _, err := to.Read(answer); err != nil {
		return hungUp(err, "hear from the other agent")
	}
	if answer[0] != hasCome {
		return strange(errors.New("it did not say that it has taken a message"))
	}
	return nil
}

// TakeOver makes an agent of what another process hands over ([Agent.HandOver], or what that is in another language) at
// the other end of a connection, a Unix stream socket, which remains the caller's to close. The containers come again,
// by Accept, with HandedOver set. The options may be nil; the socket is as it is, whatever the Mode.
//
// It waits for the other side until the TimeLimit has passed ([ErrTimeout]) or the context is done, which shuts the
// connection down. After an error the other side still has all: [ErrClosed] when it hangs up, [ErrPermission] when it is
// a user who is not listened to, [ErrInvalidArgument] when it is no agent of this version.
func TakeOver(ctx context.Context, conn *net.UnixConn, options *AgentOptions) (*Agent, error) {
	its, err := options.checked()
	if err != nil {
		return nil, err
	}
	if err := checkPeer(conn, &its); err != nil {
		return nil, err
	}
	var agent *Agent
	err = talk(ctx, conn, func() (err error) {
		agent, err = takeOver(conn, its)
		return err
	})
	return agent, err
}

func takeOver(from *net.UnixConn, options AgentOptions) (*Agent, error) {
	by := newPartRoom()
	said, fds, err := receiveMessage(from, by, options.TimeLimit)
	if err != nil {
		return nil, err
	}
	name, err := nameIn(said["socket"])
	if err == nil && len(fds) != 1 {
		err = strange(errors.New("it did not begin with its socket"))
	}
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	if err := checkListens(fds[0]); err != nil {
		return nil, err
	}
	agent, err := newAgent(fds[0], options)
	if err != nil {
		return nil, err
	}
	if err := agent.takeAll(from, by); err != nil {
		agent.Close() // The old one has it all still.
		return nil, err
	}
	agent.name = name
	return agent, nil
}

// talk has an agent talk to another one, which a context ends by shutting the connection down: what was agreed on before
// counts.
func talk(ctx context.Context, conn *net.UnixConn, exchange func() error) error {
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			_ = conn.CloseRead()
			_ = conn.CloseWrite()
		case <-over:
		}
	}()
	err := exchange()
	close(over)
	<-watched
	_ = conn.SetDeadline(time.Time{})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (a *Agent) takeAll(from *net.UnixConn, by partRoom) error {
	for {
		if err := acknowledge(from); err != nil {
			return err
		}
		said, fds, err := receiveMessage(from, by, a.options.TimeLimit)
		if err != nil {
			return err
		}
		if end, isNumber := said["end"].(json.Number); isNumber && end.String() == strconv.Itoa(len(a.connections.ready)) {
			closeAll(fds)
			break
		}
		its, err := toldBy(said["container"])
		if err != nil {
			closeAll(fds)
			return strange(err)
		}
		container, err := containerTold(its, fds, true)
		if err != nil {
			return strange(err)
		}
		a.connections.ready = append(a.connections.ready, container)
	}
	if err := a.connections.arm(); err != nil {
		return err
	}
	return acknowledge(from)
}

// receiveMessage gives the next message, and the descriptors that came with it.
func receiveMessage(from *net.UnixConn, by partRoom, limit time.Duration) (map[string]any, []int, error) {
	deadline := time.Now().Add(limit)
	_ = from.SetDeadline(deadline)
	var m message
	err := m.await(from, by, deadline)
	var said map[string]any
	if err == nil {
		if said, err = readJSON(m.bytes); err != nil {
			err = strange(err)
		} else if version, _ := said["unotify"].(json.Number); version.String() != strconv.Itoa(protocol) {
			err = strange(errors.New("it speaks another version's protocol"))
		}
	}
	if err != nil {
		m.drop()
		return nil, nil, err
	}
	return said, m.fds, nil
}

// await waits until the message is whole.
func (m *message) await(from *net.UnixConn, by partRoom, deadline time.Time) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return hungUp(err, "")
	}
	for {
		var isWhole bool
		var failed error
		err := raw.Read(func(fd uintptr) (done bool) {
			for {
				isWhole, failed = m.receive(int(fd), by, handOverLimits)
				if isWhole || failed != nil {
					return true
				}
				// Go tells of what comes, not of what is there.
				if events, _ := pollFd(int(fd), 0); events == 0 {
					return false
				}
			}
		})
		switch {
		case err != nil:
			return hungUp(err, "hear from the other agent")
		case failed == errEmpty:
			return hungUp(io.EOF, "")
		case failed == errNoRoom && time.Now().Before(deadline):
			time.Sleep(pause)
		case failed == errNoRoom:
			return system(syscall.EMFILE, "take over a descriptor")
		case failed != nil:
			return strange(failed)
		case isWhole:
			return nil
		}
	}
}

func acknowledge(to *net.UnixConn) error {
	if _, err := to.Write([]byte{hasCome}); err != nil {
		return hungUp(err, "answer the other agent")
	}
	return nil
}

func checkPeer(other *net.UnixConn, options *AgentOptions) error {
	if other == nil {
		return failure(ErrInvalidArgument, syscall.EBADF, "the connection is nil")
	}
	var peer *syscall.Ucred
	number := -1
	raw, err := other.SyscallConn()
	if err == nil {
		failed := raw.Control(func(fd uintptr) {
			number = int(fd)
			if !isStream(number) {
				err = syscall.EOPNOTSUPP
				return
			}
			peer, err = syscall.GetsockoptUcred(number, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		})
		if failed != nil {
			err = failed
		}
	}
	if err != nil {
		return failure(ErrInvalidArgument, errnoOf(err), "descriptor %d is no connected Unix stream socket", number)
	}
	if !options.listensTo(peer.Uid) {
		return failure(ErrPermission, syscall.EPERM, "the other agent is user %d's", peer.Uid)
	}
	return nil
}

// nameIn is the name of the old agent's socket; nil if that is somebody else's.
func nameIn(said any) (*socketName, error) {
	if said == nil {
		return nil, nil
	}
	object, _ := said.(map[string]any)
	list, isList := object["path"].([]any)
	var path []byte
	for _, one := range list {
		number, err := unsigned(one, 8)
		isList = isList && err == nil
		path = append(path, byte(number))
	}
	device, err := unsigned(object["device"], 64)
	inode, failed := unsigned(object["inode"], 64)
	if !isList || err != nil || failed != nil {
		return nil, strange(errors.New("its socket has no name"))
	}
	return &socketName{string(path), device, inode}, nil
}

func unsigned(value any, bits int) (uint64, error) {
	number, _ := value.(json.Number)
	return strconv.ParseUint(number.String(), 10, bits)
}

func strange(why error) error {
	return invalid("the other side does not hand over as an agent does: %v", why)
}

func hungUp(err error, what string) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return failure(ErrTimeout, syscall.ETIMEDOUT, "the other agent did not answer in time")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return failure(ErrClosed, syscall.EPIPE, "the other agent hung up before it had everything")
	}
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("unotify: the connection is closed: %w", os.ErrClosed)
	}
	return system(errnoOf(err), what)
}
