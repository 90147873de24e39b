package notify_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

// newStreams gives a pair of stream sockets that are connected to each other.
func newStreams(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "stream")
		end, err := net.FileConn(file)
		must(t, err)
		must(t, file.Close())
		ends[i] = end.(*net.UnixConn)
		t.Cleanup(func() { end.Close() })
	}
	return ends[0], ends[1]
}

// successor is the agent that takes everything over.
func (p *place) successor() *place {
	p.t.Helper()
	ours, theirs := newStreams(p.t)
	next := &place{t: p.t, path: p.path}
	taken := make(chan error)
	go func() {
		var err error
		next.Agent, err = unotify.TakeOver(background, theirs, &unotify.AgentOptions{Log: next.log})
		taken <- err
	}()
	must(p.t, p.HandOver(background, ours))
	must(p.t, <-taken)
	p.t.Cleanup(func() { next.Close() })
	return next
}

func TestTheNextAgentMayHangUpOnceItHasEverything(t *testing.T) {
	for round := 0; round < 200; round++ {
		old := newPlace(t, unotify.AgentOptions{})
		ours, theirs := newStreams(t)
		go func() {
			room := make([]byte, 4096)
			for range []string{"socket", "end"} {
				if _, err := theirs.Read(room); err != nil {
					break
				}
				_, _ = theirs.Write([]byte("k"))
			}
			_ = theirs.Close()
		}()
		must(t, old.HandOver(background, ours))
		must(t, old.Close())
		must(t, ours.Close())
		_ = os.Remove(old.path)
	}
}

func TestTheNextAgentHasTheSocketAndTheContainers(t *testing.T) {
	old := newPlace(t, unotify.AgentOptions{})
	served, fresh := start(t, "call:1", "call:2", "call:3"), start(t, "call:4")
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	text := strings.Replace(state("served"), `"seccompFd"`, `"null","seccompFd"`, 1)
	text = strings.Replace(text, `"1"`, `"`+strings.Repeat(`<\u0001\\ü`, 50_000)+`"`, 1)
	sent := make(chan error)
	go func() {
		conn := old.connect()
		err := send(conn, text, int(null.Fd()), served.listener.Fd())
		served.listener.Close()
		sent <- err
	}()
	box := old.accept()
	must(t, <-sent)
	listener := take(t, box)
	answer(t, listener)
	pending := receive(t, &program{listener: listener}) // which is answered here
	must(t, box.Close())
	must(t, old.PutBack(listener))
	expect(t, old.PutBack(listener), os.ErrClosed)
	old.begin("fresh", fresh.listener)
	must(t, fresh.listener.Close())

	next := old.successor()
	_, err = old.Accept(background)
	expect(t, err, unotify.ErrClosed)
	expect(t, old.HandOver(background, nil), unotify.ErrInvalidArgument)
	must(t, old.Close())
	must(t, pending.ReplyValue(2))

	first := next.accept()
	if first.ID != "served" || !first.HandedOver || first.Pid != 4711 || first.InitPid != 4712 ||
		first.Metadata != "meta ü" || first.Annotations["b"] != "2" || len(first.Annotations["a"]) != 5*50_000 {
		t.Error(first.ID, first.HandedOver, len(first.Annotations["a"]))
	}
	file, err := first.File("null")
	must(t, err)
	must(t, file.Close())
	answer(t, take(t, first))
	says(t, served, "1 0\n2 0\n3 0")
	second := next.accept()
	if second.ID != "fresh" {
		t.Error(second.ID)
	}
	answer(t, take(t, second))
	says(t, fresh, "4 0")

	// The socket is the new one's, and so is its name.
	third := start(t, "call:5")
	next.begin("third", third.listener)
	must(t, third.listener.Close())
	box = next.accept()
	if box.ID != "third" || box.HandedOver {
		t.Error(box.ID, box.HandedOver)
	}
	answer(t, take(t, box))
	says(t, third, "5 0")
	must(t, next.Close())
	if !isGone(next.path) {
		t.Error("its name is not removed")
	}
}

func TestWhatIsPutBackComesAgain(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:1", "call:2")
	expect(t, p.PutBack(it.listener), unotify.ErrInvalidArgument)
	expect(t, p.PutBack(nil), unotify.ErrInvalidArgument)
	p.begin("box", it.listener)
	must(t, it.listener.Close())
	box := p.accept()
	listener := take(t, box)
	answer(t, listener)
	// While somebody waits for a container.
	accepted := make(chan *unotify.Container)
	go func() {
		box, err := p.Accept(background)
		if err != nil {
			t.Error(err)
		}
		accepted <- box
	}()
	time.Sleep(20 * time.Millisecond)
	must(t, p.PutBack(listener))
	again := <-accepted
	if again.ID != "box" || again.HandedOver {
		t.Errorf("%+v", again)
	}
	must(t, box.Close())
	answer(t, take(t, again))
	must(t, again.Close())
	says(t, it, "1 0\n2 0")
}

