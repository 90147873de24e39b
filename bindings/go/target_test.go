package unotify_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	unotify "libunotify/go"
)

func TestATargetsMemoryIsReadAndWritten(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	text, err := n.ReadString(it.text, 64)
	must(t, err)
	if text != "some text" {
		t.Errorf("%q", text)
	}
	text, err = n.ReadString(it.text, len("some text"))
	must(t, err)
	_, err = n.ReadString(it.text, len("some text")-1)
	wantError(t, err, unotify.ErrTooLong)
	_, err = n.ReadString(it.text, -1)
	wantError(t, err, unotify.ErrInvalidArgument)
	pointers, err := n.ReadPointers(it.array, 2)
	must(t, err)
	if len(pointers) != 2 || pointers[0] != it.text || pointers[1] != it.path {
		t.Errorf("%x", pointers)
	}
	_, err = n.ReadPointers(it.array, 1)
	wantError(t, err, unotify.ErrTooLong)
	_, err = n.ReadPointers(it.array, -1)
	wantError(t, err, unotify.ErrInvalidArgument)

	buffer := make([]byte, 4)
	must(t, n.Read(it.text, buffer))
	if !bytes.Equal(buffer, []byte("some")) {
		t.Errorf("%q", buffer)
	}
	must(t, n.Read(it.text, nil))
	must(t, n.Write(it.text, nil))
	must(t, n.Write(it.text, []byte("same")))
	wantError(t, n.Read(8, buffer), unotify.ErrFault, syscall.EFAULT)
	wantError(t, n.Write(8, buffer), unotify.ErrFault, syscall.EFAULT)
	_, err = n.ReadString(8, 8)
	wantError(t, err, unotify.ErrFault)
	must(t, n.ReplyValue(1))
	it.result()
	it.call(0)
	if line := it.line(); line != `"same text"` {
		t.Error(line)
	}
}

func TestNothingIsReadOfATargetThatIsGone(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	it.Kill()
	it.Wait()
	wantError(t, n.Read(it.text, make([]byte, 4)), unotify.ErrGone)
	wantError(t, n.Write(it.text, make([]byte, 4)), unotify.ErrGone)
	_, err := n.Identity()
	wantError(t, err, unotify.ErrGone)
	_, err = n.GetFd(0)
	wantError(t, err, unotify.ErrGone)
}

func TestDescriptorsGoBothWays(t *testing.T) {
	guard(t, patience)
	it := start(t)
	r, w, err := os.Pipe()
	must(t, err)
	_, err = io.WriteString(w, "through a pipe")
	must(t, err)
	must(t, it.called().ReplyFd(r, syscall.O_CLOEXEC))
	number, errno := it.result()
	if errno != 0 || number < 3 {
		t.Fatal(number, errno)
	}
	it.call(1, uint64(number))
	if line := it.line(); line != `"through a pipe" <nil>` {
		t.Error(line)
	}

	n := it.called()
	got, err := n.AddFd(r, 100)
	must(t, err)
	if got != 100 {
		t.Error(got)
	}
	back, err := n.GetFd(100)
	must(t, err)
	_, err = io.WriteString(w, "again")
	must(t, err)
	buffer := make([]byte, 10)
	size, err := back.Read(buffer)
	must(t, err)
	if string(buffer[:size]) != "again" {
		t.Errorf("%q", buffer[:size])
	}
	back.Close()
	_, err = n.GetFd(99)
	wantError(t, err, unotify.ErrInvalidArgument, syscall.EBADF)
	_, err = n.AddFd(r, 1<<30)
	wantError(t, err, unotify.ErrInvalidArgument, syscall.EBADF)
	pidfd, err := n.PidFd()
	must(t, err)
	pidfd.Close()
	r.Close()
	wantError(t, n.ReplyFd(r), os.ErrClosed)
	wantError(t, n.ReplyFd(nil), unotify.ErrInvalidArgument)
	must(t, n.ReplyFd(w))
}

func TestATargetIsKnown(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	who, err := n.Identity()
	must(t, err)
	if who.Tgid != it.Pid() || int(who.EUID) != os.Geteuid() || int(who.GID) != os.Getgid() || !who.SameUserNamespace {
		t.Errorf("%+v", who)
	}
	groups, err := n.Groups()
	must(t, err)
	own, err := os.Getgroups()
	must(t, err)
	if len(groups) != len(own) {
		t.Errorf("%v is not %v", groups, own)
	}
	program, err := n.Executable()
	must(t, err)
	path, err := os.Executable()
	must(t, err)
	if program != path {
		t.Error(program)
	}
	root, err := n.OpenRoot()
	must(t, err)
	here, err := os.Stat("/")
	must(t, err)
	if there, err := root.Stat(); err != nil || !os.SameFile(here, there) {
		t.Error(err, "it is another root")
	}
	root.Close()
	must(t, n.ReplyValue(1))
}

func TestWhatAPathNamesIsOpenedAndHandedOver(t *testing.T) {
	guard(t, patience)
	directory := t.TempDir()
	path := filepath.Join(directory, "file")
	must(t, os.WriteFile(path, []byte("content"), 0o600))
	it := startUnder(t, newFilter(t, "getppid"), path)
	n := it.called()
	found, err := n.Open(unotify.AtFdcwd, it.path, unotify.OpenHow{Flags: 0x200000}) // O_PATH
	must(t, err)
	name, err := n.Path(unotify.AtFdcwd, it.path)
	must(t, err)
	if real, _ := filepath.EvalSymlinks(path); name != real {
		t.Error(name)
	}
	opened, err := n.Reopen(found, syscall.O_RDONLY, 0)
	must(t, err)
	content, err := io.ReadAll(opened)
	must(t, err)
	if string(content) != "content" {
		t.Errorf("%q", content)
	}
	must(t, n.ReplyOpen(found, syscall.O_RDONLY, 0))
	number, _ := it.result()
	it.call(1, uint64(number))
	if line := it.line(); line != `"content" <nil>` {
		t.Error(line)
	}
	opened.Close()
	found.Close()

	n = it.called()
	_, err = n.Open(unotify.AtFdcwd, it.text, unotify.OpenHow{})
	wantError(t, err, unotify.ErrSystem, syscall.ENOENT, os.ErrNotExist)
	must(t, n.ReplyError(syscall.ENOENT))
}

