package unotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"syscall"
	"time"

	unotify "libunotify/go"
)

// A child that believes that its parent is process 1234, and its other calls are its own.
func Example() {
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close()
	if err := filter.Notify("getppid"); err != nil {
		log.Fatal(err)
	}
	program := unotify.Command(filter, "sh", "-c", "echo my parent is $PPID")
	program.Stdout = os.Stdout
	child, err := program.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer child.Close()
	defer child.Listener.Close()

	var call unotify.Notification
	defer call.Close()
	for {
		err := child.Listener.ReceiveInto(context.Background(), &call)
		if errors.Is(err, unotify.ErrClosed) { // All have ended.
			break
		} else if err != nil {
			log.Fatal(err)
		}
		if err := call.ReplyValue(1234); err != nil {
			log.Print(err) // It was killed meanwhile.
		}
	}
	if err := child.Wait(); err != nil {
		log.Fatal(err)
	}
	// Output: my parent is 1234
}

// The same with a handler, which can serve thousands of programs as well.
func ExampleSupervisor() {
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close()
	if err := filter.Notify("getppid"); err != nil {
		log.Fatal(err)
	}

	var supervisor unotify.Supervisor
	defer supervisor.Close()
	err = supervisor.On("getppid", func(call *unotify.Notification) unotify.Verdict {
		return unotify.Value(1234)
	})
	if err != nil {
		log.Fatal(err)
	}

	program := unotify.Command(filter, "sh", "-c", "echo my parent is $PPID")
	var output bytes.Buffer
	program.Stdout = &output
	child, err := program.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer child.Close()
	err = supervisor.AddListener(child.Listener, func() { fmt.Println("it has ended") })
	if err != nil {
		log.Fatal(err)
	}
	if err := supervisor.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(output.String())
	// Output:
	// it has ended
	// my parent is 1234
}

// Opens what a path names to the target, decides on what was opened, and hands that over.
func ExampleNotification_Open() {
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close()
	if err := filter.Notify("openat"); err != nil {
		log.Fatal(err)
	}
	secret, err := os.Stat("/etc/passwd")
	if err != nil {
		log.Fatal(err)
	}

	var supervisor unotify.Supervisor
	defer supervisor.Close()
	err = supervisor.On("openat", func(call *unotify.Notification) unotify.Verdict {
		args := call.Request().Args
		how := unotify.OpenHow{Flags: int(args[2]), Mode: uint32(args[3])}
		file, err := call.Open(int(int32(args[0])), args[1], how)
		var failure *unotify.Error
		if errors.As(err, &failure) {
			return unotify.Errno(failure.Errno)
		}
		defer file.Close()
		if found, err := file.Stat(); err != nil || os.SameFile(found, secret) {
			return unotify.Errno(syscall.EACCES)
		}
		if err := call.ReplyFd(file, how.Flags&syscall.O_CLOEXEC); err != nil {
			return unotify.Errno(syscall.EACCES)
		}
		return unotify.Handled
	})
	if err != nil {
		log.Fatal(err)
	}

	script := `cat /etc/passwd 2>/dev/null || echo no passwords; [ "$(cat /dev/null)" = "" ] && echo but others`
	program := unotify.Command(filter, "sh", "-c", script)
	program.Stdout = os.Stdout
	child, err := program.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer child.Close()
	if err := supervisor.AddListener(child.Listener, nil); err != nil {
		log.Fatal(err)
	}
	if err := supervisor.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// no passwords
	// but others
}

// Waits no longer than a context says.
func ExampleListener_Receive() {
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close()
	if err := filter.Notify("getppid"); err != nil {
		log.Fatal(err)
	}
	child, err := unotify.Command(filter, "sleep", "60").Start()
	if err != nil {
		log.Fatal(err)
	}
	defer child.Close()
	defer child.Listener.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = child.Listener.Receive(ctx)
	fmt.Println(err)
	if err := child.Kill(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(child.Wait())
	// Output:
	// context deadline exceeded
	// signal: killed
}

// What a failure is can be asked in three ways, and it says what is wrong.
func ExampleError() {
	_, err := unotify.SyscallFromName(0, "opanat")
	fmt.Println(errors.Is(err, unotify.ErrUnknownSyscall))

	_, err = unotify.ListenerFromFd(-1)
	fmt.Println(errors.Is(err, syscall.EBADF))

	var failure *unotify.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Status == unotify.ErrInvalidArgument)
	}
	// Output:
	// true
	// true
	// true
}
