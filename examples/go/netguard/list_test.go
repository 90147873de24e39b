package main

import (
	"net/netip"
	"testing"
)

func TestTheListSaysWhichHosts(t *testing.T) {
	list, err := parseList("127.0.0.1:80,10.0.0.0/8:443,[::1]:*,[2001:db8::/32]:53,*:123")
	if err != nil {
		t.Fatal(err)
	}
	for to, allowed := range map[string]bool{
		"127.0.0.1:80":           true,
		"127.0.0.1:81":           false,
		"0.0.0.0:80":             true,
		"127.0.0.2:80":           false,
		"[::ffff:127.0.0.1]:80":  true,
		"[::ffff:127.0.0.2]:80":  false,
		"10.255.0.1:443":         true,
		"11.0.0.1:443":           false,
		"[::1]:9999":             true,
		"[::]:9999":              true,
		"[2001:db8:1::1]:53":     true,
		"[2001:db9::1]:53":       false,
		"8.8.8.8:123":            true,
		"[2001:db9::1%eth0]:123": true,
	} {
		if got := list.allowsHost(netip.MustParseAddrPort(to)); got != allowed {
			t.Errorf("%s: %v", to, got)
		}
	}
}

func TestAnAddressIsTakenApart(t *testing.T) {
	for text, a := range map[string]address{
		"127.0.0.1:80": {2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"0.0.0.1:256":  {0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"inet":         {2, 0, 0, 80, 127, 0, 0, 1},
		"[::]:5":       append(address{10, 0, 0, 5}, make([]byte, 20)...),
		"inet6":        append(address{10, 0, 0, 5}, make([]byte, 19)...),
		"/a/b":         {1, 0, '/', 'a', '/', 'b'},
		"/a":           {1, 0, '/', 'a', 0, 'b'},
		"@name":        {1, 0, 0, 'n', 'a', 'm', 'e'},
		"unix":         {1, 0},
		"family 40":    {40, 0, 1},
		"family -1":    {40},
		"netlink":      {16, 0, 0, 0},
	} {
		if a.String() != text {
			t.Errorf("%q instead of %q", a.String(), text)
		}
	}
	if _, ok := append(address{1, 0}, make([]byte, 109)...).abstract(); ok {
		t.Error("an address that is too long has a name")
	}
}
