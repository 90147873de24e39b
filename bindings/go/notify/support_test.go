package notify_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
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
	p := &program{ended: make(chan struct{})}
	command := exec.Command("/proc/self/exe", commands...)
	command.Env = target.Environment()
	command.Stdout = &p.output
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var filter unotify.Filter
	filter.Notify(target.Number)
	if p.listener, err = unotify.Start(command, &filter); err != nil {
		t.Fatal(err)
	}
	p.input, p.process = input, command.Process
	go func() {
		_ = command.Wait()
		close(p.ended)
	}()
	watchdog := time.AfterFunc(target.Patience, func() { panic("a test has hung: " + t.Name()) })
	t.Cleanup(func() {
		_ = p.process.Kill()
		<-p.ended
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
