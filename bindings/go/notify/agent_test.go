package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

func TestAContainerIsWhatItsRuntimeSays(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:7")
	conn := p.begin("box", it.listener)
	must(t, it.listener.Close())
	box := p.accept()
	if box.ID != "box" || box.Bundle != "/bundles/box" || box.Status != "creating" || box.Metadata != "meta ü" ||
		box.Version != "1.0.2" || box.Pid != 4711 || box.InitPid != 4712 || box.HandedOver ||
		len(box.Annotations) != 2 || box.Annotations["b"] != "2" {
		t.Errorf("%+v", box)
	}
	// The runtime keeps the connection open; the agent does not.
	answer(t, take(t, box))
	says(t, it, "7 0")
	untilClosed(t, conn)
	_, err := box.TakeListener()
	expect(t, err, unotify.ErrInvalidArgument)
	must(t, box.Close())
	expect(t, box.Close(), os.ErrClosed)
	_, err = box.TakeListener()
	expect(t, err, os.ErrClosed)
	_, err = box.File("x")
	expect(t, err, os.ErrClosed)
	if box.ID != "box" {
		t.Error("its fields are gone")
	}
}

// As crun says of a process that is started in a container.
func TestWhatARuntimeLeavesOutIsEmptyOrZero(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	conn := p.connect()
	must(t, send(conn, "\n"+`{ "fds": [ "seccompFd" ], "metadata": null, "pid": 0, "other": [1e300, {}],
		"state": { "ociVersion": "1.0", "id": "", "pid": 0, "bundle": ".", "annotations": null } }`+"\n", it.listener.Fd()))
	box := p.accept()
	if box.ID != "" || box.Bundle != "." || box.Status != "" || box.Metadata != "" || box.Version != "1.0" ||
		box.Pid != 0 || box.InitPid != 0 || len(box.Annotations) != 0 {
		t.Errorf("%+v", box)
	}
}

