//go:build race

package unotify_test

// The race detector keeps memory of its own for what a program does.
func init() { raceDetector = true }
