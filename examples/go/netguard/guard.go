package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// A guard decides where a program sends to, and sends for it.
type guard struct {
	allowed *list
	log     *logger
	at      chan struct{} // holds something for each call that is at work
}

func newGuard(allowed *list, log io.Writer) *guard {
	const atOnce = 1024
	return &guard{allowed, newLogger(log), make(chan struct{}, atOnce)}
}

// serve answers until the last target has ended. Each call has a goroutine of its own, as it may wait.
func (g *guard) serve(from *listener) error {
	for {
		call, err := from.Receive(context.Background())
		if errors.Is(err, errEnded) {
			return nil
		} else if err != nil {
			return err
		}
		g.at <- struct{}{}
		go func() {
			defer func() { <-g.at }()
			g.answer(call)
		}()
	}
}

// answer does what a call asks for, if it may, and answers. The answer fails only if the target is gone, and then
// nobody waits for it.
func (g *guard) answer(call *notification) {
	var value int
	var err error
	request := call.Request()
	switch request.Syscall {
	case syscall.SYS_CONNECT:
		err = g.connect(call)
	case syscall.SYS_SENDTO:
		value, err = g.sendTo(call)
	case syscall.SYS_SENDMSG:
		value, err = g.sendMsg(call, request.Args[1], int(request.Args[2]))
	case sysSendmmsg:
		value, err = g.sendMany(call)
	default:
		err = syscall.ENOSYS
	}
	var errno syscall.Errno
	switch {
	case err == nil:
		_ = call.ReplyValue(int64(value))
	case errors.Is(err, errAnswered):
	case errors.As(err, &errno):
		_ = call.ReplyError(errno)
	default:
		_ = call.ReplyError(syscall.EACCES)
	}
	_ = call.Close()
}

// A destination is an address that was read once, and the file that its path has led to, if it has one.
type destination struct {
	address
	file *os.File // nil unless it is a Unix socket's
}

func (d destination) close() {
	if d.file != nil {
		d.file.Close()
	}
}

// to reads an address and decides on it. EACCES if it is refused.
func (g *guard) to(call *notification, addr uint64, length int, connects bool) (destination, error) {
	if length < 2 || length > longest {
		return destination{}, syscall.EINVAL
	}
	to := destination{address: make(address, length)}
	if err := call.Read(addr, to.address); err != nil {
		return destination{}, err
	}
	allowed, err := g.decide(call, &to, connects)
	if err != nil {
		return destination{}, err
	}
	g.log.write(entry{
		Pid:         call.Request().Pid,
		Program:     programOf(call),
		Call:        nameOf(call.Request().Syscall),
		Family:      to.familyName(),
		Destination: to.String(),
		Allowed:     allowed,
	})
	if !allowed {
		to.close()
		return destination{}, syscall.EACCES
	}
	return to, nil
}

func (g *guard) decide(call *notification, to *destination, connects bool) (bool, error) {
	switch to.family() {
	case syscall.AF_UNSPEC:
		// Takes a connection away; to who sends it is IPv4's.
		if connects {
			return true, nil
		}
	case syscall.AF_NETLINK:
		return true, nil // The kernel, on this machine.
	case syscall.AF_UNIX:
		if path, ok := to.path(); ok {
			file, err := openFor(call, path)
			if err != nil {
				return false, err
			}
			var allowed bool
			to.file, allowed = file, g.allowed.allowsSocket(int(file.Fd()))
			return allowed, nil
		}
		name, ok := to.abstract()
		return ok && g.allowed.abstract[name], nil
	}
	host, ok := to.host()
	return ok && g.allowed.allowsHost(host), nil
}

// programOf is which program makes a call, as far as that can be known.
func programOf(call *notification) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", call.Request().Pid))
	if err != nil || call.CheckValid() != nil {
		return ""
	}
	return path
}

func nameOf(number int) string {
	for _, rule := range rules {
		if rule.number == number {
			return rule.name
		}
	}
	return ""
}

// socketOf duplicates the socket that is a call's first argument: whatever the program does to the number, this is
// the one.
func socketOf(call *notification) (*os.File, error) {
	return call.GetFd(int(int32(call.Request().Args[0])))
}

func (g *guard) connect(call *notification) error {
	args := call.Request().Args
	to, err := g.to(call, args[1], int(int32(args[2])), true)
	if err != nil {
		return err
	}
	defer to.close()
	socket, err := socketOf(call)
	if err != nil {
		return err
	}
	defer socket.Close()
	return connectFor(call, socket, to)
}

// mostData is as much as is sent at once: a stream takes the rest with the program's next call, and a datagram is
// not that long.
const mostData = 1 << 20

func (g *guard) sendTo(call *notification) (int, error) {
	args := call.Request().Args
	to, err := g.to(call, args[4], int(int32(args[5])), false)
	if err != nil {
		return 0, err
	}
	defer to.close()
	data, err := readData(call, nil, args[1], args[2])
	if err != nil {
		return 0, err
	}
	socket, err := socketOf(call)
	if err != nil {
		return 0, err
	}
	defer socket.Close()
	return sendFor(call, socket, message{to: to, data: data}, int(args[3]))
}