func TestAStateIsTakenHoweverItIsWritten(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	var pretty bytes.Buffer
	must(t, json.Indent(&pretty, []byte(state("box")), "  ", "\t"))
	must(t, send(p.connect(), pretty.String(), it.listener.Fd()))
	if box := p.accept(); box.Annotations["a"] != "1" {
		t.Errorf("%+v", box)
	}
	text := strings.Replace(state(`}{\"\\\u00e4\ud83d\ude00`), `"1"`, `"[\\"`, 1)
	must(t, send(p.connect(), text, it.listener.Fd()))
	if box := p.accept(); box.ID != `}{"\ä😀` || box.Annotations["a"] != `[\` {
		t.Errorf("%+v", box)
	}
}

func TestAStateIsTakenAByteAtATime(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:7")
	conn := p.connect()
	text := state("box")
	for i := range text[:len(text)-1] {
		if i == 50 { // The descriptor comes somewhere in the middle.
			must(t, send(conn, text[i:i+1], it.listener.Fd()))
		} else {
			must(t, send(conn, text[i:i+1]))
		}
		if i%32 == 0 {
			p.nothingComes()
		}
	}
	must(t, it.listener.Close())
	p.nothingComes()
	must(t, send(conn, text[len(text)-1:]))
	answer(t, take(t, p.accept()))
	says(t, it, "7 0")
}

func TestALongStateIsTakenInWhateverPartsItComes(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	for _, size := range []int{3_000, 300_000, 900_000} {
		it := start(t, "call:7")
		conn := p.connect()
		text := strings.Replace(state("box"), `"1"`, `"`+strings.Repeat("x", size)+`"`, 1)
		sent := make(chan error)
		go func() {
			err := send(conn, text, it.listener.Fd()) // with the first part
			it.listener.Close()
			sent <- err
		}()
		box := p.accept()
		if len(box.Annotations["a"]) != size {
			t.Error(len(box.Annotations["a"]))
		}
		must(t, <-sent)
		answer(t, take(t, box))
		says(t, it, "7 0")
	}
}

func TestWhoSendsNothingDelaysNobody(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	for i := 0; i < 20; i++ {
		p.connect()
	}
	must(t, send(p.connect(), `{"fds":`))
	it := start(t, "call:7")
	p.begin("box", it.listener)
	must(t, it.listener.Close())
	began := time.Now()
	answer(t, take(t, p.accept()))
	within(t, began)
	says(t, it, "7 0")
}

func TestWhoHangsUpWithoutAWordIsNothingToSpeakOf(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	must(t, p.connect().Close())
	p.nothingComes()
	if said := p.said(); len(said) != 0 {
		t.Error(said)
	}
}

func TestOtherDescriptorsAreFoundByName(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:7")
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	reads, writes, err := os.Pipe()
	must(t, err)
	defer reads.Close()
	text := strings.Replace(state("box"), `"seccompFd"`, `"null","seccompFd","pipe"`, 1)
	must(t, send(p.connect(), text, int(null.Fd()), it.listener.Fd(), int(writes.Fd())))
	must(t, it.listener.Close())
	must(t, writes.Close())
	box := p.accept()
	for _, name := range []string{"other", "seccompFd"} {
		if file, err := box.File(name); file != nil || err != nil {
			t.Error(name, file, err)
		}
	}
	pipe, err := box.File("pipe")
	must(t, err)
	_, err = pipe.Write([]byte("through it"))
	must(t, err)
	must(t, pipe.Close())
	listener := take(t, box)
	must(t, box.Close())
	answer(t, listener)
	says(t, it, "7 0")
	// They are closed with the second of the two.
	must(t, listener.Close())
	if said, err := io.ReadAll(reads); string(said) != "through it" || err != nil {
		t.Error(string(said), err)
	}
}

func TestManyThatComeAtOnceAreAllTaken(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	for i := 0; i < 300; i++ {
		p.begin(fmt.Sprint(i), it.listener)
	}
	seen := map[string]bool{}
	for i := 0; i < 300; i++ {
		seen[p.accept().ID] = true
	}
	if len(seen) != 300 {
		t.Error(len(seen))
	}
	p.nothingComes()
}

func TestGoroutinesShareWhatComes(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	ctx, cancel := context.WithCancel(background)
	accepted := make(chan *unotify.Container, 60)
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				box, err := p.Accept(ctx)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				accepted <- box
			}
		}()
	}
	for i := 0; i < 60; i++ {
		p.begin("box", it.listener)
	}
	for i := 0; i < 60; i++ {
		must(t, (<-accepted).Close())
	}
	cancel()
	all.Wait()
}

func TestADoneContextEndsAnAccept(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error)
	for i := 0; i < 3; i++ { // Of which two wait for the other.
		go func() {
			_, err := p.Accept(ctx)
			ended <- err
		}()
	}
	time.Sleep(50 * time.Millisecond)
	began := time.Now()
	cancel()
	for i := 0; i < 3; i++ {
		expect(t, <-ended, context.Canceled)
	}
	if lasted := time.Since(began); lasted > target.Patience/600 { // 100 ms
		t.Errorf("it took %v", lasted)
	}
	// What comes meanwhile is the next one's.
	p.begin("box", it.listener)
	_, err := p.Accept(ctx)
	expect(t, err, context.Canceled)
	if box := p.accept(); box.ID != "box" {
		t.Error(box.ID)
	}
}

func TestCloseEndsAccepts(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:7")
	ended := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := p.Accept(background)
			ended <- err
		}()
	}
	time.Sleep(50 * time.Millisecond)
	began := time.Now()
	must(t, p.Close())
	for i := 0; i < 3; i++ {
		expect(t, <-ended, os.ErrClosed)
	}
	within(t, began)
	expect(t, p.Close(), os.ErrClosed)
	_, err := p.Accept(background)
	expect(t, err, os.ErrClosed)
	if fd := p.Fd(); fd != -1 {
		t.Error(fd)
	}
	answer(t, it.listener)
}

func TestAnAgentThatEndsLetsGoOfWhatNobodyHasAccepted(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	one, two, three := start(t, "call:1"), start(t, "call:2"), start(t, "call:3")
	for _, it := range []*program{one, two, three} {
		p.begin("box", it.listener)
		must(t, it.listener.Close())
	}
	first := p.accept() // The others have come by then, or wait in the socket.
	must(t, p.Close())
	ENOSYS := fmt.Sprint(-1, int(syscall.ENOSYS))
	says(t, two, ENOSYS)
	says(t, three, ENOSYS)
	answer(t, take(t, first))
	says(t, one, "1 0")
}

func TestAContainerThatIsClosedIsLetGoOf(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "call:1")
	p.begin("box", it.listener)
	must(t, it.listener.Close())
	must(t, p.accept().Close())
	says(t, it, fmt.Sprint(-1, int(syscall.ENOSYS)))
}

func TestAContainerAndAnAgentThatNobodyRefersToAreClosed(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	where := directory(t)
	p.begin("warm-up", it.listener)
	must(t, p.accept().Close())
	_, before, _ := settled(t)
	for i := 0; i < 20; i++ {
		conn := p.begin("box", it.listener)
		_, err := p.Accept(background)
		must(t, err)
		must(t, conn.Close())
		_, err = unotify.NewAgent(filepath.Join(where, fmt.Sprint(i)), nil)
		must(t, err)
	}
	if _, after, _ := settled(t); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	if left, err := os.ReadDir(where); len(left) > 0 || err != nil {
		t.Error(left, err)
	}
}

func TestItsDescriptorIsReadableWhileThereIsSomethingToDo(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	it := start(t, "line")
	readable := func(limit time.Duration) bool {
		one := struct {
			fd              int32
			events, revents int16
		}{int32(p.Fd()), 1, 0}
		timeout := syscall.NsecToTimespec(int64(limit))
		count, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&one)), 1,
			uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
		return count == 1
	}
	if readable(20 * time.Millisecond) {
		t.Error("it is readable too early")
	}
	for i := 0; i < 3; i++ {
		p.begin("box", it.listener)
	}
	for i := 0; i < 3; i++ {
		if !readable(target.Patience / 2) {
			t.Error("it is not readable")
		}
		p.accept()
	}
	p.nothingComes()
	if readable(20 * time.Millisecond) {
		t.Error("it is readable too late")
	}
}

func TestAPanicOfLogIsWhoAcceptsTo(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	agent, err := unotify.NewAgent(p.path+"2", &unotify.AgentOptions{Log: func(why string) { panic(why) }})
	must(t, err)
	defer agent.Close()
	it := start(t, "call:1")
	must(t, send(dial(t, p.path+"2"), "no JSON"))
	must(t, send(dial(t, p.path+"2"), state("box"), it.listener.Fd()))
	must(t, it.listener.Close())
	func() {
		defer func() {
			if why := fmt.Sprint(recover()); !strings.Contains(why, "does not begin with a brace") {
				t.Error(why)
			}
		}()
		box, err := agent.Accept(background)
		t.Error(box, err)
	}()
	// A container that came with it is let go of. And the agent lives on.
	says(t, it, fmt.Sprint(-1, int(syscall.ENOSYS)))
	other := start(t, "line")
	must(t, send(dial(t, p.path+"2"), state("other"), other.listener.Fd()))
	box, err := agent.Accept(background)
	must(t, err)
	must(t, box.Close())
}

func TestAnAgentTakesASocketThatListens(t *testing.T) {
	path := filepath.Join(directory(t), "agent.sock")
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer socket.Close()
	agent, err := unotify.AgentFromListener(socket, nil)
	must(t, err)
	defer agent.Close()
	it := start(t, "call:7")
	must(t, send(dial(t, path), state("box"), it.listener.Fd()))
	must(t, it.listener.Close())
	box, err := agent.Accept(background)
	must(t, err)
	answer(t, take(t, box))
	says(t, it, "7 0")
	must(t, agent.Close())
	if _, err := os.Stat(path); err != nil {
		t.Error("it was not its name to remove: ", err)
	}
	must(t, socket.Close())
	if agent, err := unotify.AgentFromListener(socket, nil); err == nil {
		agent.Close()
		t.Error("it takes a closed one")
	}
}

func TestASocketOfAnotherKindIsRefused(t *testing.T) {
	path := filepath.Join(directory(t), "agent.sock")
	socket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	must(t, err)
	defer socket.Close()
	before := descriptors(t)
	_, err = unotify.AgentFromListener(socket, nil)
	expect(t, err, unotify.ErrInvalidArgument)
	leavesNothing(t, before)
}

func TestTheSocketThatAServiceManagerHasPassedIsTakenOnce(t *testing.T) {
	const inside = "UNOTIFY_TEST_IS_PASSED_A_SOCKET"
	if os.Getenv(inside) != "" {
		expectNone := func() {
			t.Helper()
			_, err := unotify.AgentFromEnvironment(nil)
			expect(t, err, unotify.ErrInvalidArgument)
		}
		os.Setenv("LISTEN_FDS", "2")
		expectNone()
		os.Setenv("LISTEN_FDS", "1")
		agent, err := unotify.AgentFromEnvironment(nil)
		must(t, err)
		expectNone()
		box, err := agent.Accept(background)
		must(t, err)
		answer(t, take(t, box))
		must(t, agent.Close())
		return
	}
	_, err := unotify.AgentFromEnvironment(nil) // Nobody has passed one.
	expect(t, err, unotify.ErrInvalidArgument)
	path := filepath.Join(directory(t), "agent.sock")
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer socket.Close()
	file, err := socket.File()
	must(t, err)
	defer file.Close()
	it := start(t, "call:7")
	must(t, send(dial(t, path), state("box"), it.listener.Fd()))
	must(t, it.listener.Close())
	binary, err := os.Executable()
	must(t, err)
	manager := exec.Command("sh", "-c", `export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"`, "sh",
		binary, "-test.run=^"+t.Name()+"$")
	manager.Env = append(os.Environ(), inside+"=1")
	manager.ExtraFiles = []*os.File{file}
	if said, err := manager.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	says(t, it, "7 0")
}

func TestBadOptionsOfAnAgentAreRefused(t *testing.T) {
	path := filepath.Join(directory(t), "agent.sock")
	for _, options := range []unotify.AgentOptions{
		{MaxFds: -1}, {MaxFds: 254}, {MaxMessage: -1}, {TimeLimit: -1}, {Users: []uint32{}}, {Mode: 0o1777},
		{Mode: os.ModeSetgid | 0o600},
	} {
		options := options
		_, err := unotify.NewAgent(path, &options)
		expect(t, err, unotify.ErrInvalidArgument)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
