// Netguard runs a program that may send only to the destinations on a list.
//
//	netguard [-log FILE] WHERE[,WHERE...] -- PROGRAM [ARGUMENT...]
//
// WHERE is HOST:PORT, the path of a Unix socket, which begins with a slash, or the name of an abstract one,
// which begins with @. HOST is an address, a range of them (10.0.0.0/8), a name, which is looked up once at the
// beginning, or * for all; IPv6 ones are in brackets. PORT is a number, or * for all:
//
//	netguard '127.0.0.1:80,[::1]:80,10.0.0.0/8:*,/run/nscd/socket' -- curl http://localhost/
//
// Every connection and every datagram to anywhere else fails with EACCES, of the program and of all that it
// starts. What was tried is logged, a line of JSON for each, to standard error or FILE.
//
// The program's calls are not let through once they were found good, as it could change what they point to in
// between. Netguard reads each destination once, duplicates the program's socket, and makes the call itself.
// io_uring, SCTP and options that choose a packet's way, which would go past that, are refused; calls of other
// architectures kill. It exits like the program.
//
// It is built with cgo on libunotify, and without (CGO_ENABLED=0) on package notify alone, from the same source.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run())
}

func run() int {
	flags := flag.NewFlagSet("netguard", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: netguard [-log FILE] WHERE[,WHERE...] -- PROGRAM [ARGUMENT...]\n"+
			"WHERE is HOST:PORT, [HOST]:PORT for IPv6, the path of a Unix socket, or @NAME of an abstract one")
	}
	logFile := flags.String("log", "", "where to log to instead of standard error")
	if err := flags.Parse(os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	argv := flags.Args()
	if len(argv) > 1 && argv[1] == "--" {
		argv = append(argv[:1], argv[2:]...)
	}
	if len(argv) < 2 {
		flags.Usage()
		return 2
	}
	allowed, err := parseList(argv[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "netguard:", err)
		return 2
	}
	log := io.Writer(os.Stderr)
	if *logFile != "" {
		file, err := os.OpenFile(*logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			fmt.Fprintln(os.Stderr, "netguard:", err)
			return 1
		}
		defer file.Close()
		log = file
	}

	// The program has the terminal's signals from there. Handled ones are as usual in the program.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	program, err := start(argv[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "netguard:", err)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 126
	}
	go func() {
		for number := range signals {
			if number == syscall.SIGTERM || number == syscall.SIGHUP {
				program.signal(number.(syscall.Signal))
			}
		}
	}()
	guard := newGuard(allowed, log)
	go func() {
		if err := guard.serve(program.listener); err != nil {
			// Whoever is not answered waits for ever.
			fmt.Fprintln(os.Stderr, "netguard:", err)
			program.signal(syscall.SIGKILL)
		}
	}()
	return exitLike(program.wait())
}

// exitLike ends this process as another has ended.
func exitLike(status syscall.WaitStatus) int {
	if !status.Signaled() {
		return status.ExitStatus()
	}
	number := status.Signal()
	// One core is enough.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	signal.Reset(number)
	_ = syscall.Kill(os.Getpid(), number)
	time.Sleep(time.Second) // another thread may take it
	return 128 + int(number)
}
