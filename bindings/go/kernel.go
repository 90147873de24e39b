package unotify

/*
#include <signal.h>
#include <string.h>

// The signal that the library gets threads out of a receive with. The runtime has its handler for all signals there
// are, and this one ends the program there; the library takes a signal only if nobody has it.
static void shim_release_signal(void)
{
#ifdef SIGSTKFLT
	struct sigaction reserved, runtime, none;

	sigaction(SIGSEGV, NULL, &runtime);
	sigaction(SIGSTKFLT, NULL, &reserved);
	if (reserved.sa_sigaction != runtime.sa_sigaction)
		return;
	memset(&none, 0, sizeof none);
	none.sa_handler = SIG_DFL;
	sigaction(SIGSTKFLT, &none, NULL);
#endif
}
*/
import "C"

import (
	"fmt"
	"syscall"
)

func init() { C.shim_release_signal() }

// Before Linux 6.11 a process that nobody has waited for keeps its listener.
var zombiesKeepListeners = !kernelIs(6, 11)

func kernelIs(major, minor int) bool {
	var name syscall.Utsname
	var x, y int
	if syscall.Uname(&name) != nil {
		return false
	}
	release := make([]byte, 0, len(name.Release))
	for _, c := range name.Release {
		release = append(release, byte(c))
	}
	if _, err := fmt.Sscanf(cString(release), "%d.%d", &x, &y); err != nil {
		return false
	}
	return x > major || x == major && y >= minor
}
