package unotify_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

// connection gives both ends of a socket that agents can talk by.
func connection(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	return unixConn(t, ends[0]), unixConn(t, ends[1])
}

// heir is a process that takes an agent over when it is told to, by a line, and says of each container that comes.
type heir struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// takeOver is what an heir does. Its handlers give 1000 and the length of the container's name.
func takeOver() {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	commands := bufio.NewScanner(os.Stdin)
	commands.Scan()
	conn, err := net.FileConn(os.NewFile(3, "connection"))
	check(err)
	agent, err := unotify.TakeOver(background, conn.(*net.UnixConn), nil)
	check(err)
	s := &unotify.Supervisor{KeepRunning: true}
	check(s.On("getppid", func(n *unotify.Notification) unotify.Verdict {
		return unotify.Value(int64(1000 + len(unotify.ContainerOf(n).ID)))
	}))
	go func() {
		commands.Scan()
		agent.Close()
	}()
	err = agent.Serve(background, s, func(c *unotify.Container) error {
		fmt.Println(c.ID, c.HandedOver, c.Metadata, c.Annotations["two"])
		return nil
	}, nil)
	if !errors.Is(err, os.ErrClosed) {
		panic(err)
	}
}

// startHeir starts one at the other end of what it gives.
func startHeir(t *testing.T) (*heir, *net.UnixConn) {
	t.Helper()
	ours, theirs := connection(t)
	file, err := theirs.File()
	must(t, err)
	defer file.Close()
	theirs.Close()
	it := &heir{Cmd: exec.Command("/proc/self/exe")}
	it.Env = append(os.Environ(), targetMode+"=take over")
	it.Stderr = os.Stderr
	it.ExtraFiles = []*os.File{file}
	it.in, err = it.StdinPipe()
	must(t, err)
	out, err := it.StdoutPipe()
	must(t, err)
	it.out = bufio.NewReader(out)
	must(t, it.Start())
	t.Cleanup(func() { it.Process.Kill() })
	return it, ours
}

// serving is an agent that serves, in the background.
type serving struct {
	*place
	s    *unotify.Supervisor
	end  chan error
	left chan string
}

func (p *place) serve(handler unotify.Handler) *serving {
	p.t.Helper()
	it := &serving{p, &unotify.Supervisor{KeepRunning: true, MaxWorkers: 2}, make(chan error, 1), make(chan string, 100)}
	must(p.t, it.s.On("getppid", handler))
	p.t.Cleanup(func() { it.s.Close() })
	go func() { it.end <- it.Serve(background, it.s, nil, func(c *unotify.Container) { it.left <- c.ID }) }()
	return it
}

// answered has a target make its call and looks at what that gives.
func (it *target) answered(want int64) {
	it.t.Helper()
	it.getppid(0)
	it.gets(want)
}

func (it *target) gets(want int64) {
	it.t.Helper()
	if value, errno := it.result(); value != want || errno != 0 {
		it.t.Errorf("%d, %v instead of %d", value, errno, want)
	}
}

