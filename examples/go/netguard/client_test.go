package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// What runs under netguard in the tests: this program once more, with the name of one of these.
var clients = map[string]func(args []string) error{
	"send-to":     sendToClient,
	"send-msg":    sendMsgClient,
	"send-many":   sendManyClient,
	"unspecified": unspecifiedClient,
	"rights":      rightsClient,
	"race":        raceClient,
	"full":        fullClient,
	"pipe":        pipeClient,
	"ways-around": waysAroundClient,
	"netlink":     netlinkClient,
}

func inet4(port string) (to syscall.SockaddrInet4, raw []byte) {
	to.Port, _ = strconv.Atoi(port)
	to.Addr = [4]byte{127, 0, 0, 1}
	raw = make([]byte, syscall.SizeofSockaddrInet4)
	binary.LittleEndian.PutUint16(raw, syscall.AF_INET)
	binary.BigEndian.PutUint16(raw[2:], uint16(to.Port))
	copy(raw[4:], to.Addr[:])
	return to, raw
}

// toAddress is where an argument says: a port of this machine, a path or the name of a Unix socket.
func toAddress(where string) (family int, to syscall.Sockaddr) {
	if _, err := strconv.Atoi(where); err == nil {
		to, _ := inet4(where)
		return syscall.AF_INET, &to
	}
	return syscall.AF_UNIX, &syscall.SockaddrUnix{Name: where}
}

// sendToClient sends a datagram to each.
func sendToClient(wheres []string) error {
	for _, where := range wheres {
		family, to := toAddress(where)
		socket, err := syscall.Socket(family, syscall.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		fmt.Println(errnoName(syscall.Sendto(socket, []byte("sent to "+where), 0, to)))
	}
	return nil
}

// sendMsgClient sends a datagram to each in three parts, and another one over a connection.
func sendMsgClient(wheres []string) error {
	for _, where := range wheres {
		family, to := toAddress(where)
		for _, connected := range []bool{false, true} {
			socket, err := syscall.Socket(family, syscall.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			to := to
			if connected {
				if err := syscall.Connect(socket, to); err != nil {
					fmt.Println(errnoName(err))
					continue
				}
				to = nil
			}
			_, err = syscall.SendmsgN(socket, []byte("sendmsg"), nil, to, 0)
			fmt.Println(errnoName(err))
		}
	}
	return nil
}

type mmsghdr struct {
	header syscall.Msghdr
	length uint32
	_      uint32
}

// sendManyClient sends a datagram to each by one call.
func sendManyClient(ports []string) error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	messages := make([]mmsghdr, len(ports))
	for i, port := range ports {
		_, raw := inet4(port)
		first, second := []byte("many to "), []byte(port)
		vectors := []syscall.Iovec{{Base: &first[0], Len: uint64(len(first))}, {Base: &second[0], Len: uint64(len(second))}}
		messages[i].header = syscall.Msghdr{Name: &raw[0], Namelen: uint32(len(raw)), Iov: &vectors[0], Iovlen: 2}
	}
	sent, _, errno := syscall.Syscall6(sysSendmmsg, uintptr(socket), uintptr(unsafe.Pointer(&messages[0])),
		uintptr(len(messages)), 0, 0, 0)
	runtime.KeepAlive(messages)
	fmt.Println(int(sent), errnoName(asError(errno)))
	for _, message := range messages {
		fmt.Println(message.length)
	}
	return nil
}

// unspecifiedClient sends to an address without a family, which IPv4 takes for its own.
func unspecifiedClient(ports []string) error {
	for _, port := range ports {
		socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		_, raw := inet4(port)
		binary.LittleEndian.PutUint16(raw, syscall.AF_UNSPEC)
		data := []byte("to no family")
		_, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, uintptr(socket), uintptr(unsafe.Pointer(&data[0])),
			uintptr(len(data)), 0, uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)))
		fmt.Println(errnoName(asError(errno)))
	}
	return nil
}

// rightsClient sends a descriptor over a connected pair, and reads what it leads to.
func rightsClient([]string) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	_, _ = writer.WriteString("through the pipe")
	rights := syscall.UnixRights(int(reader.Fd()), int(reader.Fd()))
	if err := syscall.Sendmsg(pair[0], []byte("x"), rights, nil, 0); err != nil {
		return err
	}
	control := make([]byte, 64)
	data := make([]byte, 8)
	_, count, _, _, err := syscall.Recvmsg(pair[1], data, control, 0)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:count])
	if err != nil {
		return err
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	text := make([]byte, 64)
	n, err := syscall.Read(fds[1], text)
	fmt.Println(len(fds), string(text[:n]))
	return err
}

// raceClient sends over and over while another thread changes the port in the address.
func raceClient(args []string) error {
	_, good := inet4(args[0])
	_, bad := inet4(args[1])
	tries, _ := strconv.Atoi(args[2])
	address := make([]uint32, 4)
	raw := (*[syscall.SizeofSockaddrInet4]byte)(unsafe.Pointer(&address[0]))
	copy(raw[:], good)
	words := [2]uint32{binary.LittleEndian.Uint32(good), binary.LittleEndian.Uint32(bad)}
	go func() {
		runtime.LockOSThread()
		for {
			atomic.StoreUint32(&address[0], words[1])
			atomic.StoreUint32(&address[0], words[0])
		}
	}()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	data := []byte("x")
	var sent, refused int
	for i := 0; i < tries; i++ {
		_, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, uintptr(socket), uintptr(unsafe.Pointer(&data[0])),
			uintptr(len(data)), 0, uintptr(unsafe.Pointer(raw)), uintptr(len(raw)))
		switch errno {
		case 0:
			sent++
		case syscall.EACCES:
			refused++
		default:
			return errno
		}
	}
	if sent == 0 || refused == 0 {
		return fmt.Errorf("no race: %d sent, %d refused", sent, refused)
	}
	fmt.Println("raced")
	return nil
}

