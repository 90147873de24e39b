package main

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// An address is a struct sockaddr in its bytes, as it was read of the program once.
type address []byte

// longest is the longest address that the kernel takes.
const longest = 128

// pathAt is where the path begins in that of a Unix socket, and pathEnd where it ends.
const (
	pathAt  = 2
	pathEnd = 110
)

func (a address) family() int {
	if len(a) < 2 {
		return -1
	}
	return int(binary.LittleEndian.Uint16(a)) // both architectures are little-endian
}

// host is what an address of IPv4 or IPv6 leads to.
func (a address) host() (netip.AddrPort, bool) {
	const shortest6 = 24 // without a scope
	switch family := a.family(); {
	// To who sends, no family is IPv4's.
	case (family == syscall.AF_INET || family == syscall.AF_UNSPEC) && len(a) >= syscall.SizeofSockaddrInet4:
		ip, _ := netip.AddrFromSlice(a[4:8])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(a[2:])), true
	case family == syscall.AF_INET6 && len(a) >= shortest6:
		ip, _ := netip.AddrFromSlice(a[8:24])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(a[2:])), true
	}
	return netip.AddrPort{}, false
}

// path is that of a Unix socket, up to a NUL or its end; a longer one is for the kernel to refuse.
func (a address) path() (string, bool) {
	if a.family() != syscall.AF_UNIX || len(a) <= pathAt || len(a) > pathEnd || a[pathAt] == 0 {
		return "", false
	}
	path, _, _ := strings.Cut(string(a[pathAt:]), "\x00")
	return path, true
}

// abstract is the name of a Unix socket that is no file.
func (a address) abstract() (string, bool) {
	if a.family() != syscall.AF_UNIX || len(a) <= pathAt || len(a) > pathEnd || a[pathAt] != 0 {
		return "", false
	}
	return string(a[pathAt+1:]), true
}

// String is for people.
func (a address) String() string {
	if host, ok := a.host(); ok {
		return host.String()
	}
	if path, ok := a.path(); ok {
		return path
	}
	if name, ok := a.abstract(); ok {
		return "@" + name
	}
	return a.familyName()
}

func (a address) familyName() string {
	switch family := a.family(); family {
	case syscall.AF_UNSPEC:
		return "unspecified"
	case syscall.AF_UNIX:
		return "unix"
	case syscall.AF_INET:
		return "inet"
	case syscall.AF_INET6:
		return "inet6"
	case syscall.AF_NETLINK:
		return "netlink"
	default:
		return "family " + strconv.Itoa(family)
	}
}

// pathTo is an address that leads to an open file, whatever its path and however long that is.
func pathTo(file int) address {
	a := binary.LittleEndian.AppendUint16(nil, syscall.AF_UNIX)
	return append(append(a, "/proc/self/fd/"+strconv.Itoa(file)...), 0)
}
