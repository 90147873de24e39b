package unotify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

// place is an agent and its socket.
type place struct {
	*unotify.Agent
	t    testing.TB
	path string
}

func startAgent(t testing.TB, options *unotify.AgentOptions) *place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.sock")
	agent, err := unotify.NewAgent(path, options)
	must(t, err)
	t.Cleanup(func() { agent.Close() })
	return &place{agent, t, path}
}

// state is what a runtime sends of a container.
func state(id string) string {
	return fmt.Sprintf(`{"ociVersion":"1.0.2","fds":["null","seccompFd"],"pid":12,"metadata":"meta",`+
		`"state":{"ociVersion":"1.0.2","id":%q,"status":"running","pid":11,"bundle":"/bundle",`+
		`"annotations":{"one":"1","two":"2"}}}`, id)
}

// send does what a runtime does, which keeps the connection for a while.
func (p *place) send(state string, fds ...int) *net.UnixConn {
	p.t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.path})
	must(p.t, err)
	p.t.Cleanup(func() { conn.Close() })
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	_, _, err = conn.WriteMsgUnix([]byte(state), rights, nil)
	must(p.t, err)
	return conn
}

// begin starts a target as a container of that name.
func (p *place) begin(id string) *target {
	p.t.Helper()
	it := start(p.t)
	null, err := os.Open("/dev/null")
	must(p.t, err)
	defer null.Close()
	p.send(state(id), int(null.Fd()), it.Listener.Fd())
	it.Listener.Close()
	return it
}

func (p *place) accept() *unotify.Container {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	container, err := p.Accept(ctx)
	must(p.t, err)
	return container
}

func TestAContainerIsWhatItsRuntimeSays(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	it := p.begin("box")
	box := p.accept()
	if box.ID != "box" || box.Bundle != "/bundle" || box.Status != "running" || box.Metadata != "meta" ||
		box.Version != "1.0.2" || box.Pid != 12 || box.InitPid != 11 || box.HandedOver ||
		len(box.Annotations) != 2 || box.Annotations["two"] != "2" {
		t.Errorf("%+v", box)
	}
	file, err := box.File("null")
	must(t, err)
	if file == nil || file.Close() != nil {
		t.Error("its other descriptor is missing")
	}
	if file, err := box.File("other"); file != nil || err != nil {
		t.Error(file, err)
	}
	listener, err := box.TakeListener()
	must(t, err)
	defer listener.Close()
	_, err = box.TakeListener()
	wantError(t, err, unotify.ErrInvalidArgument)
	it.getppid(1)
	must(t, receive(t, listener).ReplyValue(77))
	if value, _ := it.result(); value != 77 {
		t.Error(value)
	}
	must(t, box.Close())
	wantError(t, box.Close(), os.ErrClosed)
	_, err = box.TakeListener()
	wantError(t, err, os.ErrClosed)
	_, err = box.File("null")
	wantError(t, err, os.ErrClosed)
}

func TestTheSocketIsTheAgents(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, &unotify.AgentOptions{Mode: 0o620})
	found, err := os.Stat(p.path)
	must(t, err)
	if found.Mode().Perm() != 0o620 {
		t.Error(found.Mode())
	}
	_, err = unotify.NewAgent(p.path, nil)
	wantError(t, err, unotify.ErrBusy)
	must(t, p.Close())
	if _, err := os.Stat(p.path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if p.Fd() != -1 {
		t.Error("it has a descriptor")
	}
	wantError(t, p.Close(), os.ErrClosed)
	_, err = p.Accept(background)
	wantError(t, err, os.ErrClosed)
}

func TestAnAgentTakesASocketThatListens(t *testing.T) {
	guard(t, patience)
	path := filepath.Join(t.TempDir(), "agent.sock")
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	defer socket.Close()
	agent, err := unotify.AgentFromListener(socket, nil)
	must(t, err)
	p := &place{agent, t, path}
	p.begin("box")
	must(t, p.accept().Close())
	must(t, p.Close())
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	_, err = unotify.AgentFromEnvironment(nil) // Nobody has passed one.
	wantError(t, err, unotify.ErrInvalidArgument)
}

func TestBadOptionsOfAnAgentAreRefused(t *testing.T) {
	for _, options := range []unotify.AgentOptions{
		{MaxFds: -1}, {MaxFds: 1000}, {MaxMessage: -1}, {TimeLimit: -1}, {Users: []uint32{}}, {Mode: 0o10000},
	} {
		options := options
		if agent, err := unotify.NewAgent(filepath.Join(t.TempDir(), "s"), &options); err == nil {
			agent.Close()
			t.Errorf("%+v is taken", options)
		}
	}
}

