package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// A list is where the program may send to.
type list struct {
	hosts    []host
	paths    []string // of Unix sockets
	abstract map[string]bool
}

type host struct {
	addresses netip.Prefix
	port      int // -1 for all
}

var everywhere = []netip.Prefix{
	netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

func parseList(text string) (*list, error) {
	l := &list{abstract: make(map[string]bool)}
	for _, where := range strings.Split(text, ",") {
		switch {
		case strings.HasPrefix(where, "/"):
			l.paths = append(l.paths, where)
		case strings.HasPrefix(where, "@"):
			l.abstract[where[1:]] = true
		default:
			hosts, err := parseHost(where)
			if err != nil {
				return nil, err
			}
			l.hosts = append(l.hosts, hosts...)
		}
	}
	return l, nil
}

func parseHost(where string) ([]host, error) {
	name, portText, err := net.SplitHostPort(where)
	if err != nil {
		return nil, fmt.Errorf("%q is no HOST:PORT, and no Unix socket", where)
	}
	port := -1
	if portText != "*" {
		number, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q: %q is no port", where, portText)
		}
		port = int(number)
	}
	addresses, err := lookUp(name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", where, err)
	}
	var hosts []host
	for _, address := range addresses {
		hosts = append(hosts, host{address, port})
	}
	return hosts, nil
}

func lookUp(name string) ([]netip.Prefix, error) {
	if name == "*" {
		return everywhere, nil
	}
	if strings.Contains(name, "/") {
		prefix, err := netip.ParsePrefix(name)
		return []netip.Prefix{prefix}, err
	}
	if address, err := netip.ParseAddr(name); err == nil {
		return []netip.Prefix{single(address)}, nil
	}
	found, err := net.LookupIP(name)
	var prefixes []netip.Prefix
	for _, ip := range found {
		if address, ok := netip.AddrFromSlice(ip); ok {
			prefixes = append(prefixes, single(address))
		}
	}
	return prefixes, err
}

func single(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	return netip.PrefixFrom(address, address.BitLen())
}

// allowsHost tells whether an address is on the list. The wildcard is the machine itself, for who sends.
func (l *list) allowsHost(to netip.AddrPort) bool {
	address := to.Addr().Unmap().WithZone("")
	switch address {
	case netip.IPv4Unspecified():
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		address = netip.AddrFrom16([16]byte{15: 1})
	}
	for _, host := range l.hosts {
		if host.addresses.Contains(address) && (host.port < 0 || host.port == int(to.Port())) {
			return true
		}
	}
	return false
}

// allowsSocket tells whether it is the very socket that one of the paths leads to now.
func (l *list) allowsSocket(file int) bool {
	var theirs, ours syscall.Stat_t
	if syscall.Fstat(file, &theirs) != nil {
		return false
	}
	for _, path := range l.paths {
		if syscall.Stat(path, &ours) == nil && ours.Dev == theirs.Dev && ours.Ino == theirs.Ino {
			return true
		}
	}
	return false
}
