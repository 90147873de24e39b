// libunotify from Go. The listener is descriptor 3.
//
//	go receive      ReceiveInto and ReplyValue in a loop
//	go supervise    a supervisor with a handler
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	unotify "libunotify/go"
)

func main() {
	listener, err := unotify.ListenerFromFd(3)
	if err == nil && len(os.Args) == 2 && os.Args[1] == "supervise" {
		err = supervise(listener)
	} else if err == nil {
		err = receive(listener)
	}
	if err != nil && !errors.Is(err, unotify.ErrClosed) {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
}

func receive(listener *unotify.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var n unotify.Notification
	for {
		if err := listener.ReceiveInto(ctx, &n); err != nil {
			return err
		}
		_ = n.ReplyValue(1) // It may have been killed.
	}
}

func supervise(listener *unotify.Listener) error {
	var s unotify.Supervisor
	err := s.On("getppid", func(*unotify.Notification) unotify.Verdict { return unotify.Value(1) })
	if err == nil {
		err = s.AddListener(listener, nil)
	}
	if err == nil {
		err = s.Run(context.Background())
	}
	return err
}