func TestAcceptsThatAreUnderWayEndWhenTheAgentWasHandedOver(t *testing.T) {
	old := newPlace(t, unotify.AgentOptions{})
	ended := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := old.Accept(background)
			ended <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	old.successor()
	for i := 0; i < 3; i++ {
		expect(t, <-ended, unotify.ErrClosed)
	}
}

func TestWhoIsInTheMiddleOfItsMessageIsWaitedForButNotLong(t *testing.T) {
	old := newPlace(t, unotify.AgentOptions{})
	old.connect()
	slow := old.connect()
	it := start(t, "call:1")
	text := state("box")
	must(t, send(slow, text[:50], it.listener.Fd()))
	must(t, it.listener.Close())
	old.nothingComes()
	began := time.Now()
	time.AfterFunc(200*time.Millisecond, func() { _ = send(slow, text[50:]) })
	next := old.successor()
	within(t, began)
	if said := old.said(); len(said) != 1 || !strings.HasSuffix(said[0], ": the agent was handed over to another one") {
		t.Error(said)
	}
	answer(t, take(t, next.accept()))
	says(t, it, "1 0")
}

func TestWhenTheOtherSideGoesAwayNothingIsLost(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:1", "call:2")
	p.begin("box", it.listener)
	must(t, it.listener.Close())
	listener := take(t, p.accept())
	must(t, p.PutBack(listener))
	before := descriptors(t)
	for messages := 0; messages < 3; messages++ {
		ours, theirs := newStreams(t)
		messages := messages
		go func() {
			defer theirs.Close()
			for i := 0; i < messages; i++ {
				_, _ = theirs.Read(make([]byte, 4096))
				_, _ = theirs.Write([]byte("k"))
			}
		}()
		expect(t, p.HandOver(background, ours), unotify.ErrClosed)
		must(t, ours.Close())
	}
	leavesNothing(t, before)
	box := p.accept()
	if box.ID != "box" || box.HandedOver {
		t.Errorf("%+v", box)
	}
	listener = take(t, box)
	answer(t, listener)
	answer(t, listener)
	says(t, it, "1 0\n2 0")
	other := start(t, "call:3")
	p.begin("other", other.listener)
	must(t, other.listener.Close())
	answer(t, take(t, p.accept()))
	says(t, other, "3 0")
	must(t, p.Close())
	if !isGone(p.path) {
		t.Error("its name is still there")
	}
}

func TestWhoDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{TimeLimit: 100 * time.Millisecond})
	ours, theirs := newStreams(t)
	expect(t, p.HandOver(background, ours), unotify.ErrTimeout)
	_, err := unotify.TakeOver(background, ours, &unotify.AgentOptions{TimeLimit: 100 * time.Millisecond})
	expect(t, err, unotify.ErrTimeout)
	must(t, theirs.Close())

	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	ours, _ = newStreams(t)
	began := time.Now()
	_, err = unotify.TakeOver(ctx, ours, nil)
	expect(t, err, context.DeadlineExceeded)
	within(t, began)
}

func TestWhoIsNoAgentIsFoundOut(t *testing.T) {
	before := 0
	for _, text := range []string{
		`{}`, `[]`, `{"unotify":2,"socket":null}`, `{"unotify":1}`, `{"unotify":1,"socket":7}`, `hello`,
		`{"unotify":1,"socket":{"path":[256],"device":1,"inode":1}}`,
	} {
		ours, theirs := newStreams(t)
		must(t, send(theirs, text, 0, 1))
		_, err := unotify.TakeOver(background, ours, nil)
		expect(t, err, unotify.ErrInvalidArgument)
		must(t, ours.Close())
		must(t, theirs.Close())
		if before == 0 {
			before = descriptors(t)
		}
		leavesNothing(t, before)
	}
	ours, theirs := newStreams(t)
	must(t, theirs.Close())
	_, err := unotify.TakeOver(background, ours, nil)
	expect(t, err, unotify.ErrClosed)
	packets, _ := newPair(t)
	_, err = unotify.TakeOver(background, packets, nil)
	expect(t, err, unotify.ErrInvalidArgument)
	_, err = unotify.TakeOver(background, ours, &unotify.AgentOptions{Users: []uint32{12345}})
	expect(t, err, unotify.ErrPermission)
}

