package unotify

// #include "shim.h"
import "C"

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

var errContainerClosed = closedError("container")

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
	listener, err := listenerOf(C.shim_container_take_listener(c.c))
	if err == nil {
		listener.isContainers = true
	}
	return listener, err
}

// File gives a duplicate of a descriptor that came with the listener, by its name, or nil if there is none. The runtimes
// of today send no other.
func (c *Container) File(name string) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c == nil {
		return nil, errContainerClosed
	}
	if strings.IndexByte(name, 0) >= 0 {
		return nil, nil // What C takes for the end.
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
