//go:build cgo

package main

import (
	"os"
	"syscall"

	unotify "libunotify/go"
)

type (
	listener     = unotify.Listener
	notification = unotify.Notification
	condition    = unotify.Condition
)

const (
	masked   = unotify.MaskedEqual
	notEqual = unotify.NotEqual
	errEnded = unotify.ErrClosed
)

// A program that was started under the filter.
type program struct {
	listener *listener
	child    *unotify.Child
}

func start(argv []string) (*program, error) {
	filter, err := unotify.NewFilter(unotify.ActionAllow)
	if err != nil {
		return nil, err
	}
	defer filter.Close()
	for _, rule := range rules {
		action := unotify.ActionNotify
		if rule.errno != 0 {
			action = unotify.ActionErrno(rule.errno)
		}
		if err := filter.AddRule(action, rule.name, rule.when...); err != nil {
			return nil, err
		}
	}
	spawn := unotify.Command(filter, argv[0], argv[1:]...)
	spawn.Stdin, spawn.Stdout, spawn.Stderr = os.Stdin, os.Stdout, os.Stderr
	child, err := spawn.Start()
	if err != nil {
		return nil, err
	}
	return &program{child.Listener, child}, nil
}

func (p *program) wait() syscall.WaitStatus {
	_ = p.child.Wait()
	return p.child.WaitStatus()
}

func (p *program) signal(number syscall.Signal) { _ = p.child.Signal(number) }
