// Peer: libseccomp's Go binding, receiving and responding in a loop. The listener is descriptor 3.
package main

import (
	"fmt"
	"os"

	seccomp "github.com/seccomp/libseccomp-golang"
)

const listener = seccomp.ScmpFd(3)

func main() {
	if api, err := seccomp.GetAPI(); err != nil || api < 6 {
		fmt.Fprintln(os.Stderr, "go: no user notification")
		os.Exit(1)
	}
	for {
		request, err := seccomp.NotifReceive(listener)
		if err != nil {
			return
		}
		_ = seccomp.NotifRespond(listener, &seccomp.ScmpNotifResp{ID: request.ID, Val: 1})
	}
}
