package unotify

// LetZombiesKeepListeners waits as before Linux 6.11, until what it gives is called.
func LetZombiesKeepListeners() (undo func()) {
	before := zombiesKeepListeners
	zombiesKeepListeners = true
	return func() { zombiesKeepListeners = before }
}
