package notify

import (
	"errors"
	"fmt"
	"syscall"
)

// A message that comes over a stream: one JSON object, with descriptors (SCM_RIGHTS).
//
// It comes in as many parts as the sender and the socket's buffer make of it, with the descriptors beside any of them,
// and nothing says that it is whole but the object's last brace.

const (
	// mostSent is the most descriptors that one message carries (SCM_MAX_FD).
	mostSent = 253
	// partBytes is how much is read at a time.
	partBytes = 64 << 10
	// controlBytes is room for all that one message can bring beside its bytes: 253 descriptors, credentials, a security
	// label. What did not fit would be cut off, and that must mean one thing only.
	controlBytes = 4096
)

// limits are what a message may take.
type limits struct{ bytes, fds int }

// A partRoom is where parts are received.
type partRoom struct{ part, control []byte }

func newPartRoom() partRoom {
	return partRoom{make([]byte, partBytes), make([]byte, controlBytes)}
}

// A message is what has come of it.
type message struct {
	bytes   []byte
	fds     []int
	framing framing
}

var (
	// errEmpty says that nothing came, and nothing will.
	errEmpty = errors.New("it hung up without a word")
	// errNoRoom says that no number is free for descriptors. What there is stays in the socket.
	errNoRoom = errors.New("there is no descriptor left")
)

// receive takes what there is in the socket, without waiting. For as long as there is more, but for a sender who is
// faster than this: what comes later waits for the next look. It tells whether the message is whole; an error is why it
// will not be, but for errNoRoom.
func (m *message) receive(from int, by partRoom, most limits) (isWhole bool, err error) {
	for i := 0; i < 8; i++ {
		// A descriptor for which there is no number would be lost.
		spare, errno := duplicate(from)
		switch errno {
		case 0:
			syscall.Close(spare)
		case syscall.EMFILE, syscall.ENFILE:
			return false, errNoRoom
		default:
			return false, unreadable(errno)
		}
		count, fds, isCut, err := takePart(from, by)
		if err == syscall.EAGAIN {
			return false, nil
		} else if err != nil {
			return false, unreadable(err)
		}
		m.fds = append(m.fds, fds...)
		switch {
		case len(m.fds) > most.fds:
			return false, fmt.Errorf("it sent more than %d descriptors", most.fds)
		case isCut:
			return false, errors.New("a descriptor of its was lost on the way")
		case count == 0 && len(m.bytes) == 0:
			return false, errEmpty
		case count == 0:
			return false, errors.New("it hung up before its message was complete")
		}
		if isWhole, err := m.push(by.part[:count], most); isWhole || err != nil {
			return isWhole, err
		}
	}
	return false, nil
}

// takePart receives what is there, without waiting (EAGAIN). isCut is whether a descriptor was lost.
func takePart(from int, by partRoom) (count int, fds []int, isCut bool, err error) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_CMSG_CLOEXEC
	var controlCount, got int
	for err = syscall.EINTR; err == syscall.EINTR; {
		count, controlCount, got, _, err = syscall.Recvmsg(from, by.part, by.control, flags)
	}
	if err != nil {
		return 0, nil, false, err
	}
	return count, received(by.control[:controlCount]), got&syscall.MSG_CTRUNC != 0, nil
}

// push adds what came, and tells whether the message ends there.
func (m *message) push(part []byte, most limits) (isWhole bool, err error) {
	end, err := m.framing.push(part)
	if err != nil {
		return false, fmt.Errorf("its message is no JSON object: %w", err)
	}
	isWhole = end >= 0
	if !isWhole {
		end = len(part)
	}
	if len(m.bytes)+end > most.bytes {
		return false, fmt.Errorf("its message is longer than %d bytes", most.bytes)
	}
	m.bytes = append(m.bytes, part[:end]...)
	for _, b := range part[end:] {
		if !isSpace(b) {
			return false, errMoreBehind
		}
	}
	return isWhole, nil
}

// drop closes what came.
func (m *message) drop() { closeAll(m.fds) }

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

func unreadable(err error) error { return fmt.Errorf("it cannot be read from: %w", err) }
