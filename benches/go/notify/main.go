// libunotify's package for Go that does without cgo, receiving and answering in a loop. The listener is descriptor 3.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"libunotify/go/notify"
)

func main() {
	listener, err := notify.ListenerFromFd(3)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var call notify.Notification
	for err == nil {
		if err = listener.ReceiveInto(ctx, &call); err == nil {
			// It fails if the target was killed, and then nobody waits for it.
			_ = call.ReplyValue(1)
		}
	}
	if !errors.Is(err, notify.ErrClosed) {
		fmt.Fprintln(os.Stderr, "notify:", err)
		os.Exit(1)
	}
}
