// Package both runs tests of package notify on package unotify: scripts/check-go-notify puts them beside this file.
package both_test

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	unotify "libunotify/go"
	"libunotify/go/internal/target"
)

func TestMain(m *testing.M) {
	target.RunIfAsked()
	os.Exit(m.Run())
}

// A program is a target under a filter that notifies target.Number.
type program struct {
	listener *unotify.Listener
	input    io.WriteCloser
	process  *os.Process
	output   bytes.Buffer
	ended    chan struct{} // closed when it has been waited for
}

// start starts a target. When the test ends, so does the target.
func start(t testing.TB, commands ...string) *program {
	t.Helper()
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Close()
	if err := filter.Notify(target.Name); err != nil {
		t.Fatal(err)
	}
	theirs, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	output, theirOutput, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirOutput.Close()
	p := &program{input: input, ended: make(chan struct{})}
	spawn := unotify.Command(filter, "/proc/self/exe", commands...)
	spawn.Env = target.Environment()
	spawn.Stdin, spawn.Stdout, spawn.Stderr = theirs, theirOutput, os.Stderr
	child, err := spawn.Start()
	if err != nil {
		t.Fatal(err)
	}
	p.listener = child.Listener
	if p.process, err = os.FindProcess(child.Pid()); err != nil {
		t.Fatal(err)
	}
	go func() {
		// Before it waits for the end, for which it may open something: tests count what is open.
		_, _ = io.Copy(&p.output, output)
		_ = output.Close()
		_ = child.Wait()
		close(p.ended)
	}()
	watchdog := time.AfterFunc(target.Patience, func() { panic("a test has hung: " + t.Name()) })
	t.Cleanup(func() {
		_ = child.Kill()
		<-p.ended
		_ = child.Close()
		_ = p.input.Close()
		_ = p.listener.Close()
		watchdog.Stop()
	})
	return p
}

// said waits for the target's end and gives what it said.
func (p *program) said() string {
	<-p.ended
	return p.output.String()
}
