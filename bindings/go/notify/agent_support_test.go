package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

// A place is an agent, its socket, and what it says of those it refuses.
type place struct {
	*unotify.Agent
	t    testing.TB
	path string
	mu   sync.Mutex
	told []string
}

// directory is one that others than this user may look into, in a short path.
func directory(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("", "agent")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(path) })
	must(t, os.Chmod(path, 0o711))
	return path
}

func newPlace(t testing.TB, options unotify.AgentOptions) *place {
	t.Helper()
	p := &place{t: t, path: filepath.Join(directory(t), "agent.sock")}
	options.Log = p.log
	var err error
	p.Agent, err = unotify.NewAgent(p.path, &options)
	must(t, err)
	watchdog := time.AfterFunc(target.Patience, func() { panic("a test has hung: " + t.Name()) })
	t.Cleanup(func() {
		p.Close()
		watchdog.Stop()
	})
	return p
}

func (p *place) log(refused string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, refused)
}

// said is what was said since the last time.
func (p *place) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.told
	p.told = nil
	return said
}

// state is what a runtime sends of a container.
func state(id string) string {
	return fmt.Sprintf(`{"ociVersion":"1.0.2","fds":["seccompFd"],"pid":4711,"metadata":"meta \u00fc",`+
		`"state":{"ociVersion":"1.0.2-dev","id":"%s","status":"creating","pid":4712,"bundle":"/bundles/box",`+
		`"annotations":{"a":"1","b":"2"}}}`, id)
}

func (p *place) connect() *net.UnixConn { return dial(p.t, p.path) }

func dial(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send sends all of it, with the descriptors beside the first byte.
func send(conn *net.UnixConn, text string, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	count, _, err := conn.WriteMsgUnix([]byte(text), rights, nil)
	if err == nil && count < len(text) {
		_, err = conn.Write([]byte(text[count:]))
	}
	return err
}

// begin sends what a runtime sends of this container, whose connection stays open.
func (p *place) begin(id string, of *unotify.Listener) *net.UnixConn {
	p.t.Helper()
	conn := p.connect()
	must(p.t, send(conn, state(id), of.Fd()))
	return conn
}

// accept gives the next container, which is about to come.
func (p *place) accept() *unotify.Container {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(background, target.Patience/2)
	defer cancel()
	container, err := p.Accept(ctx)
	if err != nil {
		p.t.Fatal(err, p.said())
	}
	p.t.Cleanup(func() { container.Close() })
	return container
}

// nothingComes looks for a moment.
func (p *place) nothingComes() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	container, err := p.Accept(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatal(container, err)
	}
}

// take gives the container's listener.
func take(t testing.TB, container *unotify.Container) *unotify.Listener {
	t.Helper()
	listener, err := container.TakeListener()
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// answer has a call of the target's get its first argument.
func answer(t testing.TB, listener *unotify.Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(background, target.Patience/2)
	defer cancel()
	call, err := listener.Receive(ctx)
	must(t, err)
	defer call.Close()
	must(t, call.ReplyValue(int64(call.Request().Args[0])))
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// leavesNothing waits until there are no more descriptors than there were.
func leavesNothing(t testing.TB, before int) {
	t.Helper()
	for began := time.Now(); descriptors(t) > before; time.Sleep(time.Millisecond) {
		if time.Since(began) > target.Patience/4 {
			t.Fatalf("%d descriptors, then %d", before, descriptors(t))
		}
	}
}

// untilClosed waits until the agent has closed the connection.
func untilClosed(t testing.TB, conn *net.UnixConn) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(target.Patience/2)))
	_, err := conn.Read(make([]byte, 1))
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the agent keeps the connection: ", err)
	}
}

// refused gives the reason why a peer is refused, which is about to happen.
func (p *place) refused(conn *net.UnixConn) string {
	p.t.Helper()
	for began := time.Now(); time.Since(began) < target.Patience/2; {
		p.nothingComes()
		said := p.said()
		if len(said) == 0 {
			continue
		}
		untilClosed(p.t, conn)
		who, reason, _ := strings.Cut(said[0], ": ")
		expected := fmt.Sprintf("refused a connection of process %d, user %d", os.Getpid(), os.Geteuid())
		if len(said) > 1 || who != expected {
			p.t.Fatal(said)
		}
		return reason
	}
	p.t.Fatal("it is not refused")
	return ""
}
