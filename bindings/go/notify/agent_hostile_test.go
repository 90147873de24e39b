package notify_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

// A room is an agent with a target to have a listener of, and something that is none.
type hostileRoom struct {
	*place
	target         *program
	listener, null int
	before         int // descriptors
}

func newRoom(t testing.TB, options unotify.AgentOptions) *hostileRoom {
	t.Helper()
	r := &hostileRoom{place: newPlace(t, options), target: start(t, "line")}
	null, err := os.Open("/dev/null")
	must(t, err)
	t.Cleanup(func() { null.Close() })
	r.listener, r.null = r.target.listener.Fd(), int(null.Fd())
	r.nothingComes()
	r.isUnharmed() // Which also has all there that comes with the first.
	r.before = descriptors(t)
	return r
}

// isUnharmed fails unless the agent takes a container.
func (r *hostileRoom) isUnharmed() {
	r.t.Helper()
	conn := r.begin("box", r.target.listener)
	box := r.accept()
	if box.ID != "box" {
		r.t.Error(box.ID)
	}
	must(r.t, box.Close())
	must(r.t, conn.Close())
}

// check fails unless the agent is as it was, and nothing is left of what came.
func (r *hostileRoom) check() {
	r.t.Helper()
	r.isUnharmed()
	leavesNothing(r.t, r.before)
}

// refuses fails unless a peer that sends this is refused for this reason.
func (r *hostileRoom) refuses(reason, text string, fds ...int) {
	r.t.Helper()
	conn := r.connect()
	must(r.t, send(conn, text, fds...))
	if said := r.refused(conn); !strings.HasPrefix(said, reason) {
		r.t.Errorf("%q instead of %q", said, reason)
	}
	must(r.t, conn.Close())
}

func TestPeersThatSendTheWrongDescriptorsAreRefused(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	named := func(names string) string { return strings.Replace(state("box"), `"seccompFd"`, names, 1) }
	const none = "its message names %d descriptors, and %d came"
	const notOne = "not one descriptor of its is `seccompFd`"
	r.refuses(fmt.Sprintf(none, 1, 0), state("box"))
	r.refuses(fmt.Sprintf(none, 1, 2), state("box"), r.listener, r.null)
	r.refuses(fmt.Sprintf(none, 3, 1), named(`"one","two","seccompFd"`), r.listener)
	r.refuses(fmt.Sprintf(none, 0, 1), named(""), r.listener)
	r.refuses(notOne, named(`"seccompFd","seccompFd"`), r.listener, r.listener)
	r.refuses(notOne, named(`"other"`), r.listener)
	r.refuses("its `seccompFd` is no seccomp listener", state("box"), r.null)
	r.refuses("its `seccompFd` is no seccomp listener", named(`"other","seccompFd"`), r.listener, r.null)
	many := make([]int, 253)
	for i := range many {
		many[i] = r.null
	}
	r.refuses("it sent more than 16 descriptors", "{", many[:17]...)
	r.refuses("it sent more than 16 descriptors", "{", many...)
	r.check()
}