func TestAcceptEndsWithItsContextAndWithTheAgent(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error)
	for i := 0; i < 2; i++ { // Of which one waits for the other.
		go func() {
			_, err := p.Accept(ctx)
			ended <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	wantError(t, <-ended, context.Canceled)
	wantError(t, <-ended, context.Canceled)
	go func() {
		_, err := p.Accept(background)
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	must(t, p.Close())
	wantError(t, <-ended, os.ErrClosed)
}

func TestWhoIsRefusedIsLoggedAndDelaysNobody(t *testing.T) {
	guard(t, patience)
	var mu sync.Mutex
	var said []string
	p := startAgent(t, &unotify.AgentOptions{
		MaxMessage: 4096, TimeLimit: 200 * time.Millisecond,
		Log: func(why string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, why)
		},
	})
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	fd := int(null.Fd())
	it := start(t)
	before := descriptors(t)
	conns := []*net.UnixConn{
		p.send("no JSON", fd), p.send(state("box")), p.send(state("box"), fd), p.send(state("box"), fd, fd),
		p.send(state("box"), fd, fd, fd), p.send("{}", fd), p.send("{\"\xff\":1}", fd),
		p.send(`{"a":"`+strings.Repeat("x", 5000), fd), p.send(`{"fds":`, fd),
	}
	p.send(state("good"), fd, it.Listener.Fd())
	container := p.accept()
	if container.ID != "good" {
		t.Error(container.ID)
	}
	must(t, container.Close())
	ctx, cancel := context.WithTimeout(background, 500*time.Millisecond*slowness())
	defer cancel()
	_, err = p.Accept(ctx)
	wantError(t, err, context.DeadlineExceeded)
	mu.Lock()
	defer mu.Unlock()
	if len(said) != len(conns) {
		t.Errorf("%d were refused: %q", len(said), said)
	}
	for _, conn := range conns {
		conn.Close()
	}
	eventually(t, "nothing of them is left", func() bool { return descriptors(t) <= before+1 })
}

func TestAPanicOfLogIsWhoAcceptsTo(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, &unotify.AgentOptions{Log: func(why string) { panic(why) }})
	accept := func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		p.Accept(background)
	}
	p.send("no JSON").Close()
	accept()
	p.begin("box") // And the agent lives on.
	must(t, p.accept().Close())
	// A container that came with it is let go of.
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	it := start(t)
	p.send("no JSON").Close()
	p.send(state("lost"), int(null.Fd()), it.Listener.Fd())
	it.Listener.Close()
	time.Sleep(20 * time.Millisecond)
	accept()
	ctx, cancel := context.WithTimeout(background, 100*time.Millisecond)
	defer cancel()
	if container, err := p.Accept(ctx); err == nil { // It did not come with it.
		must(t, container.Close())
	}
	it.getppid(1)
	if _, errno := it.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
}

func TestServingContainers(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	s := &unotify.Supervisor{KeepRunning: true, MaxWorkers: 2}
	defer s.Close()
	must(t, s.On("getppid", func(n *unotify.Notification) unotify.Verdict {
		return unotify.Value(int64(len(unotify.ContainerOf(n).ID)))
	}))
	ctx, cancel := context.WithCancel(background)
	ended, left := make(chan error), make(chan string, 3)
	serve := func(ctx context.Context) {
		ended <- p.Serve(ctx, s, func(c *unotify.Container) error {
			if c.ID == "unwanted" {
				return errors.New("no")
			}
			return nil
		}, func(c *unotify.Container) { left <- c.ID })
	}
	go serve(ctx)
	answers := func(it *target, want int64, errno syscall.Errno) {
		t.Helper()
		it.getppid(1)
		if value, failed := it.result(); value != want || failed != errno {
			t.Errorf("%d, %v instead of %d, %v", value, failed, want, errno)
		}
	}
	one, three, no := p.begin("1"), p.begin("333"), p.begin("unwanted")
	answers(one, 1, 0)
	answers(three, 3, 0)
	answers(no, -1, syscall.ENOSYS)
	one.in.Close()
	if id := <-left; id != "1" {
		t.Error(id)
	}
	cancel()
	wantError(t, <-ended, context.Canceled)
	// What is left is the supervisor's, and served the next time.
	ctx, cancel = context.WithCancel(background)
	go serve(ctx)
	answers(three, 3, 0)
	cancel()
	wantError(t, <-ended, context.Canceled)
	must(t, s.Close())
	if id := <-left; id != "333" {
		t.Error(id)
	}
	answers(three, -1, syscall.ENOSYS)
}

func TestServingEndsWithTheAgentTheSupervisorAndAPanic(t *testing.T) {
	guard(t, patience)
	wantError(t, startAgent(t, nil).Serve(background, &unotify.Supervisor{}, nil, nil), unotify.ErrInvalidArgument)
	for _, how := range []string{"agent", "supervisor", "panic", "Goexit"} {
		how := how
		p := startAgent(t, nil)
		s := &unotify.Supervisor{KeepRunning: true}
		ended := make(chan any)
		go func() {
			var err error
			defer func() {
				if panicked := recover(); panicked != nil {
					ended <- panicked
				} else {
					ended <- err
				}
			}()
			err = p.Serve(background, s, func(*unotify.Container) error {
				if how == "Goexit" {
					runtime.Goexit()
				}
				panic("whoops")
			}, nil)
		}()
		time.Sleep(20 * time.Millisecond)
		switch how {
		case "agent":
			must(t, p.Close())
			wantError(t, (<-ended).(error), os.ErrClosed)
		case "supervisor":
			s.Stop()
			wantError(t, (<-ended).(error), unotify.ErrStopped)
		case "panic":
			it := p.begin("box")
			if panicked, ok := (<-ended).(*unotify.HandlerPanic); !ok || panicked.Value != "whoops" {
				t.Error(panicked)
			}
			it.getppid(1)
			if _, errno := it.result(); errno != syscall.ENOSYS {
				t.Error(errno)
			}
		case "Goexit":
			p.begin("box")
			wantError(t, (<-ended).(error), unotify.ErrHandler)
		}
		s.Close()
	}
}

func TestConnectionsLeaveNothing(t *testing.T) {
	guard(t, 4*patience)
	p := startAgent(t, &unotify.AgentOptions{Log: func(string) {}})
	done, cancel := context.WithCancel(background)
	cancel()
	leavesNothing(t, func() {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.path})
		must(t, err)
		conn.Write([]byte("no JSON"))
		conn.Close()
		ctx, stop := context.WithTimeout(background, 50*time.Microsecond)
		p.Accept(ctx)
		stop()
		p.Accept(done)
	})
}
