//go:build !unotify_static

package unotify

// #cgo pkg-config: unotify
import "C"
