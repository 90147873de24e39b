package unotify

// #include "shim.h"
import "C"

import (
	"context"
	"net"
	"syscall"
)

var errHandedOver = newError(ErrClosed, syscall.EPIPE, "the agent was handed over")

// HandOver gives everything to another process, which calls [TakeOver] at the other end of a connection, a Unix stream
// socket: the agent's socket, so that no runtime is turned away, and the containers, those that these supervisors serve
// and those that nobody has accepted. They wait meanwhile, and none of their calls fails. Containers that are served by
// other means stay here, unless they were [Agent.PutBack].
//
// Accept and Serve may be under way: they wait meanwhile, and end with ErrClosed after success. What handlers have
// received is still answered here, so end this process when Serve or Run have returned and what was deferred is answered.
// Not to be called by Serve's onContainer.
//
// A container leaves this process whole: its [Listener] is closed, and what Serve calls when one has left is called, so
// that what the program keeps of a container is given back. Nothing of that goes along, only what the runtime has said,
// with its descriptors: the rest has to be where the new process finds it.
//
// After an error all is still here, and the containers come again, by Accept or Serve, also if a supervisor served them
// before. It fails with ErrClosed when the other side hangs up or the agent was handed over before, with ErrTimeout when
// it does not answer within the agent's TimeLimit, with ErrPermission when it is a user who is not listened to, and with
// the context's error when that is done first. That shuts the connection down; it remains the caller's to close, and its
// deadlines do not count.
func (a *Agent) HandOver(ctx context.Context, conn *net.UnixConn, supervisors ...*Supervisor) error {
	if !a.users.enter() {
		return errAgentClosed
	}
	defer a.leave()
	defer a.refusals.tell() // Last, as are all calls of the program's functions: they may panic, or accept.
	tell, err := a.handOver(ctx, conn, supervisors)
	for _, left := range tell {
		defer left()
	}
	return err
}

// handOver gives also what is to be called then, for listeners that have left.
func (a *Agent) handOver(ctx context.Context, conn *net.UnixConn, supervisors []*Supervisor) (tell []func(), err error) {
	// Looked at first, so that no container is taken away for nothing.
	if err := isUsable(ctx, conn); err != nil {
		return nil, err
	}
	if err := a.takeTurnFromWhoWaits(ctx); err != nil {
		return nil, err
	}
	defer a.turn.giveBack()
	if a.gone {
		return nil, errHandedOver
	}
	for _, s := range supervisors {
		if s == nil {
			continue
		}
		taken, left := s.takeAll()
		tell = append(tell, left...)
		for _, listener := range taken {
			if failed := a.putBack(listener); failed != nil && !isEnd(failed) {
				err = failed
			}
		}
	}
	if err != nil {
		return tell, err
	}
	err = talk(ctx, conn, func(fd int) error { return failure(C.shim_agent_hand_over(a.c, C.int(fd))) })
	a.gone = err == nil
	return tell, err
}

// PutBack takes the listener of a container back, as if that had just come: Accept and Serve give it again, and
// [Agent.HandOver] takes it along, which is for who serves containers without a supervisor. It is closed here. What was
// received from it is still to be answered here. Not to be called by Serve's onContainer, which it waits for.
//
// It fails with ErrInvalidArgument when the listener is of no container, with os.ErrClosed when it is closed, and with
// ErrClosed when the agent was handed over.
func (a *Agent) PutBack(listener *Listener) error {
	if !a.users.enter() {
		return errAgentClosed
	}
	defer a.leave()
	if listener == nil || !listener.isContainers {
		return newError(ErrInvalidArgument, syscall.EINVAL, "the listener is no container's: it did not come to an agent")
	}
	if err := a.takeTurnFromWhoWaits(context.Background()); err != nil {
		return err
	}
	defer a.turn.giveBack()
	if a.gone {
		return errHandedOver
	}
	return a.putBack(listener)
}

// putBack gives a container's listener to the library, which has no reason to refuse it. It is the caller's turn.
func (a *Agent) putBack(listener *Listener) error {
	c := listener.giveUp()
	if c == nil {
		return errListenerClosed
	}
	err := failure(C.shim_agent_put_back(a.c, c))
	if err != nil {
		C.unotify_listener_free(c)
	}
	return err
}

// TakeOver makes an agent of what another process hands over ([Agent.HandOver]) at the other end of a connection, a Unix
// stream socket, which remains the caller's to close. The containers come again, by Accept or Serve, with HandedOver
// set. The options may be nil; the socket is as it is, whatever the Mode.
//
// It waits for the other side until the TimeLimit has passed (ErrTimeout) or the context is done, which shuts the
// connection down. After an error the other side still has all: ErrClosed when it hangs up, ErrPermission when it is a
// user who is not listened to, ErrInvalidArgument when it is no agent of this version.
func TakeOver(ctx context.Context, conn *net.UnixConn, options *AgentOptions) (*Agent, error) {
	var agent *Agent
	err := talk(ctx, conn, func(fd int) (err error) {
		agent, err = options.make(func(o *cOptions) C.shim_result {
			return C.shim_agent_take_over(C.int(fd), o.mode, o.fds, o.message, o.limit, o.users, o.nUsers, C.uintptr_t(o.log))
		})
		return err
	})
	return agent, err
}

func isUsable(ctx context.Context, conn *net.UnixConn) error {
	if conn == nil {
		return newError(ErrInvalidArgument, syscall.EBADF, "the connection is nil")
	}
	return ctx.Err()
}

// talk has the library talk to another agent, which a context ends by shutting the connection down: what was agreed on
// before counts.
func talk(ctx context.Context, conn *net.UnixConn, exchange func(fd int) error) error {
	if err := isUsable(ctx, conn); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		over, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			select {
			case <-ctx.Done():
				_ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR)
			case <-over:
			}
		}()
		failed = exchange(int(fd))
		close(over)
		<-watched
	})
	switch {
	case err != nil:
		return err
	case failed != nil && ctx.Err() != nil:
		return ctx.Err()
	}
	return failed
}
