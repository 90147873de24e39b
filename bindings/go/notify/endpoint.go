package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The socket that runtimes connect to: where it comes from, and what becomes of its name.

const (
	// backlog is as many as the kernel keeps (net.core.somaxconn): runc gives up when there is no room for it.
	backlog = 4096
	// firstPassed is the first descriptor that a service manager passes (sd_listen_fds(3)).
	firstPassed = 3
	// longestName is how long the name of a socket may be, in bytes.
	longestName = 107

	openPath = 0x200000 // O_PATH
)

// A socketName is the name of a socket in the file system, and which file it was when it was made.
type socketName struct {
	path          string
	device, inode uint64
}

// remove removes it, if it is still that socket's.
func (n *socketName) remove() {
	var found syscall.Stat_t
	if n != nil && syscall.Lstat(n.path, &found) == nil && found.Dev == n.device && found.Ino == n.inode {
		_ = syscall.Unlink(n.path)
	}
}

// bindSocket makes a socket of that name which listens, in the place of one that its user's last agent has left.
func bindSocket(path string, mode uint32) (fd int, name *socketName, err error) {
	switch {
	case path == "" || strings.ContainsRune(path, 0):
		return -1, nil, invalid("%q is no name for a socket", path)
	case len(path) > longestName:
		return -1, nil, failure(ErrInvalidArgument, syscall.ENAMETOOLONG,
			"`%s` is too long for the name of a socket: %d bytes", path, longestName)
	}
	// It is removed at the end, wherever this process is then.
	absolute, err := filepath.Abs(path)
	if err != nil {
		return -1, nil, noSocket(path, err)
	}
	// Two agents that begin at the same time are not to replace each other's.
	defer holdDirectory(filepath.Dir(absolute))()
	fd, err = listenAt(path, mode)
	if err == syscall.EADDRINUSE {
		if err := removeStale(path); err != nil {
			return -1, nil, err
		}
		fd, err = listenAt(path, mode)
	}
	if err != nil {
		return -1, nil, noSocket(path, err)
	}
	name = &socketName{path: absolute}
	if name.device, name.inode, err = permit(path, mode); err != nil {
		syscall.Close(fd)
		_ = syscall.Unlink(path)
		return -1, nil, noSocket(path, err)
	}
	return fd, name, nil
}

func noSocket(path string, err error) error {
	return system(errnoOf(err), fmt.Sprintf("make the socket `%s`", path))
}

// address is that of a path. To Go a name that begins with "@" is in no file system.
func address(path string) *syscall.SockaddrUnix {
	if path[0] == '@' {
		path = "./" + path
	}
	return &syscall.SockaddrUnix{Name: path}
}

func newSocket() (int, error) {
	return syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
}

// listenAt makes a socket that listens, with these permissions less the umask from its first moment on: the kernel makes
// the file with the permissions of the socket.
func listenAt(path string, mode uint32) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, err
	}
	err = syscall.Fchmod(fd, mode)
	if err == nil {
		err = syscall.Bind(fd, address(path))
	}
	if err == nil {
		err = syscall.Listen(fd, backlog)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// permit gives the new socket the permissions that the umask took away, and says which file it is.
func permit(path string, mode uint32) (device, inode uint64, err error) {
	// Opened, so that it is the same file in all that follows.
	fd, err := syscall.Open(path, openPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer syscall.Close(fd)
	var found syscall.Stat_t
	if err := syscall.Fstat(fd, &found); err != nil {
		return 0, 0, err
	}
	if found.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return 0, 0, syscall.ENOTSOCK
	}
	if found.Mode&0o7777 != mode {
		if err := syscall.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode); err != nil {
			return 0, 0, err
		}
	}
	return found.Dev, found.Ino, nil
}

// holdDirectory takes the lock of a directory, which agents hold while they make their sockets. It is not waited for
// long: another program may lock directories for reasons of its own.
func holdDirectory(path string) (letGo func()) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return func() {}
	}
	for i := 0; i < 100; i++ {
		err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EAGAIN && err != syscall.EINTR {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() { syscall.Close(fd) }
}

// removeStale removes a socket that nobody listens on and that is this user's. Nothing else.
func removeStale(path string) error {
	taken := func(status Status, format string, args ...any) error {
		return failure(status, syscall.EADDRINUSE, "cannot make the socket `%s`: %s", path, fmt.Sprintf(format, args...))
	}
	var found syscall.Stat_t
	if err := syscall.Lstat(path, &found); err != nil {
		return noSocket(path, err)
	}
	if found.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return taken(ErrSystem, "there is a file of that name, which is no socket")
	}
	if found.Uid != uint32(syscall.Geteuid()) {
		return taken(ErrPermission, "there is one of user %d", found.Uid)
	}
	listens, err := somebodyListensAt(path)
	switch {
	case err != nil:
		return system(errnoOf(err), fmt.Sprintf("look who listens at `%s`", path))
	case listens:
		return taken(ErrBusy, "somebody listens there")
	}
	if err := syscall.Unlink(path); err != nil {
		return noSocket(path, err)
	}
	return nil
}

// somebodyListensAt tells whether somebody does: one whose backlog is full does. It does not wait.
func somebodyListensAt(path string) (bool, error) {
	fd, err := newSocket()
	if err != nil {
		return false, err
	}
	defer syscall.Close(fd)
	switch err := syscall.Connect(fd, address(path)); err {
	case nil, syscall.EAGAIN, syscall.EPROTOTYPE:
		return true, nil
	case syscall.ECONNREFUSED:
		return false, nil
	default:
		return false, err
	}
}

// checkListens makes a socket from elsewhere one that does not block, or closes what is no socket for an agent.
func checkListens(fd int) error {
	listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err == nil && (listens == 0 || !isStream(fd)) {
		err = syscall.ENOTSOCK
	}
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err == nil {
		return nil
	}
	syscall.Close(fd)
	if err == syscall.ENOTSOCK {
		return invalid("descriptor %d is no Unix stream socket that listens", fd)
	}
	return system(errnoOf(err), "look at the socket")
}

// isStream tells whether it is a Unix stream socket.
func isStream(fd int) bool {
	domain, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_DOMAIN)
	if err != nil || domain != syscall.AF_UNIX {
		return false
	}
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	return err == nil && kind == syscall.SOCK_STREAM
}

var passedIsTaken atomic.Bool

// passedSocket takes the socket that a service manager has passed to this process.
func passedSocket() (int, error) {
	number := func(name string) uint64 {
		value, _ := strconv.ParseUint(os.Getenv(name), 10, 32)
		return value
	}
	if number("LISTEN_PID") != uint64(os.Getpid()) {
		return -1, invalid("no service manager has passed a socket to this process (LISTEN_PID)")
	}
	if number("LISTEN_FDS") != 1 {
		return -1, invalid("not one descriptor was passed to this process (LISTEN_FDS): pass it on")
	}
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, firstPassed, syscall.F_GETFD, 0)
	if errno != 0 || !passedIsTaken.CompareAndSwap(false, true) {
		return -1, invalid("the socket that was passed to this process was taken before")
	}
	// What is started from here on is not to have it.
	own, errno := duplicate(firstPassed)
	syscall.Close(firstPassed)
	if errno != 0 {
		return -1, system(errno, "duplicate the socket that was passed")
	}
	return own, checkListens(own)
}
