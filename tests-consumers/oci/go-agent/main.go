// Go-agent is the agent of tests-consumers/oci/go_agent.rs: it does for containers what an engine does, and makes
// directories and devices but none that is called "no", nor "later", which is for the agent after it.
//
//	go-agent SOCKET     has a socket of its own
//	go-agent FROM TO    takes over from the other end of descriptor FROM, and with SIGUSR1 hands over to that of TO
//
// It says on its standard output which containers come and go. SIGTERM ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	unotify "libunotify/go"
)

func main() {
	log.SetFlags(0)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	ctx, stop := context.WithCancel(context.Background())
	agent, err := newAgent(ctx, os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	supervisor, err := engine()
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if <-signals == syscall.SIGTERM {
			stop()
			return
		}
		if err := agent.HandOver(ctx, connection(os.Args[2]), supervisor); err != nil {
			log.Fatal(err)
		}
	}()
	err = agent.Serve(ctx, supervisor, tell("+"), func(container *unotify.Container) { _ = tell("-")(container) })
	if !errors.Is(err, context.Canceled) && !errors.Is(err, unotify.ErrClosed) {
		log.Fatal(err)
	}
	supervisor.Close()
	agent.Close()
	fmt.Println("end")
}

func newAgent(ctx context.Context, args []string) (*unotify.Agent, error) {
	options := &unotify.AgentOptions{Log: func(why string) { log.Print("refused: ", why) }}
	switch len(args) {
	case 1:
		return unotify.NewAgent(args[0], options)
	case 2:
		return unotify.TakeOver(ctx, connection(args[0]), options)
	default:
		return nil, errors.New("usage: go-agent SOCKET, or go-agent FROM TO")
	}
}

// connection is one that this process was started with.
func connection(number string) *net.UnixConn {
	fd, err := strconv.Atoi(number)
	if err != nil {
		log.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		log.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

func tell(what string) func(*unotify.Container) error {
	return func(c *unotify.Container) error {
		fmt.Println(what, c.ID, c.Status, c.HandedOver, c.Metadata)
		return nil
	}
}

func engine() (*unotify.Supervisor, error) {
	s := &unotify.Supervisor{KeepRunning: true, MaxWorkers: 4}
	for _, call := range []struct {
		name   string
		at     bool
		device bool
	}{
		{"mkdir", false, false}, {"mkdirat", true, false}, {"mknod", false, true}, {"mknodat", true, true},
	} {
		call := call
		err := s.On(call.name, func(n *unotify.Notification) unotify.Verdict {
			request := n.Request()
			dirfd, args := unotify.AtFdcwd, request.Args[:]
			if call.at {
				dirfd, args = int(int32(args[0])), args[1:]
			}
			return verdict(create(n, dirfd, args, call.device))
		})
		if err != nil {
			return nil, err
		}
	}
	return s, s.On("mount", func(*unotify.Notification) unotify.Verdict { return unotify.Errno(syscall.EBUSY) })
}

func create(n *unotify.Notification, dirfd int, args []uint64, device bool) error {
	directory, name, err := n.OpenParent(dirfd, args[0])
	if err != nil {
		return err
	}
	defer directory.Close()
	switch {
	case name == "no":
		return syscall.EPERM
	case name == "later":
		return syscall.EAGAIN
	case device:
		return n.Mknod(directory, name, uint32(args[1]), args[2])
	default:
		return n.Mkdir(directory, name, uint32(args[1]))
	}
}

// verdict answers with the error number that an error has.
func verdict(err error) unotify.Verdict {
	var errno syscall.Errno
	switch {
	case err == nil:
		return unotify.Value(0)
	case errors.As(err, &errno):
		return unotify.Errno(errno)
	default:
		return unotify.Failed(err)
	}
}
