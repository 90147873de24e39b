//go:build unotify_static

package unotify

// #cgo pkg-config: --static unotify
import "C"
