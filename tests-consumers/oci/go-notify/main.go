// Go-notify is the agent of tests-consumers/oci/go_notify.rs, built without cgo: a goroutine for each container. It mounts
// nothing, and lets containers make all directories but those whose name ends in "no".
//
//	go-notify SOCKET
//
// It says on its standard output which containers come and go. SIGTERM ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	unotify "libunotify/go/notify"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go-notify SOCKET")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	agent, err := unotify.NewAgent(os.Args[1], &unotify.AgentOptions{Log: func(why string) { log.Print(why) }})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()
	var serving sync.WaitGroup
	for {
		box, err := agent.Accept(ctx)
		if errors.Is(err, context.Canceled) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println("+", box.ID, box.Status, box.Pid, box.InitPid, box.Bundle, box.Metadata)
		serving.Add(1)
		go func() {
			defer serving.Done()
			serve(ctx, box)
			fmt.Println("-", box.ID)
		}()
	}
	serving.Wait()
	fmt.Println("end")
}

// serve answers a container until its last process has ended.
func serve(ctx context.Context, box *unotify.Container) {
	defer box.Close()
	listener, err := box.TakeListener()
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	var call unotify.Notification
	for {
		err := listener.ReceiveInto(ctx, &call)
		if errors.Is(err, unotify.ErrClosed) || errors.Is(err, context.Canceled) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := answer(&call); err != nil && !errors.Is(err, unotify.ErrGone) {
			log.Fatal(err)
		}
	}
}

func answer(call *unotify.Notification) error {
	request := call.Request()
	path := request.Args[0]
	switch request.Syscall {
	case syscall.SYS_MOUNT:
		return call.ReplyError(syscall.EBUSY)
	case syscall.SYS_MKDIRAT:
		path = request.Args[1]
	}
	// Not to protect anything: the container may change what this has read.
	if name, err := call.ReadString(path, 4096); err == nil && strings.HasSuffix(name, "no") {
		return call.ReplyError(syscall.EPERM)
	}
	return call.ReplyContinue()
}
