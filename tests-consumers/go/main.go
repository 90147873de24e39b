// Supervises a program through the installed library with cgo.
package main

/*
#cgo pkg-config: unotify
#include <stdlib.h>
#include <unotify.h>
*/
import "C"

import (
	"fmt"
	"log"
	"syscall"
	"unsafe"
)

const answer = 4242

// What a function returned, as an error: the status is in the sentence, errno is wrapped.
func check(what string, status C.unotify_status, errno error) {
	if status != C.UNOTIFY_OK {
		name := C.GoString(C.unotify_status_name(C.int(status)))
		log.Fatalf("%s: %s: %v", what, name, errno)
	}
}

// A NULL-terminated array of C strings, which lives in C memory until the program ends.
func cStrings(strings ...string) **C.char {
	size := C.size_t(len(strings)+1) * C.size_t(unsafe.Sizeof((*C.char)(nil)))
	array := (**C.char)(C.calloc(1, size))
	for i, s := range strings {
		unsafe.Slice(array, len(strings))[i] = C.CString(s)
	}
	return array
}

func main() {
	var filter *C.unotify_filter
	var child *C.unotify_child
	var listener *C.unotify_listener
	var call *C.unotify_notification
	argv := cStrings("sh", "-c", fmt.Sprintf("test $PPID = %d", answer))

	status, errno := C.unotify_filter_new(C.UNOTIFY_ACTION_ALLOW, &filter)
	check("filter", status, errno)
	status, errno = C.unotify_filter_notify(filter, C.CString("getppid"))
	check("notify", status, errno)
	status, errno = C.unotify_spawn(filter, *argv, argv, nil, nil, &child)
	check("spawn", status, errno)
	status, errno = C.unotify_child_take_listener(child, &listener)
	check("listener", status, errno)

	calls := 0
	for {
		status, errno = C.unotify_listener_receive(listener, -1, &call)
		if status == C.UNOTIFY_ERR_CLOSED {
			break
		}
		check("receive", status, errno)
		if arch := C.unotify_notification_request(call).arch; arch != C.unotify_arch_native() {
			log.Fatalf("a call of architecture %#x", arch)
		}
		status, errno = C.unotify_notification_reply_value(call, answer)
		check("reply", status, errno)
		calls++
	}

	var ended C.int
	status, errno = C.unotify_child_wait(child, -1, &ended)
	check("wait", status, errno)
	if wait := syscall.WaitStatus(ended); wait.ExitStatus() != 0 || calls == 0 {
		log.Fatalf("%d calls, exit status %d", calls, wait.ExitStatus())
	}
	C.unotify_notification_free(call)
	C.unotify_listener_free(listener)
	C.unotify_child_free(child)
	C.unotify_filter_free(filter)
	fmt.Printf("libunotify %s: answered %d calls\n", C.GoString(C.unotify_version()), calls)
}
