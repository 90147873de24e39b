package main

import "syscall"

// Which calls netguard is asked about, and which are refused. Both ways to build it make their filter of this.
type ruleOf struct {
	name   string
	number int
	errno  syscall.Errno // 0: netguard is asked
	when   []condition
}

const (
	fastOpen = 0x20000000 // MSG_FASTOPEN: connects on the way
	sctp     = 132        // IPPROTO_SCTP and SOL_SCTP: connects by setsockopt(2), too

	ipv6RoutingHeader    = 57 // IPV6_RTHDR
	ipv6RoutingHeaderOld = 5  // IPV6_2292RTHDR
	ipv6PacketOptionsOld = 6  // IPV6_2292PKTOPTIONS

	// On every architecture.
	sysIoUringSetup    = 425
	sysIoUringEnter    = 426
	sysIoUringRegister = 427
)

var rules = []ruleOf{
	{"connect", syscall.SYS_CONNECT, 0, nil},

	// What is sent over a connection has no address here.
	{"sendto", syscall.SYS_SENDTO, syscall.EOPNOTSUPP, []condition{{Arg: 3, Op: masked, Value: fastOpen, Mask: fastOpen}}},
	{"sendto", syscall.SYS_SENDTO, 0, []condition{{Arg: 3, Op: masked, Mask: fastOpen}, {Arg: 4, Op: notEqual}}},
	// Their addresses are in memory.
	{"sendmsg", syscall.SYS_SENDMSG, syscall.EOPNOTSUPP, []condition{{Arg: 2, Op: masked, Value: fastOpen, Mask: fastOpen}}},
	{"sendmsg", syscall.SYS_SENDMSG, 0, []condition{{Arg: 2, Op: masked, Mask: fastOpen}}},
	{"sendmmsg", sysSendmmsg, syscall.EOPNOTSUPP, []condition{{Arg: 3, Op: masked, Value: fastOpen, Mask: fastOpen}}},
	{"sendmmsg", sysSendmmsg, 0, []condition{{Arg: 3, Op: masked, Mask: fastOpen}}},

	// The kernel makes calls for these where no filter is.
	{"io_uring_setup", sysIoUringSetup, syscall.ENOSYS, nil},
	{"io_uring_enter", sysIoUringEnter, syscall.ENOSYS, nil},
	{"io_uring_register", sysIoUringRegister, syscall.ENOSYS, nil},

	// They choose which host a packet goes by.
	{"setsockopt", syscall.SYS_SETSOCKOPT, syscall.EACCES, option(syscall.IPPROTO_IP, syscall.IP_OPTIONS)},
	{"setsockopt", syscall.SYS_SETSOCKOPT, syscall.EACCES, option(syscall.IPPROTO_IPV6, ipv6RoutingHeader)},
	{"setsockopt", syscall.SYS_SETSOCKOPT, syscall.EACCES, option(syscall.IPPROTO_IPV6, ipv6RoutingHeaderOld)},
	{"setsockopt", syscall.SYS_SETSOCKOPT, syscall.EACCES, option(syscall.IPPROTO_IPV6, ipv6PacketOptionsOld)},

	{"socket", syscall.SYS_SOCKET, syscall.EPROTONOSUPPORT, []condition{{Arg: 2, Op: lower32, Value: sctp, Mask: int32Bits}}},
	{"socket", syscall.SYS_SOCKET, syscall.EPROTONOSUPPORT, seqpacket(syscall.AF_INET)},
	{"socket", syscall.SYS_SOCKET, syscall.EPROTONOSUPPORT, seqpacket(syscall.AF_INET6)},
}

// The kernel looks at the lower half of an int.
const (
	int32Bits = 0xffffffff
	lower32   = masked
)

// option is one of a socket's.
func option(level, name uint64) []condition {
	return []condition{
		{Arg: 1, Op: lower32, Value: level, Mask: int32Bits},
		{Arg: 2, Op: lower32, Value: name, Mask: int32Bits},
	}
}

// seqpacket is SCTP by its kind of socket.
func seqpacket(family uint64) []condition {
	const kinds = 0xf
	return []condition{
		{Arg: 0, Op: lower32, Value: family, Mask: int32Bits},
		{Arg: 1, Op: masked, Value: syscall.SOCK_SEQPACKET, Mask: kinds},
		{Arg: 2, Op: masked, Mask: int32Bits}, // the protocol that this kind has
	}
}
