package notify_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go/notify"
)

func newPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		end, err := net.FileConn(file)
		must(t, err)
		must(t, file.Close())
		ends[i] = end.(*net.UnixConn)
		t.Cleanup(func() { end.Close() })
	}
	return ends[0], ends[1]
}

func TestAListenerGoesOverASocket(t *testing.T) {
	p := start(t, "calls:10")
	here, there := newPair(t)
	later(func() { _ = p.listener.SendTo(here) })
	listener, err := unotify.ListenerFromConn(there)
	must(t, err)
	defer listener.Close()
	must(t, serve(&program{listener: listener}))
	says(t, p, "10")
}

func TestWhatIsNoListenerIsRefusedAndClosed(t *testing.T) {
	here, there := newPair(t)
	_, before, _ := settled(t)
	for _, fds := range [][]int{{0}, {0, 1, 2}, nil} {
		rights := []byte(nil)
		if fds != nil {
			rights = syscall.UnixRights(fds...)
		}
		_, _, err := here.WriteMsgUnix([]byte("x"), rights, nil)
		must(t, err)
		_, err = unotify.ListenerFromConn(there)
		expect(t, err, unotify.ErrInvalidArgument)
	}
	if _, after, _ := settled(t); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	must(t, there.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := unotify.ListenerFromConn(there)
	expect(t, err, os.ErrDeadlineExceeded)
	must(t, there.SetReadDeadline(time.Time{}))
	must(t, here.Close())
	_, err = unotify.ListenerFromConn(there)
	expect(t, err, unotify.ErrClosed)
	p := start(t, "say:x")
	expect(t, p.listener.SendTo(there), unotify.ErrClosed)
}

func TestADescriptorThatIsNoListenerIsRefused(t *testing.T) {
	_, err := unotify.ListenerFromFd(0)
	expect(t, err, unotify.ErrInvalidArgument)
	_, err = unotify.ListenerFromFd(-1)
	expect(t, err, syscall.EBADF)
	_, err = unotify.ListenerFromFile(os.Stdin)
	expect(t, err, unotify.ErrInvalidArgument)
	var failed *unotify.Error
	if !errors.As(err, &failed) || failed.Status != unotify.ErrInvalidArgument || failed.Message == "" {
		t.Error(failed)
	}
}

func TestAListenerIsTakenFromAProcessThatHoldsIt(t *testing.T) {
	p := start(t, "calls:10")
	listener, err := unotify.ListenerFromPid(os.Getpid(), p.listener.Fd())
	must(t, err)
	defer listener.Close()
	must(t, serve(&program{listener: listener}))
	says(t, p, "10")
	_, err = unotify.ListenerFromPid(os.Getpid(), 9999)
	expect(t, err, syscall.EBADF)
}
