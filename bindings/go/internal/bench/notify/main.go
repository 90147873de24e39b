// Receives and answers without cgo, for scripts/bench. The listener is descriptor 3.
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
	var call notify.Notification
	for err == nil {
		if err = listener.ReceiveInto(context.Background(), &call); err == nil {
			// It fails if the target was killed, and then nobody waits for it.
			_ = call.ReplyValue(1)
		}
	}
	if !errors.Is(err, notify.ErrClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
