//go:build !cgo

package main

import (
	"os"
	"os/exec"
	"syscall"

	"libunotify/go/notify"
)

type (
	listener     = notify.Listener
	notification = notify.Notification
	condition    = notify.Condition
)

const (
	masked   = notify.MaskedEqual
	notEqual = notify.NotEqual
	errEnded = notify.ErrClosed
)

// A program that was started under the filter.
type program struct {
	listener *listener
	command  *exec.Cmd
}

func start(argv []string) (*program, error) {
	var filter notify.Filter
	for _, rule := range rules {
		if rule.errno == 0 {
			filter.Notify(rule.number, rule.when...)
		} else {
			filter.Refuse(rule.number, rule.errno, rule.when...)
		}
	}
	command := exec.Command(argv[0], argv[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	listener, err := notify.Start(command, &filter)
	if err != nil {
		return nil, err
	}
	return &program{listener, command}, nil
}

func (p *program) wait() syscall.WaitStatus {
	_ = p.command.Wait()
	return p.command.ProcessState.Sys().(syscall.WaitStatus)
}

func (p *program) signal(number syscall.Signal) { _ = p.command.Process.Signal(number) }