// Agents that replace each other, each a process: the last serves.
func TestAnAgentThatIsReplacedAgainAndAgainLeavesNoCallUnanswered(t *testing.T) {
	const inside = "UNOTIFY_TEST_GENERATION"
	times := 2 + target.Fewer(18)
	if path := os.Getenv(inside); path != "" {
		generation(t, path)
		return
	}
	path := filepath.Join(directory(t), "agent.sock")
	watchdog := time.AfterFunc(2*target.Patience, func() { panic("a test has hung: " + t.Name()) })
	defer watchdog.Stop()
	binary, err := os.Executable()
	must(t, err)
	next := func(from *os.File) (agent *exec.Cmd, tell io.WriteCloser, to *os.File) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		its, to := os.NewFile(uintptr(fds[0]), "to"), os.NewFile(uintptr(fds[1]), "from")
		defer its.Close()
		agent = exec.Command(binary, "-test.run=^"+t.Name()+"$")
		agent.Env = append(os.Environ(), inside+"="+path)
		agent.ExtraFiles = []*os.File{its}
		if from != nil {
			agent.ExtraFiles = append(agent.ExtraFiles, from)
		}
		tell, err = agent.StdinPipe()
		must(t, err)
		said, err := agent.StdoutPipe()
		must(t, err)
		agent.Stderr = os.Stderr
		must(t, agent.Start())
		if from != nil {
			from.Close()
		}
		line, err := bufio.NewReader(said).ReadString('\n')
		if line != "ready\n" {
			t.Fatal(line, err)
		}
		return agent, tell, to
	}
	agent, tell, to := next(nil)
	begin := func(it *program) {
		must(t, send(dial(t, path), state("box"), it.listener.Fd()))
		must(t, it.listener.Close())
	}
	var targets []*program
	for i := 0; i < 8; i++ {
		it := start(t, "until-line")
		begin(it)
		targets = append(targets, it)
	}
	for i := 0; i < times; i++ {
		time.Sleep(30 * time.Millisecond)
		// One more container comes meanwhile, to whichever of the two.
		one := start(t, "call:5")
		begin(one)
		_, err := tell.Write([]byte("hand over\n"))
		must(t, err)
		newer, newTell, newTo := next(to)
		must(t, agent.Wait())
		agent, tell, to = newer, newTell, newTo
		says(t, one, "5 0")
	}
	fewest := 0
	for _, it := range targets {
		_, err := it.input.Write([]byte("\n"))
		must(t, err)
		var right, made int
		_, err = fmt.Sscan(it.said(), &right, &made)
		must(t, err)
		if right != made || made < times {
			t.Errorf("%d of %d calls were answered", right, made)
		}
		if fewest == 0 || made < fewest {
			fewest = made
		}
	}
	t.Logf("%d replacements, and each of %d targets made at least %d calls", times, len(targets), fewest)
	_ = agent.Process.Kill()
	_ = agent.Wait()
	_ = to.Close()
}

// generation is one of them. It serves until it is told to hand over.
func generation(t *testing.T, path string) {
	isHeir := isSocket(4)
	to := inherited(t, 3)
	var agent *unotify.Agent
	var err error
	if isHeir {
		agent, err = unotify.TakeOver(background, inherited(t, 4), nil)
	} else {
		agent, err = unotify.NewAgent(path, nil)
	}
	must(t, err)
	ctx, cancel := context.WithCancel(background)
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		cancel()
	}()
	fmt.Println("ready")
	serving := make(chan struct{}, 1000)
	count := 0
	for {
		box, err := agent.Accept(ctx)
		if errors.Is(err, context.Canceled) {
			break
		}
		must(t, err)
		count++
		go func() {
			defer func() { serving <- struct{}{} }()
			listener, err := box.TakeListener()
			var call unotify.Notification
			for err == nil {
				if err = listener.ReceiveInto(ctx, &call); err == nil {
					err = call.ReplyValue(int64(call.Request().Args[0]))
				}
			}
			if errors.Is(err, context.Canceled) {
				err = agent.PutBack(listener)
			}
			if err != nil && !errors.Is(err, unotify.ErrClosed) {
				t.Error(err)
			}
		}()
	}
	for ; count > 0; count-- {
		<-serving
	}
	must(t, agent.HandOver(background, to))
	must(t, agent.Close())
}

func inherited(t *testing.T, fd int) *net.UnixConn {
	file := os.NewFile(uintptr(fd), "inherited")
	conn, err := net.FileConn(file)
	must(t, err)
	must(t, file.Close())
	return conn.(*net.UnixConn)
}

func isSocket(fd int) bool {
	var found syscall.Stat_t
	return syscall.Fstat(fd, &found) == nil && found.Mode&syscall.S_IFMT == syscall.S_IFSOCK
}
