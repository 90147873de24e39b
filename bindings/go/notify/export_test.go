package notify

import "os"

// As on a kernel before 6.11, for which the tests are run once more.
func init() {
	if os.Getenv("UNOTIFY_TEST_WITHOUT_PATROL") != "" {
		canKick = func() bool { return false }
	}
}
