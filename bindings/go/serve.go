package unotify

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"syscall"
)

// Serve has a supervisor serve all containers, until the context is done, which is its error, the supervisor ends, or
// the agent was handed over (ErrClosed). It is told of each container first by onContainer, unless that is nil; after an
// error of that the container is closed, and its calls fail with ENOSYS. A handler finds its container by [ContainerOf].
// The supervisor needs KeepRunning. Nobody else accepts while onContainer is at work: of the agent it may call Close
// alone. When it panics, Serve panics with a [HandlerPanic], as when a handler does; its container is closed.
//
// left is called, unless it is nil, as a handler is, once the listener of a container has left the supervisor; then the
// container is closed. After the return the listeners are still the supervisor's, but for those that were handed over:
// the next Run or Serve goes on with them, and its Close closes them.
func (a *Agent) Serve(ctx context.Context, s *Supervisor, onContainer func(*Container) error, left func(*Container)) error {
	if s == nil || !s.KeepRunning {
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
	switch over := ctx.Err(); {
	case over == nil && failed != nil && !errors.Is(failed, context.Canceled):
		return failed
	case over != nil && errors.Is(err, context.Canceled):
		return over // Which may be that its time is up.
	}
	return err
}

func (a *Agent) acceptFor(ctx context.Context, s *Supervisor, onContainer func(*Container) error, left func(*Container)) error {
	for {
		// In its turn, so that the agent is not handed over with a container that is still on its way to the supervisor.
		err := a.accept(ctx, func(container *Container) error { return begin(container, s, onContainer, left) })
		if err != nil {
			return err
		}
	}
}

// begin begins to serve a container.
func begin(container *Container, s *Supervisor, onContainer func(*Container) error, left func(*Container)) error {
	if onContainer != nil {
		var unwanted error
		container.keptBy(func() { unwanted = onContainer(container) })
		if unwanted != nil {
			container.Close()
			return nil
		}
	}
	listener, err := container.TakeListener()
	if errors.Is(err, ErrInvalidArgument) || errors.Is(err, os.ErrClosed) {
		return nil // onContainer has taken it.
	}
	if err != nil {
		container.Close()
		return err
	}
	listener.container.Store(container)
	over := func() {
		listener.container.Store(nil)
		defer container.Close() // Also when left panics.
		if left != nil {
			left(container)
		}
	}
	if err := s.AddListener(listener, over); err != nil { // It is closed.
		listener.Close()
		container.Close()
		return err
	}
	return nil
}

// ContainerOf gives the container that a notification comes from, if [Agent.Serve] serves it, or nil.
func ContainerOf(n *Notification) *Container {
	listener := n.Listener()
	if listener == nil {
		return nil
	}
	return listener.container.Load()
}
