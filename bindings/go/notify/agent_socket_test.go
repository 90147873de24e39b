package notify_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	unotify "libunotify/go/notify"
)

// bound is an agent at a path, which is closed at the end.
func bound(t testing.TB, path string, options *unotify.AgentOptions) *unotify.Agent {
	t.Helper()
	agent, err := unotify.NewAgent(path, options)
	must(t, err)
	t.Cleanup(func() { agent.Close() })
	return agent
}

// leave leaves a socket that nobody listens on.
func leave(t testing.TB, path string) {
	t.Helper()
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	socket.SetUnlinkOnClose(false)
	must(t, socket.Close())
}

// isGone tells whether there is nothing of that name.
func isGone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

func TestTheSocketIsItsUsersAloneUnlessToldOtherwise(t *testing.T) {
	path := filepath.Join(directory(t), "s")
	for mode, expected := range map[os.FileMode]os.FileMode{0: 0o600, 0o666: 0o666, 0o620: 0o620} {
		agent := bound(t, path, &unotify.AgentOptions{Mode: mode})
		found, err := os.Lstat(path)
		must(t, err)
		if found.Mode() != os.ModeSocket|expected {
			t.Errorf("%v instead of %v", found.Mode(), expected)
		}
		must(t, agent.Close())
		if !isGone(path) {
			t.Error("it is still there")
		}
	}
}

func TestASocketThatTookItsNameIsNotRemoved(t *testing.T) {
	path := filepath.Join(directory(t), "s")
	agent := bound(t, path, nil)
	must(t, os.Remove(path))
	leave(t, path)
	must(t, agent.Close())
	if isGone(path) {
		t.Error("another's socket was removed")
	}
}

func TestASocketThatNobodyListensOnIsReplaced(t *testing.T) {
	path := filepath.Join(directory(t), "s")
	leave(t, path)
	bound(t, path, nil)
	dial(t, path)
}

func TestASocketThatSomebodyListensOnIsLeftAlone(t *testing.T) {
	p := newPlace(t, unotify.AgentOptions{})
	_, err := unotify.NewAgent(p.path, nil)
	expect(t, err, unotify.ErrBusy)
	expect(t, err, syscall.EADDRINUSE)
	// Its look was a connection, which is none to speak of.
	p.nothingComes()
	if said := p.said(); len(said) != 0 {
		t.Error(said)
	}
	datagrams := filepath.Join(directory(t), "s")
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagrams, Net: "unixgram"})
	must(t, err)
	defer other.Close()
	_, err = unotify.NewAgent(datagrams, nil)
	expect(t, err, unotify.ErrBusy)
}

func TestASocketWithAFullBacklogIsListenedOn(t *testing.T) {
	path := filepath.Join(directory(t), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(fd)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	must(t, syscall.Listen(fd, 0))
	dial(t, path)
	_, err = unotify.NewAgent(path, nil)
	expect(t, err, unotify.ErrBusy)
}

func TestAnotherUsersSocketIsLeftAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	path := filepath.Join(directory(t), "s")
	leave(t, path)
	must(t, os.Lchown(path, 65534, -1))
	_, err := unotify.NewAgent(path, nil)
	expect(t, err, unotify.ErrPermission)
	expect(t, err, syscall.EADDRINUSE)
	if isGone(path) {
		t.Error("it was removed")
	}
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	where := directory(t)
	file, link := filepath.Join(where, "file"), filepath.Join(where, "link")
	must(t, os.WriteFile(file, []byte("precious"), 0o600))
	must(t, os.Symlink("elsewhere", link))
	for _, path := range []string{file, link} {
		_, err := unotify.NewAgent(path, nil)
		expect(t, err, syscall.EADDRINUSE)
	}
	if text, err := os.ReadFile(file); string(text) != "precious" || err != nil || isGone(link) {
		t.Error(string(text), err)
	}
}

func TestOfManyThatBeginAtOnceInTheOldOnesPlaceOneHasTheSocket(t *testing.T) {
	path := filepath.Join(directory(t), "s")
	for i := 0; i < 20; i++ {
		leave(t, path)
		var all sync.WaitGroup
		var agents [8]*unotify.Agent
		var errs [8]error
		for i := range agents {
			i := i
			all.Add(1)
			go func() {
				defer all.Done()
				agents[i], errs[i] = unotify.NewAgent(path, nil)
			}()
		}
		all.Wait()
		have := 0
		dial(t, path)
		for i, agent := range agents {
			if errs[i] == nil {
				have++
				must(t, agent.Close())
			} else {
				expect(t, errs[i], unotify.ErrBusy)
			}
		}
		if have != 1 {
			t.Fatalf("%d have it", have)
		}
	}
}

func TestANameThatCannotBeASocketsIsRefused(t *testing.T) {
	where := directory(t)
	for _, path := range []string{filepath.Join(where, strings.Repeat("x", 108)), ""} {
		_, err := unotify.NewAgent(path, nil)
		expect(t, err, unotify.ErrInvalidArgument)
	}
	_, err := unotify.NewAgent(filepath.Join(where, "none", "s"), nil)
	expect(t, err, os.ErrNotExist)
}

func TestAShortNameInADeepDirectoryIsTakenAndRemovedFromAnywhere(t *testing.T) {
	deep := filepath.Join(directory(t), strings.Repeat("y", 120))
	must(t, os.Mkdir(deep, 0o700))
	before, err := os.Getwd()
	must(t, err)
	must(t, os.Chdir(deep))
	defer os.Chdir(before)
	for _, name := range []string{"short", "@home"} {
		must(t, os.Chdir(deep))
		agent := bound(t, name, nil)
		if isGone(filepath.Join(deep, name)) {
			t.Error("it is elsewhere")
		}
		must(t, os.Chdir("/"))
		must(t, agent.Close())
		if !isGone(filepath.Join(deep, name)) {
			t.Error("it was not removed")
		}
	}
}