// readData puts more of the program's memory behind data.
func readData(call *notification, data []byte, addr, length uint64) ([]byte, error) {
	if length > mostData-uint64(len(data)) {
		length = mostData - uint64(len(data))
	}
	more := make([]byte, length)
	err := call.Read(addr, more)
	return append(data, more...), err
}

// The layout of struct msghdr, struct mmsghdr and struct iovec.
const (
	msghdrBytes  = 56
	mmsghdrBytes = 64
	iovecBytes   = 16
	mostIovecs   = 1024
	mostControl  = 1 << 17
)

// sendMsg sends what a struct msghdr of the program's says, which is read once.
func (g *guard) sendMsg(call *notification, addr uint64, flags int) (int, error) {
	header := make([]byte, msghdrBytes)
	if err := call.Read(addr, header); err != nil {
		return 0, err
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(header[at:]) }
	name, nameLength := word(0), int(int32(word(8)))
	vectors, vectorCount := word(16), word(24)
	control, controlLength := word(32), word(40)

	var out message
	if name != 0 && nameLength != 0 {
		if nameLength > longest {
			nameLength = longest
		}
		to, err := g.to(call, name, nameLength, false)
		if err != nil {
			return 0, err
		}
		defer to.close()
		out.to = to
	}
	if vectorCount > mostIovecs {
		return 0, syscall.EMSGSIZE
	}
	list := make([]byte, vectorCount*iovecBytes)
	if err := call.Read(vectors, list); err != nil {
		return 0, err
	}
	for ; len(list) > 0 && len(out.data) < mostData; list = list[iovecBytes:] {
		base, length := binary.LittleEndian.Uint64(list), binary.LittleEndian.Uint64(list[8:])
		var err error
		if out.data, err = readData(call, out.data, base, length); err != nil {
			return 0, err
		}
	}
	if control != 0 && controlLength > 0 {
		if controlLength > mostControl {
			return 0, syscall.ENOBUFS
		}
		out.control = make([]byte, controlLength)
		if err := call.Read(control, out.control); err != nil {
			return 0, err
		}
		files, err := ownControl(call, out.control)
		defer closeAll(files)
		if err != nil {
			return 0, err
		}
	}
	socket, err := socketOf(call)
	if err != nil {
		return 0, err
	}
	defer socket.Close()
	return sendFor(call, socket, out, flags)
}

// sendMany sends one message after the other, and says how many were.
func (g *guard) sendMany(call *notification) (int, error) {
	args := call.Request().Args
	count := int(uint32(args[2]))
	if count > mostIovecs {
		count = mostIovecs
	}
	for i := 0; i < count; i++ {
		at := args[1] + uint64(i)*mmsghdrBytes
		sent, err := g.sendMsg(call, at, int(args[3]))
		if err == nil {
			err = call.Write(at+msghdrBytes, binary.LittleEndian.AppendUint32(nil, uint32(sent)))
		}
		if err != nil && (i == 0 || errors.Is(err, errAnswered)) {
			return 0, err
		} else if err != nil {
			return i, nil
		}
	}
	return count, nil
}

// harmless is what a control message may say beside its descriptors, by level and kind. Others say which host a
// packet goes by.
var harmless = map[[2]uint32]bool{
	{syscall.SOL_SOCKET, syscall.SCM_RIGHTS}:      true,
	{syscall.SOL_SOCKET, syscall.SCM_CREDENTIALS}: true, // The kernel checks them.
	{syscall.IPPROTO_IP, syscall.IP_PKTINFO}:      true,
	{syscall.IPPROTO_IP, syscall.IP_TOS}:          true,
	{syscall.IPPROTO_IP, syscall.IP_TTL}:          true,
	{syscall.IPPROTO_IPV6, 50}:                    true, // IPV6_PKTINFO
	{syscall.IPPROTO_IPV6, 52}:                    true, // IPV6_HOPLIMIT
	{syscall.IPPROTO_IPV6, 62}:                    true, // IPV6_DONTFRAG
	{syscall.IPPROTO_IPV6, 67}:                    true, // IPV6_TCLASS
	{syscall.IPPROTO_UDP, 103}:                    true, // UDP_SEGMENT
}

// ownControl checks the control messages, and puts numbers of this process in the place of the program's for
// descriptors that are sent.
func ownControl(call *notification, control []byte) (files []*os.File, err error) {
	const header = syscall.SizeofCmsghdr
	for rest := control; len(rest) >= header; {
		length := binary.LittleEndian.Uint64(rest)
		level, kind := binary.LittleEndian.Uint32(rest[8:]), binary.LittleEndian.Uint32(rest[12:])
		if length < header || length > uint64(len(rest)) {
			return files, syscall.EINVAL
		}
		if !harmless[[2]uint32{level, kind}] {
			return files, syscall.EACCES
		}
		if level == syscall.SOL_SOCKET && kind == syscall.SCM_RIGHTS {
			for numbers := rest[header:length]; len(numbers) >= 4; numbers = numbers[4:] {
				file, err := call.GetFd(int(int32(binary.LittleEndian.Uint32(numbers))))
				if err != nil {
					return files, err
				}
				files = append(files, file)
				numberOf(file, func(fd int) { binary.LittleEndian.PutUint32(numbers, uint32(fd)) })
			}
		}
		aligned := (length + 7) &^ 7
		if aligned > uint64(len(rest)) {
			break
		}
		rest = rest[aligned:]
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}
