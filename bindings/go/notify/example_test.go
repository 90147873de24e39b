package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"libunotify/go/notify"
)

// A child that believes that its parent is process 1234, and its other calls are its own.
func Example() {
	var filter notify.Filter
	filter.Notify(syscall.SYS_GETPPID)
	cmd := exec.Command("sh", "-c", "echo my parent is $PPID")
	cmd.Stdout = os.Stdout
	listener, err := notify.Start(cmd, &filter)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	var call notify.Notification
	for {
		err := listener.ReceiveInto(context.Background(), &call)
		if errors.Is(err, notify.ErrClosed) {
			break // all have ended
		} else if err != nil {
			log.Fatal(err)
		}
		if err := call.ReplyValue(1234); err != nil {
			log.Print(err) // it was killed meanwhile
		}
	}
	if err := cmd.Wait(); err != nil {
		log.Print(err)
	}
	// Output: my parent is 1234
}

// A receive is given up after some time, and nothing is lost by that.
func ExampleListener_Receive() {
	cmd := exec.Command("sleep", "60")
	listener, err := notify.Start(cmd, &notify.Filter{})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = listener.Receive(ctx)
	fmt.Println(err)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_, err = listener.Receive(context.Background())
	fmt.Println(errors.Is(err, notify.ErrClosed))
	// Output:
	// context deadline exceeded
	// true
}

// What a program opens: the path is read of its memory. To let a call go on is not to allow it.
func ExampleNotification_ReadString() {
	var filter notify.Filter
	filter.Notify(syscall.SYS_OPENAT)
	cmd := exec.Command("cat", "/dev/null")
	listener, err := notify.Start(cmd, &filter)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	for {
		call, err := listener.Receive(context.Background())
		if err != nil {
			break
		}
		path, err := call.ReadString(call.Request().Args[1], 4096)
		if err == nil && path == "/dev/null" {
			fmt.Println(path)
		}
		_ = call.ReplyContinue()
	}
	_ = cmd.Wait()
	// Output: /dev/null
}

// A program asks for a file and gets another one.
func ExampleNotification_ReplyFd() {
	given, err := os.CreateTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(given.Name())
	fmt.Fprintln(given, "something else")
	_, _ = given.Seek(0, 0)

	var filter notify.Filter
	filter.Notify(syscall.SYS_OPENAT)
	cmd := exec.Command("cat", "/dev/null")
	cmd.Stdout = os.Stdout
	listener, err := notify.Start(cmd, &filter)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	for {
		call, err := listener.Receive(context.Background())
		if err != nil {
			break
		}
		path, _ := call.ReadString(call.Request().Args[1], 4096)
		if path == "/dev/null" {
			_ = call.ReplyFd(given, syscall.O_CLOEXEC)
		} else {
			_ = call.ReplyContinue()
		}
	}
	_ = cmd.Wait()
	// Output: something else
}

// An agent serves each container by a goroutine. What is notified is in the profile of the container.
func ExampleAgent() {
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "agent.sock") // the profile's listenerPath
	agent, err := notify.NewAgent(path, &notify.AgentOptions{Log: func(why string) { log.Print(why) }})
	if err != nil {
		log.Fatal(err)
	}
	defer agent.Close()

	serve := func(box *notify.Container) {
		defer box.Close()
		listener, err := box.TakeListener()
		if err != nil {
			log.Fatal(err)
		}
		defer listener.Close()
		var call notify.Notification
		for {
			err := listener.ReceiveInto(context.Background(), &call)
			if err != nil {
				break // notify.ErrClosed: its last process has ended
			}
			fmt.Println("answering", box.ID)
			if err := call.ReplyValue(1234); err != nil {
				log.Print(err) // it was killed meanwhile
			}
		}
		agent.Close() // an agent of machines would go on
	}
	go runContainer(path)
	for {
		box, err := agent.Accept(context.Background())
		if errors.Is(err, os.ErrClosed) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		go serve(box)
	}
	// Output: answering box
}

// runContainer does what runc does.
func runContainer(path string) {
	var filter notify.Filter
	filter.Notify(syscall.SYS_GETPPID)
	cmd := exec.Command("sh", "-c", "test $PPID = 1234")
	listener, err := notify.Start(cmd, &filter)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	state := `{"ociVersion":"1.0.2","fds":["seccompFd"],"pid":1,"state":{"id":"box","status":"creating"}}`
	_, _, err = conn.WriteMsgUnix([]byte(state), syscall.UnixRights(listener.Fd()), nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = listener.Close()
	if err := cmd.Wait(); err != nil {
		log.Print(err)
	}
}

// A listener that somebody sends by other means than a container runtime's.
func ExampleListenerFromConn() {
	runtime, agent := socketPair()
	cmd := exec.Command("sleep", "0")
	listener, err := notify.Start(cmd, &notify.Filter{})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_ = listener.SendTo(runtime)
		_ = listener.Close()
		_ = cmd.Wait()
	}()

	received, err := notify.ListenerFromConn(agent)
	if err != nil {
		log.Fatal(err)
	}
	defer received.Close()
	_, err = received.Receive(context.Background())
	fmt.Println(err)
	// Output: unotify: the last target exited, or the other side hung up
}

func socketPair() (a, b *net.UnixConn) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		end, err := net.FileConn(file)
		if err != nil {
			log.Fatal(err)
		}
		file.Close()
		ends[i] = end.(*net.UnixConn)
	}
	return ends[0], ends[1]
}