func TestAnAgentIsReplacedWhileItsContainersWait(t *testing.T) {
	guard(t, patience)
	next, conn := startHeir(t)
	entered, release := make(chan struct{}), make(chan struct{})
	p := startAgent(t, nil).serve(func(n *unotify.Notification) unotify.Verdict {
		if n.Request().Args[0] == 7 {
			close(entered)
			<-release
		}
		return unotify.Value(int64(len(unotify.ContainerOf(n).ID)))
	})
	one, busy := p.begin("1"), p.begin("busy")
	one.answered(1)
	busy.getppid(7)
	<-entered
	handed := make(chan error)
	go func() { handed <- p.HandOver(background, conn, p.s) }()
	// From here on nobody receives; "busy" is still with its handler.
	if id := <-p.left; id != "1" {
		t.Error(id)
	}
	one.getppid(0)
	three := p.begin("new") // Nor accepts.
	three.getppid(0)
	time.Sleep(20 * time.Millisecond)
	fmt.Fprintln(next.in, "go")
	must(t, <-handed)
	one.gets(1001)
	three.gets(1003)
	close(release)
	busy.gets(4) // Who has received it answers.
	busy.answered(1004)
	wantError(t, <-p.end, unotify.ErrClosed)
	if id := <-p.left; id != "busy" {
		t.Error(id)
	}
	if got := p.s.Stats(); got.Listeners != 0 || got.Fallbacks != 0 {
		t.Errorf("%+v", got)
	}
	// The socket and its name are the next one's.
	must(t, p.Close())
	must(t, p.s.Close())
	four := p.begin("four")
	four.answered(1004)
	fmt.Fprintln(next.in, "end")
	said, err := io.ReadAll(next.out)
	must(t, err)
	must(t, next.Wait())
	for _, line := range []string{"1 true meta 2\n", "busy true meta 2\n", "new false meta 2\n", "four false meta 2\n"} {
		// Who came in the middle may be either's.
		if !strings.Contains(string(said), line) && !strings.HasPrefix(line, "new") {
			t.Errorf("%q is not in %q", line, said)
		}
	}
	if _, err := os.Stat(p.path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAgentsReplaceEachOtherUnderLoad(t *testing.T) {
	guard(t, 4*patience)
	const times, containers = 20, 4
	var answered [times + 1]atomic.Int64
	handler := func(generation int) unotify.Handler {
		return func(n *unotify.Notification) unotify.Verdict {
			answered[generation].Add(1)
			if n.Request().Args[1]%64 == 0 {
				time.Sleep(time.Millisecond)
			}
			return sum(n)
		}
	}
	first := startAgent(t, nil)
	p := first.serve(handler(0))
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	var all sync.WaitGroup
	var over atomic.Bool
	for i := 0; i < containers; i++ {
		all.Add(1)
		id := fmt.Sprint("box", i)
		go func() {
			defer all.Done()
			for !over.Load() { // One container after the other.
				child, err := self(newFilter(t, "getppid"), "threads 2 calls 300").Start()
				must(t, err)
				first.send(state(id), int(null.Fd()), child.Listener.Fd()).Close()
				child.Listener.Close()
				if err := child.Wait(); err != nil {
					t.Error(err)
				}
				child.Close()
			}
		}()
	}
	for generation := 1; generation <= times; generation++ {
		at := generation - 1
		eventually(t, "some calls are answered", func() bool { return answered[at].Load() > 50 })
		ours, theirs := connection(t)
		taken := make(chan *unotify.Agent)
		go func() {
			agent, err := unotify.TakeOver(background, theirs, nil)
			if err != nil {
				t.Error(err)
			}
			taken <- agent
		}()
		must(t, p.HandOver(background, ours, p.s))
		wantError(t, <-p.end, unotify.ErrClosed)
		must(t, p.s.Close())
		must(t, p.Close())
		p = (&place{<-taken, t, first.path}).serve(handler(generation))
	}
	over.Store(true)
	all.Wait()
	must(t, p.Close())
	wantError(t, <-p.end, os.ErrClosed)
}

func TestAHandOverThatFailsLosesNothing(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, &unotify.AgentOptions{TimeLimit: 100 * time.Millisecond * slowness()}).serve(
		func(n *unotify.Notification) unotify.Verdict {
			return unotify.Value(int64(len(unotify.ContainerOf(n).ID)))
		})
	box := p.begin("box")
	box.answered(3)
	done, cancel := context.WithCancel(background)
	cancel()
	for _, failing := range []struct {
		what  string
		ctx   func() context.Context
		conn  func() *net.UnixConn
		want  error
		comes bool // It left the supervisor before, and comes again.
	}{
		{"nobody is there", nil, func() *net.UnixConn {
			ours, theirs := connection(t)
			theirs.Close()
			return ours
		}, unotify.ErrClosed, true},
		{"nobody answers", nil, func() *net.UnixConn {
			ours, _ := connection(t)
			return ours
		}, unotify.ErrTimeout, true},
		{"no agent answers", nil, func() *net.UnixConn {
			ours, theirs := connection(t)
			_, err := theirs.Write([]byte("hello"))
			must(t, err)
			return ours
		}, unotify.ErrInvalidArgument, true},
		{"it ends in the middle", func() context.Context {
			ctx, cancel := context.WithTimeout(background, 10*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}, func() *net.UnixConn {
			ours, _ := connection(t)
			return ours
		}, context.DeadlineExceeded, true},
		{"it has ended", func() context.Context { return done }, func() *net.UnixConn {
			ours, _ := connection(t)
			return ours
		}, context.Canceled, false},
		{"no stream", nil, func() *net.UnixConn {
			ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
			must(t, err)
			unixConn(t, ends[1])
			return unixConn(t, ends[0])
		}, unotify.ErrInvalidArgument, true},
		{"closed", nil, func() *net.UnixConn {
			ours, _ := connection(t)
			ours.Close()
			return ours
		}, net.ErrClosed, true},
		{"nil", nil, func() *net.UnixConn { return nil }, unotify.ErrInvalidArgument, false},
	} {
		ctx := background
		if failing.ctx != nil {
			ctx = failing.ctx()
		}
		err := p.HandOver(ctx, failing.conn(), p.s)
		if !errors.Is(err, failing.want) {
			t.Errorf("%s: %v", failing.what, err)
		}
		box.answered(3) // Serve goes on.
		if failing.comes {
			if id := <-p.left; id != "box" {
				t.Error(id)
			}
		}
		if len(p.left) != 0 || p.s.Stats().Listeners != 1 {
			t.Errorf("%s: it left, or is served twice", failing.what)
		}
	}
}

func TestTakingOverFails(t *testing.T) {
	guard(t, patience)
	limit := &unotify.AgentOptions{TimeLimit: 50 * time.Millisecond}
	take := func(ctx context.Context, conn *net.UnixConn, options *unotify.AgentOptions, want error) {
		t.Helper()
		agent, err := unotify.TakeOver(ctx, conn, options)
		if agent != nil {
			t.Error("there is an agent")
		}
		wantError(t, err, want)
	}
	ours, theirs := connection(t)
	take(background, ours, limit, unotify.ErrTimeout)
	take(background, ours, &unotify.AgentOptions{MaxFds: -1}, unotify.ErrInvalidArgument)
	take(background, ours, &unotify.AgentOptions{Users: []uint32{12345}}, unotify.ErrPermission)
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	take(ctx, ours, nil, context.DeadlineExceeded)
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the connection is not shut down: ", err)
	}
	take(ctx, ours, nil, context.DeadlineExceeded)
	ours, theirs = connection(t)
	_, err := theirs.Write([]byte("{}"))
	must(t, err)
	take(background, ours, nil, unotify.ErrInvalidArgument)
	must(t, theirs.Close())
	take(background, ours, nil, unotify.ErrClosed)
	must(t, ours.Close())
	take(background, ours, nil, net.ErrClosed)
	take(background, nil, nil, unotify.ErrInvalidArgument)
}

func TestWhatWasHandedOverIsNotHereAnyMore(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	box := p.begin("box")
	listener, err := p.accept().TakeListener()
	must(t, err)
	waiting := make(chan error)
	go func() {
		_, err := p.Accept(background)
		waiting <- err
	}()
	ours, theirs := connection(t)
	taken := make(chan *unotify.Agent)
	go func() {
		agent, err := unotify.TakeOver(background, theirs, nil)
		must(t, err)
		taken <- agent
	}()
	must(t, p.HandOver(background, ours))
	next := &place{<-taken, t, p.path}
	defer next.Close()
	wantError(t, <-waiting, unotify.ErrClosed)
	_, err = p.Accept(background)
	wantError(t, err, unotify.ErrClosed)
	wantError(t, p.HandOver(background, ours), unotify.ErrClosed)
	wantError(t, p.PutBack(listener), unotify.ErrClosed)
	// What this process serves by itself stays.
	box.getppid()
	must(t, receive(t, listener).ReplyValue(5))
	box.gets(5)
	must(t, next.PutBack(listener))
	again := next.accept()
	if again.ID != "box" || again.HandedOver {
		t.Errorf("%+v", again)
	}
	must(t, again.Close())
	must(t, p.Close())
	wantError(t, p.HandOver(background, ours), os.ErrClosed)
	wantError(t, p.PutBack(listener), os.ErrClosed)
	if _, err := os.Stat(p.path); err != nil {
		t.Error(err)
	}
}

func TestAListenerThatIsPutBackComesAgain(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	own := start(t)
	wantError(t, p.PutBack(own.Listener), unotify.ErrInvalidArgument)
	wantError(t, p.PutBack(nil), unotify.ErrInvalidArgument)
	if own.Listener.Fd() < 0 {
		t.Error("it is closed")
	}
	box := p.begin("box")
	container := p.accept()
	listener, err := container.TakeListener()
	must(t, err)
	box.getppid()
	received := receive(t, listener)
	ended, accepted := make(chan error), make(chan *unotify.Container)
	go func() {
		_, err := listener.Receive(background)
		ended <- err
	}()
	go func() { accepted <- p.accept() }()
	time.Sleep(20 * time.Millisecond)
	must(t, p.PutBack(listener))
	wantError(t, <-ended, os.ErrClosed)
	wantError(t, p.PutBack(listener), os.ErrClosed)
	must(t, received.ReplyValue(1))
	box.gets(1)
	must(t, received.Close()) // Which keeps the listener open.
	again := <-accepted
	if again.ID != "box" || again.HandedOver {
		t.Errorf("%+v", again)
	}
	file, err := again.File("null")
	must(t, err)
	must(t, file.Close())
	listener, err = again.TakeListener()
	must(t, err)
	box.getppid()
	received = receive(t, listener)
	must(t, received.ReplyValue(2))
	box.gets(2)
	must(t, received.Close())
	must(t, again.Close())
	must(t, container.Close())
	// A supervisor that serves it lets it go.
	s := &unotify.Supervisor{}
	left := make(chan struct{})
	must(t, s.AddListener(listener, func() { close(left) }))
	r := run(t, s, sum)
	box.getppid(1, 2)
	box.gets(3)
	must(t, p.PutBack(listener))
	<-left
	must(t, r.wait())
	must(t, p.accept().Close())
	box.getppid()
	if _, errno := box.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
}

// Several supervisors may serve an agent's containers, and other listeners stay with theirs.
func TestTheContainersOfAllSupervisorsGo(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	var all [3]*unotify.Supervisor
	var targets []*target
	for i := range all {
		all[i] = &unotify.Supervisor{}
		if i == 0 {
			continue
		}
		targets = append(targets, p.begin("box"))
		listener, err := p.accept().TakeListener()
		must(t, err)
		must(t, all[i].AddListener(listener, nil))
	}
	own := start(t)
	r := run(t, all[1], sum, own.Listener)
	ours, theirs := connection(t)
	taken := make(chan *unotify.Agent)
	go func() {
		agent, err := unotify.TakeOver(background, theirs, nil)
		must(t, err)
		taken <- agent
	}()
	must(t, p.HandOver(background, ours, append(all[:], nil, all[1])...))
	next := (&place{<-taken, t, p.path}).serve(func(*unotify.Notification) unotify.Verdict { return unotify.Value(9) })
	for _, it := range targets {
		it.answered(9)
	}
	own.getppid(1, 2)
	own.gets(3)
	own.in.Close()
	must(t, r.wait())
	must(t, next.Close())
	wantError(t, <-next.end, os.ErrClosed)
}

func TestHandingOverLeavesNothing(t *testing.T) {
	guard(t, 8*patience)
	p := startAgent(t, nil)
	it := p.begin("box")
	listener, err := p.accept().TakeListener()
	must(t, err)
	s := &unotify.Supervisor{}
	must(t, s.AddListener(listener, nil))
	taken := make(chan *unotify.Agent)
	leavesNothing(t, func() {
		ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		var conns [2]*net.UnixConn
		for i, end := range ends {
			file := os.NewFile(uintptr(end), "end")
			conn, err := net.FileConn(file)
			must(t, err)
			file.Close()
			conns[i] = conn.(*net.UnixConn)
		}
		go func() {
			agent, err := unotify.TakeOver(background, conns[1], nil)
			must(t, err)
			taken <- agent
		}()
		must(t, p.HandOver(background, conns[0], s))
		must(t, p.Close())
		conns[0].Close()
		conns[1].Close()
		p = &place{<-taken, t, p.path}
		container := p.accept()
		listener, err := container.TakeListener()
		must(t, err)
		must(t, container.Close())
		must(t, s.AddListener(listener, nil))
	})
	must(t, run(t, s, sum).Close()) // Which ends it.
	it.getppid()
	if _, errno := it.result(); errno != syscall.ENOSYS {
		t.Error(errno)
	}
	must(t, p.Close())
}
