package notify

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

// A Container is what a runtime says of a container, and its listener until that is taken. What a runtime leaves out is
// "" or 0. The fields remain when it is closed.
//
// For a process that is started in a container (exec) runc sends a second listener, with the same ID and another Pid.
// crun sends one too, with 0 for both pids and "." for the bundle. youki sends none: what it starts there has no filter.
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

	mu       sync.Mutex
	isClosed bool
	listener *Listener // nil when it was taken
	about    *about
}

// about is what came of a container beside its listener. It is there as long as one of the two is: the listener may come
// back.
type about struct {
	told       *told
	handedOver bool
	files      []namedFd
	users      atomic.Int32
}

type namedFd struct {
	name string
	fd   int
}

func (a *about) release() {
	if a != nil && a.users.Add(-1) == 0 {
		for _, file := range a.files {
			syscall.Close(file.fd)
		}
	}
}

// containerFrom makes a container of a message, or says why it is refused. It takes the descriptors over.
func containerFrom(text []byte, fds []int) (*Container, error) {
	message, err := readJSON(text)
	var its *told
	if err == nil {
		its, err = toldBy(message)
	}
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	return containerTold(its, fds, false)
}

// containerTold takes descriptors over. Those that are not kept are closed.
func containerTold(its *told, fds []int, handedOver bool) (*Container, error) {
	if len(its.Fds) != len(fds) {
		closeAll(fds)
		return nil, fmt.Errorf("its message names %d descriptors, and %d came", len(its.Fds), len(fds))
	}
	known := &about{told: its, handedOver: handedOver}
	var listeners []int
	for i, name := range its.Fds {
		if name == listenerName {
			listeners = append(listeners, fds[i])
		} else {
			known.files = append(known.files, namedFd{name, fds[i]})
		}
	}
	if len(listeners) != 1 {
		closeAll(fds)
		return nil, fmt.Errorf("not one descriptor of its is `%s`", listenerName)
	}
	known.users.Store(1)
	defer known.release()
	listener, err := sentListener(listeners[0])
	if err != nil {
		return nil, fmt.Errorf("its `%s` is no seccomp listener", listenerName)
	}
	return newContainer(known, listener), nil
}

// newContainer is one whose listener has just come.
func newContainer(known *about, listener *Listener) *Container {
	known.users.Add(2)
	listener.shared.origin = known
	its := known.told
	c := &Container{
		ID:          its.State.ID,
		Bundle:      its.State.Bundle,
		Status:      its.State.Status,
		Metadata:    its.Metadata,
		Version:     its.Version,
		Annotations: map[string]string{},
		Pid:         its.Pid,
		InitPid:     its.State.Pid,
		HandedOver:  known.handedOver,
		listener:    listener,
		about:       known,
	}
	for key, value := range its.State.Annotations {
		c.Annotations[key] = value
	}
	runtime.SetFinalizer(c, (*Container).Close)
	return c
}

// sentListener asks the kernel what it calls the file, where there is a /proc to ask, before it asks anything else: a
// file of somebody's own file system could make anything else last. It takes the descriptor over.
func sentListener(fd int) (*Listener, error) {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err == nil && name != "anon_inode:seccomp notify" {
		syscall.Close(fd)
		return nil, errors.New(name)
	}
	return owned(fd)
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

// TakeListener gives the container's listener, which is the caller's from then on. It fails with [ErrInvalidArgument]
// when it was taken before.
func (c *Container) TakeListener() (*Listener, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return nil, errContainerClosed
	}
	listener := c.listener
	if listener == nil {
		return nil, invalid("the container's listener was taken before")
	}
	c.listener = nil
	return listener, nil
}

// File gives a duplicate of a descriptor that came with the listener, by its name, or nil if there is none. The runtimes
// of today send no other.
func (c *Container) File(name string) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return nil, errContainerClosed
	}
	for _, file := range c.about.files {
		if file.name == name {
			fd, errno := duplicate(file.fd)
			if errno != 0 {
				return nil, system(errno, "duplicate the descriptor")
			}
			return os.NewFile(uintptr(fd), name), nil
		}
	}
	return nil, nil
}

// Close frees the container, and its listener if nobody took it: its notifying calls then fail with ENOSYS.
func (c *Container) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return errContainerClosed
	}
	c.isClosed = true
	runtime.SetFinalizer(c, nil)
	if c.listener != nil {
		c.listener.Close()
	}
	c.about.release()
	return nil
}

var errContainerClosed = fmt.Errorf("unotify: the container is closed: %w", os.ErrClosed)
