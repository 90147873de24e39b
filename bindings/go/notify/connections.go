package notify

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// The connections of runtimes, each on its own: whoever sends nothing, or slowly, delays nobody.

const (
	// mostOpen is how many connections may be on their way at once. When there is one more, the oldest has to go: what
	// runtimes send is there at once.
	mostOpen = 256
	// pause is how long it takes to look again when there is no number for a descriptor.
	pause = 10 * time.Millisecond
)

// connections are those on their way, and the containers that have come. One goroutine at a time looks.
type connections struct {
	epoll, timer int
	open         []*connection // in the order in which they came, which is that of their deadlines
	ready        []*Container
	by           partRoom
	armed        time.Time // the timer is set to this
	refused      []string  // what is to be told
}

type connection struct {
	fd       int
	peer     syscall.Ucred // who connected, as it was then
	deadline time.Time
	message  message
}

func newConnections(endpoint int) (*connections, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, system(errnoOf(err), "make an epoll descriptor")
	}
	const monotonic = 1 // CLOCK_MONOTONIC
	timer, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(epoll)
		return nil, system(errno, "make a timer")
	}
	c := &connections{epoll: epoll, timer: int(timer), by: newPartRoom()}
	for _, fd := range []int{c.timer, endpoint} {
		if err := c.watch(fd); err != nil {
			c.close()
			return nil, system(errnoOf(err), "watch the socket")
		}
	}
	return c, nil
}

func (c *connections) watch(fd int) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &event)
}

// leave looks at it no more.
func (c *connections) leave(fd int) error {
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_DEL, fd, &syscall.EpollEvent{})
}

// next gives a container if one has come. If none was there it looks once at all that has news, without waiting.
func (c *connections) next(endpoint int, options *AgentOptions) (*Container, error) {
	var err error
	if len(c.ready) == 0 {
		err = c.look(endpoint, options)
	}
	var container *Container
	if len(c.ready) > 0 {
		container = c.ready[0]
		c.ready[0] = nil
		c.ready = c.ready[1:]
	}
	if failed := c.arm(); err == nil {
		err = failed
	}
	if container != nil {
		return container, nil
	}
	return nil, err
}

func (c *connections) look(endpoint int, options *AgentOptions) (err error) {
	var events [64]syscall.EpollEvent
	count, failed := syscall.EpollWait(c.epoll, events[:], 0)
	if failed != nil && failed != syscall.EINTR {
		return system(errnoOf(failed), "wait for connections")
	}
	for i := 0; i < count; i++ {
		switch fd := int(events[i].Fd); fd {
		case c.timer:
		case endpoint:
			err = c.accept(endpoint, options)
		default:
			c.read(fd, options)
		}
	}
	c.expire(options)
	return err
}

// accept takes the connections that wait, not all if there are very many.
func (c *connections) accept(endpoint int, options *AgentOptions) error {
	for i := 0; i < 32; i++ {
		fd, _, err := syscall.Accept4(endpoint, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
		switch err {
		case nil:
			c.greet(fd, options)
		case syscall.EAGAIN:
			return nil
		case syscall.EINTR, syscall.ECONNABORTED: // which is gone already
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			// The kernel says so before it looks whether anybody waits.
			events, _ := pollFd(endpoint, 0)
			if events != 0 && !c.dropOldest("there is no descriptor left for others") {
				time.Sleep(pause)
			}
			return nil
		default:
			return system(errnoOf(err), "accept a connection")
		}
	}
	return nil
}

func (c *connections) greet(fd int, options *AgentOptions) {
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		syscall.Close(fd)
		return
	}
	if !options.listensTo(peer.Uid) {
		syscall.Close(fd)
		c.refuse(*peer, "it is not listened to")
		return
	}
	if len(c.open) >= mostOpen {
		c.dropOldest("so many came after it")
	}
	if err := c.watch(fd); err != nil {
		syscall.Close(fd)
		c.refuse(*peer, system(errnoOf(err), "watch it").Message)
		return
	}
	c.open = append(c.open, &connection{fd: fd, peer: *peer, deadline: time.Now().Add(options.TimeLimit)})
	// What is there already is read at once.
	c.read(fd, options)
}

func (c *connections) read(fd int, options *AgentOptions) {
	at := -1
	for i, one := range c.open {
		if one.fd == fd {
			at = i
		}
	}
	if at < 0 {
		return
	}
	one := c.open[at]
	isWhole, err := one.message.receive(fd, c.by, options.limits())
	switch {
	case err == errNoRoom:
		time.Sleep(pause)
	case err == errEmpty: // as crun does when a start fails
		c.end(at)
	case err != nil:
		c.end(at)
		c.refuse(one.peer, err.Error())
	case isWhole:
		fds := one.message.fds
		one.message.fds = nil
		c.end(at)
		container, err := containerFrom(one.message.bytes, fds)
		if err != nil {
			c.refuse(one.peer, err.Error())
			return
		}
		c.ready = append(c.ready, container)
	}
}

// end ends a connection, and closes what came of it.
func (c *connections) end(at int) *connection {
	one := c.open[at]
	c.open = append(c.open[:at], c.open[at+1:]...)
	// A process that is just being started may have it open, and it would be reported for ever.
	_ = c.leave(one.fd)
	syscall.Close(one.fd)
	one.message.drop()
	return one
}

func (c *connections) dropOldest(reason string) bool {
	if len(c.open) == 0 {
		return false
	}
	c.refuse(c.end(0).peer, reason)
	return true
}

// expire refuses those whose time is up.
func (c *connections) expire(options *AgentOptions) {
	now := time.Now()
	for len(c.open) > 0 && !c.open[0].deadline.After(now) {
		c.dropOldest(fmt.Sprintf("its message took longer than %v", options.TimeLimit))
	}
}

func (c *connections) refuse(peer syscall.Ucred, reason string) {
	c.refused = append(c.refused, fmt.Sprintf("refused a connection of process %d, user %d: %s", peer.Pid, peer.Uid, reason))
}

func (c *connections) takeRefused() []string {
	refused := c.refused
	c.refused = nil
	return refused
}

var longAgo = time.Unix(1, 0)

// arm has the timer tell when the next one's time is up, or at once of a container that is there already. The descriptor
// for event loops is readable then.
func (c *connections) arm() error {
	var when time.Time // never
	switch {
	case len(c.ready) > 0:
		when = longAgo
	case len(c.open) > 0:
		when = c.open[0].deadline
	}
	if when.Equal(c.armed) {
		return nil
	}
	var timer struct{ interval, value syscall.Timespec }
	if !when.IsZero() {
		after := time.Until(when)
		if after < 1 {
			after = 1 // zero would be never
		}
		timer.value = syscall.NsecToTimespec(int64(after))
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(c.timer), 0, uintptr(unsafe.Pointer(&timer)), 0, 0, 0)
	if errno != 0 {
		return system(errno, "set the timer")
	}
	c.armed = when
	return nil
}

// close ends all that are on their way, and lets go of the containers that nobody has accepted.
func (c *connections) close() {
	for len(c.open) > 0 {
		c.end(0)
	}
	c.letGo()
	syscall.Close(c.timer)
	syscall.Close(c.epoll)
}

func (c *connections) letGo() {
	for _, container := range c.ready {
		container.Close()
	}
	c.ready = nil
}