func TestFilesAreMadeAsTheTargets(t *testing.T) {
	guard(t, patience)
	directory := t.TempDir()
	it := startUnder(t, newFilter(t, "getppid"), filepath.Join(directory, "new"))
	n := it.called()
	parent, name, err := n.OpenParent(unotify.AtFdcwd, it.path)
	must(t, err)
	if name != "new" {
		t.Error(name)
	}
	made, err := n.Create(parent, name, syscall.O_WRONLY, 0o666)
	must(t, err)
	made.Close()
	_, err = n.Create(parent, name, syscall.O_WRONLY, 0o666)
	wantError(t, err, syscall.EEXIST, os.ErrExist)
	must(t, n.Mkdir(parent, "directory", 0o777))
	must(t, n.Mknod(parent, "fifo", syscall.S_IFIFO|0o666, 0))
	for _, name := range []string{"new", "directory", "fifo"} {
		if _, err := os.Lstat(filepath.Join(directory, name)); err != nil {
			t.Error(err)
		}
	}
	parent.Close()
	must(t, n.ReplyValue(1))
}

func TestOnlyWhatLiesInTheDirectoriesIsOpened(t *testing.T) {
	guard(t, patience)
	inside, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(inside, "file"), []byte("inside"), 0o600))
	must(t, os.WriteFile(filepath.Join(outside, "file"), []byte("outside"), 0o600))
	roots, err := unotify.NewRoots(0)
	must(t, err)
	must(t, roots.Add(inside, unotify.RightRead))
	wantError(t, roots.Add(inside+"/nowhere", unotify.RightRead), syscall.ENOENT)

	in := startUnder(t, newFilter(t, "getppid"), filepath.Join(inside, "file"))
	n := in.called()
	_, err = n.OpenWithin(roots, unotify.AtFdcwd, in.path, unotify.OpenHow{Flags: syscall.O_WRONLY})
	wantError(t, err, syscall.EACCES)
	opened, err := n.OpenWithin(roots, unotify.AtFdcwd, in.path, unotify.OpenHow{})
	must(t, err)
	opened.Close()
	must(t, n.ReplyOpenWithin(roots, unotify.AtFdcwd, in.path, unotify.OpenHow{}))
	number, _ := in.result()
	in.call(1, uint64(number))
	if line := in.line(); line != `"inside" <nil>` {
		t.Error(line)
	}

	out := startUnder(t, newFilter(t, "getppid"), filepath.Join(outside, "file"))
	n = out.called()
	_, err = n.OpenWithin(roots, unotify.AtFdcwd, out.path, unotify.OpenHow{})
	wantError(t, err, syscall.EACCES)
	must(t, roots.Close())
	_, err = n.OpenWithin(roots, unotify.AtFdcwd, out.path, unotify.OpenHow{})
	wantError(t, err, os.ErrClosed)
	wantError(t, roots.Add(inside, unotify.RightRead), os.ErrClosed)
	wantError(t, roots.Close(), os.ErrClosed)
	must(t, n.ReplyError(syscall.EACCES))
}

func TestATargetsSocketIsConnected(t *testing.T) {
	guard(t, patience)
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	it := startUnder(t, newFilter(t, "connect"), "")
	it.call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM)
	socket, errno := it.result()
	if errno != 0 {
		t.Fatal(errno)
	}
	port := server.Addr().(*net.TCPAddr).Port
	address := []byte{syscall.AF_INET, 0, byte(port >> 8), byte(port), 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	it.call(syscall.SYS_CONNECT, uint64(socket), it.text, 16)
	n := it.receive()
	wantError(t, n.ReplyConnect(99, address, nil), unotify.ErrInvalidArgument, syscall.EBADF)
	must(t, n.ReplyConnect(int(n.Request().Args[0]), address, nil))
	if value, errno := it.result(); value != 0 || errno != 0 {
		t.Fatal(value, errno)
	}
	conn, err := server.Accept()
	must(t, err)
	conn.Close()
}

func TestAWaitIsInterruptedWhenASignalComes(t *testing.T) {
	guard(t, patience)
	it := start(t)
	n := it.called()
	interrupted, err := n.ReplyInterrupted()
	must(t, err)
	if interrupted {
		t.Fatal("without a signal")
	}
	// For the thread that waits: another would have it instead.
	must(t, syscall.Tgkill(it.Pid(), n.Request().Pid, syscall.SIGUSR1))
	eventually(t, "the signal is seen", func() bool {
		interrupted, err = n.ReplyInterrupted()
		return interrupted || err != nil
	})
	if !errors.Is(err, unotify.ErrGone) { // Before Linux 5.19 the signal has done it by itself.
		must(t, err)
	}
}

func TestSentencesNameTheCulprit(t *testing.T) {
	guard(t, patience)
	n := start(t).called()
	_, err := n.GetFd(1234)
	if !strings.Contains(err.Error(), "1234") {
		t.Error(err)
	}
}
