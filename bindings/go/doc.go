// Package unotify answers the system calls of other programs.
//
// It is the Go form of libunotify, whose C interface it calls through cgo.
package unotify