func TestPeersWhoseMessageIsNoJSONAreRefused(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	const noJSON, noObject = "its message is no JSON: ", "its message is no JSON object: "
	whole := state("box")
	for _, one := range []struct{ text, reason string }{
		{`{"fds":[,]}`, noJSON},
		{`{"fds":[}`, noObject + "its brackets do not match"},
		{"[]", noObject + "it does not begin with a brace"},
		{"\ufeff{}", noObject + "it does not begin with a brace"},
		{strings.Replace(whole, "box", "b\xffx", 1), noJSON},
		{strings.Replace(whole, "box", "b\nx", 1), noJSON},
		{strings.Replace(whole, "box", `\ud800`, 1), noJSON},
		{strings.Replace(whole, "box", `\udc00\ud800`, 1), noJSON},
		{strings.Replace(whole, "4711", "1e999", 1), noJSON},
		{strings.Replace(whole, "box", `b\u0000x`, 1), "its `id` has a NUL in it"},
		{`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", noObject + "it is nested too deep"},
		{whole + whole, "more follows its message"},
	} {
		r.refuses(one.reason, one.text, r.listener)
	}
	r.check()
}

func TestPeersWhoseMessageSaysSomethingElseAreRefused(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	whole := state("box")
	for _, one := range []struct{ from, to, reason string }{
		{`"state":`, `"State":`, "its message has no `state`"},
		{`"id":"box",`, ``, "its `state` has no `id`"},
		{`"id":"box"`, `"id":7`, "its `id` is no text"},
		{`"pid":4711`, `"pid":"4711"`, "its `pid` is no process id"},
		{`"pid":4711`, `"pid":-1`, "its `pid` is no process id"},
		{`"pid":4711`, `"pid":-0`, "its `pid` is no process id"},
		{`"pid":4711`, `"pid":1.0`, "its `pid` is no process id"},
		{`"pid":4712`, `"pid":2147483648`, "its `pid` is no process id"},
		{`"pid":4712`, `"pid":1e9`, "its `pid` is no process id"},
		{`["seccompFd"]`, `"seccompFd"`, "its `fds` is no list"},
		{`["seccompFd"]`, `null`, "its `fds` is no list"},
		{`["seccompFd"]`, `[0]`, "its `fds` has no names"},
		{`"fds":["seccompFd"],`, ``, "its message names no descriptors (`fds`)"},
		{`"a":"1"`, `"a":1`, "one of its annotations is no text"},
		{`"a":"1"`, `"\u0000":"1"`, "its `annotations` has a NUL in it"},
		{`{"a":"1","b":"2"}`, `7`, "its `annotations` is no object"},
	} {
		text := strings.Replace(whole, one.from, one.to, 1)
		if text == whole {
			t.Fatal(one.from)
		}
		r.refuses(one.reason, text, r.listener)
	}
	r.check()
}

func TestAPeerThatHangsUpInTheMiddleIsRefused(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	conn := r.connect()
	must(t, send(conn, `{"fds":`, r.listener))
	must(t, conn.CloseWrite())
	if said := r.refused(conn); said != "it hung up before its message was complete" {
		t.Error(said)
	}
	must(t, conn.Close())
	r.check()
}

func TestASlowPeerIsRefusedWhenItsTimeIsUp(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{TimeLimit: 300 * time.Millisecond})
	conn := r.connect()
	must(t, send(conn, "{", r.listener))
	go func(conn *net.UnixConn) { // Another is in its place below.
		for send(conn, " ") == nil {
			time.Sleep(20 * time.Millisecond)
		}
	}(conn)
	began := time.Now()
	if said := r.refused(conn); said != "its message took longer than 300ms" {
		t.Error(said)
	}
	within(t, began)
	must(t, conn.Close())
	// And one that says nothing at all.
	silent := r.connect()
	if said := r.refused(silent); said != "its message took longer than 300ms" {
		t.Error(said)
	}
	must(t, silent.Close())
	r.check()
}

func TestAPeerThatSendsMegabytesIsRefused(t *testing.T) {
	for limit, options := range map[int]unotify.AgentOptions{1 << 20: {}, 4096: {MaxMessage: 4096}} {
		// A message as long as that is taken.
		r := newRoom(t, options)
		text := state("box")
		conn := r.connect()
		sent := make(chan error)
		go func() {
			padding := strings.Repeat(" ", limit-len(text))
			sent <- send(conn, "{"+padding+text[1:], r.listener)
		}()
		must(t, r.accept().Close())
		must(t, <-sent)
		must(t, conn.Close())
		// Without an end.
		conn = r.connect()
		go func() {
			for err := send(conn, `{"`); err == nil; {
				_, err = conn.Write(make([]byte, 4096))
			}
		}()
		if said := r.refused(conn); said != fmt.Sprintf("its message is longer than %d bytes", limit) {
			t.Error(said)
		}
		must(t, conn.Close())
		r.check()
	}
}

func TestAPeerOfAnotherUserIsRefused(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	agent := newPlace(t, unotify.AgentOptions{Users: []uint32{12345}})
	conn := agent.connect()
	if said := agent.refused(conn); said != "it is not listened to" {
		t.Error(said)
	}
	must(t, conn.Close())
	must(t, agent.Close())
	r.check()
}

func TestWhoIsListenedToCanBeChosen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	for _, one := range []struct {
		users  []uint32
		reason string
	}{
		{nil, "it is not listened to"},
		{[]uint32{7, 65534}, "it hung up before its message was complete"},
	} {
		p := newPlace(t, unotify.AgentOptions{Mode: 0o666, Users: one.users})
		knocked := make(chan error)
		go func() { knocked <- knockAsNobody(p.path) }()
		must(t, <-knocked)
		var said []string
		for began := time.Now(); len(said) == 0 && time.Since(began) < target.Patience/2; {
			p.nothingComes()
			said = p.said()
		}
		expected := fmt.Sprintf("refused a connection of process %d, user 65534: %s", os.Getpid(), one.reason)
		if len(said) != 1 || said[0] != expected {
			t.Errorf("%q instead of %q", said, expected)
		}
	}
}

