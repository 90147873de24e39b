package unotify

// #include "shim.h"
import "C"

import "os"

// Identity is who makes a call, as the supervisor's namespaces number it.
type Identity struct {
	Tgid              int    // The process (the thread group).
	UID               uint32 // The real user.
	EUID              uint32 // The effective user.
	FSUID             uint32 // The user that access to files is decided for.
	GID               uint32 // The real group.
	EGID              uint32 // The effective group.
	FSGID             uint32 // The group that access to files is decided for.
	Umask             uint32 // What is taken away from the permissions of new files.
	Capabilities      uint64 // Effective ones in its own user namespace, 1 << CAP_*.
	SameUserNamespace bool   // Whether that is the supervisor's; false also if it is unknown.
}

// Identity tells who the target is, read in one go.
func (n *Notification) Identity() (Identity, error) {
	var who C.unotify_identity
	_, err := n.with(func(c *C.unotify_notification) C.shim_result { return C.shim_identity(c, &who) })
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Tgid: int(who.tgid), UID: uint32(who.uid), EUID: uint32(who.euid), FSUID: uint32(who.fsuid),
		GID: uint32(who.gid), EGID: uint32(who.egid), FSGID: uint32(who.fsgid), Umask: uint32(who.umask),
		Capabilities: uint64(who.capabilities), SameUserNamespace: who.same_user_namespace != 0,
	}, nil
}

// Groups is the target's supplementary groups, as the supervisor's user namespace numbers them.
func (n *Notification) Groups() ([]uint32, error) {
	groups := make([]uint32, 65536)
	result, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_groups(c, (*C.gid_t)(&groups[0]), C.size_t(len(groups)))
	})
	if err != nil {
		return nil, err
	}
	return append([]uint32(nil), groups[:result.value]...), nil
}

// Executable is the path of the target's program, as the supervisor sees it, with " (deleted)" behind it if it has no
// name any more.
func (n *Notification) Executable() (string, error) {
	buffer := make([]byte, 8192)
	_, err := n.with(func(c *C.unotify_notification) C.shim_result {
		return C.shim_executable(c, (*C.char)(start(buffer)), C.size_t(len(buffer)))
	})
	if err != nil {
		return "", err
	}
	return cString(buffer), nil
}

// OpenRoot opens the target's root directory with O_PATH: for a container, its own file system.
func (n *Notification) OpenRoot() (*os.File, error) {
	return file("root", func() (C.shim_result, error) {
		return n.with(func(c *C.unotify_notification) C.shim_result { return C.shim_open_root(c) })
	})
}

// OpenSocket opens with O_PATH what the path in a struct sockaddr_un leads the target to.
func (n *Notification) OpenSocket(address []byte) (*os.File, error) {
	return file("socket", func() (C.shim_result, error) {
		return n.with(func(c *C.unotify_notification) C.shim_result {
			return C.shim_open_socket(c, start(address), C.size_t(len(address)))
		})
	})
}

// ReplyConnect connects the target's socket to an address, a struct sockaddr that was read and decided on, and answers
// with what comes of it, be it an error. If that has to wait a thread of the library's does, and the notification is
// empty then. The file is nil, or what [Notification.OpenSocket] has opened.
func (n *Notification) ReplyConnect(number int, address []byte, file *os.File) error {
	reply := func(fd int) error {
		return n.replied(func(c *C.unotify_notification) C.shim_result {
			return C.shim_reply_connect(c, C.int(number), start(address), C.size_t(len(address)), C.int(fd))
		})
	}
	if file == nil {
		return reply(-1)
	}
	return withFd(file, reply)
}