// fullClient fills a socket's queue: one that does not block says so, one that does waits until there is room.
func fullClient([]string) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	data := make([]byte, 1<<16)
	_ = syscall.SetNonblock(pair[0], true)
	total := 0
	for err == nil {
		var n int
		n, err = syscall.SendmsgN(pair[0], data, nil, nil, 0)
		if err == nil {
			total += n
		}
	}
	fmt.Println(errnoName(err))
	_ = syscall.SetNonblock(pair[0], false)
	begun := time.Now()
	time.AfterFunc(200*time.Millisecond, func() {
		for read := 0; read < total; {
			n, _ := syscall.Read(pair[1], data)
			read += n
		}
	})
	_, err = syscall.SendmsgN(pair[0], []byte("more"), nil, nil, 0)
	fmt.Println(errnoName(err), time.Since(begun) > 150*time.Millisecond)
	return nil
}

// pipeClient sends to who does not listen any more.
func pipeClient([]string) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	_ = syscall.Close(pair[1])
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGPIPE)
	fmt.Println(errnoName(syscall.Sendmsg(pair[0], []byte("x"), nil, nil, msgNoSignal)))
	select {
	case <-signals:
		fmt.Println("a signal that was not wanted")
	case <-time.After(50 * time.Millisecond):
	}
	fmt.Println(errnoName(syscall.Sendmsg(pair[0], []byte("x"), nil, nil, 0)), <-signals)
	return nil
}

// waysAroundClient tries what would go past a supervisor of connect.
func waysAroundClient(ports []string) error {
	to, _ := inet4(ports[0])
	stream, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	fmt.Println(errnoName(syscall.Sendto(stream, []byte("x"), fastOpen, &to)))
	_, err = syscall.SendmsgN(stream, []byte("x"), nil, &to, fastOpen)
	fmt.Println(errnoName(err))
	_, _, errno := syscall.Syscall(sysIoUringSetup, 1, 0, 0)
	fmt.Println(errnoName(asError(errno)))
	for _, kind := range []int{syscall.SOCK_STREAM, syscall.SOCK_SEQPACKET} {
		_, err = syscall.Socket(syscall.AF_INET, kind, sctp)
		fmt.Println(errnoName(err))
	}
	_, err = syscall.Socket(syscall.AF_INET6, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	fmt.Println(errnoName(err))
	datagram, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	const endOfOptions, returnedOptions = "\x00\x00\x00\x00", 7 // IP_RETOPTS
	fmt.Println(errnoName(syscall.SetsockoptString(datagram, syscall.IPPROTO_IP, syscall.IP_OPTIONS, endOfOptions)))
	control := make([]byte, syscall.CmsgSpace(4))
	header := (*syscall.Cmsghdr)(unsafe.Pointer(&control[0]))
	header.Level, header.Type = syscall.IPPROTO_IP, returnedOptions
	header.SetLen(syscall.CmsgLen(4))
	_, err = syscall.SendmsgN(datagram, []byte("x"), control, &to, 0)
	fmt.Println(errnoName(err))
	header.Type = syscall.IP_TTL
	control[syscall.CmsgLen(0)] = 1
	_, err = syscall.SendmsgN(datagram, []byte("x"), control, &to, 0)
	fmt.Println(errnoName(err))
	const familyVsock = 40
	if socket, err := syscall.Socket(familyVsock, syscall.SOCK_STREAM, 0); err != nil {
		fmt.Println(errnoName(syscall.EACCES))
	} else {
		raw := make([]byte, 16)
		binary.LittleEndian.PutUint16(raw, familyVsock)
		_, _, errno := syscall.Syscall(syscall.SYS_CONNECT, uintptr(socket), uintptr(unsafe.Pointer(&raw[0])), 16)
		fmt.Println(errnoName(asError(errno)))
	}
	return nil
}

// netlinkClient asks the kernel for this machine's addresses, as looking a name up does.
func netlinkClient([]string) error {
	interfaces, err := net.Interfaces()
	fmt.Println(len(interfaces) > 0)
	return err
}

func errnoName(err error) string {
	if err == nil {
		return "ok"
	}
	errno, _ := err.(syscall.Errno)
	for name, number := range map[string]syscall.Errno{
		"EACCES": syscall.EACCES, "EAGAIN": syscall.EAGAIN, "EPIPE": syscall.EPIPE, "ENOSYS": syscall.ENOSYS,
		"EOPNOTSUPP": syscall.EOPNOTSUPP, "EPROTONOSUPPORT": syscall.EPROTONOSUPPORT,
	} {
		if number == errno {
			return name
		}
	}
	return strings.ReplaceAll(err.Error(), " ", "-")
}