// knockAsNobody begins to say something to a Unix socket as another user. The thread is that user from then on, and ends
// with its goroutine.
func knockAsNobody(path string) error {
	runtime.LockOSThread()
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, 65534, same); errno != 0 {
		return errno
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	_, err = syscall.Write(fd, []byte("{"))
	return err
}

func TestTheOldestOfTooManyThatWaitIsRefused(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	var silent []*net.UnixConn
	for i := 0; i < 300; i++ {
		silent = append(silent, r.connect())
	}
	for count := 0; count < 300-256; {
		r.nothingComes()
		for _, one := range r.said() {
			if count++; !strings.HasSuffix(one, ": so many came after it") {
				t.Error(one)
			}
		}
	}
	r.nothingComes()
	if said := r.said(); len(said) > 0 {
		t.Error(said)
	}
	untilClosed(t, silent[0])
	for _, conn := range silent {
		must(t, conn.Close())
	}
	r.nothingComes()
	r.check()
}

// A descriptor for which there is no number would be lost with its container.
func TestWhereThereIsNoDescriptorLeftAContainerWaits(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	conn := r.begin("box", r.target.listener)
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 200, Max: before.Max}))
	var spare []int
	for {
		fd, err := syscall.Dup(r.null)
		if err != nil {
			break
		}
		spare = append(spare, fd)
	}
	must(t, syscall.Close(spare[0])) // for the connection
	later(func() {
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
		for _, fd := range spare[1:] {
			syscall.Close(fd)
		}
	})
	box := r.accept()
	if box.ID != "box" {
		t.Error(box.ID)
	}
	must(t, box.Close())
	must(t, conn.Close())
	if said := r.said(); len(said) > 0 {
		t.Error(said)
	}
	r.check()
}

func TestTenThousandOfAllKindsLeaveNothing(t *testing.T) {
	r := newRoom(t, unotify.AgentOptions{})
	whole := state("box")
	kinds := []struct {
		text string
		fds  []int
	}{
		{"", nil},
		{"{", []int{r.null}},
		{"[", []int{r.listener}},
		{"{}", []int{r.listener}},
		{`{"fds":}`, []int{r.listener}},
		{whole, nil},
		{whole, []int{r.null}},
		{whole, []int{r.listener, r.null}},
		{"\xff", []int{r.null, r.null, r.listener}},
		{whole[:100], []int{r.listener}},
	}
	const each = 10
	rounds := target.Fewer(100)
	refused := 0
	for i := 1; i <= rounds; i++ {
		for j := 0; j < each*len(kinds); j++ {
			kind := kinds[j%len(kinds)]
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.path, Net: "unix"})
			must(t, err)
			if kind.text != "" {
				must(t, send(conn, kind.text, kind.fds...))
			}
			must(t, conn.Close())
		}
		// All but those who hung up without a word.
		for began := time.Now(); refused < i*each*(len(kinds)-1); refused += len(r.said()) {
			r.nothingComes()
			if time.Since(began) > target.Patience/4 {
				t.Fatalf("%d were refused", refused)
			}
		}
	}
	r.check()
}
