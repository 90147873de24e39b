package unotify

// #include "shim.h"
import "C"

import (
	"syscall"
	"time"
)

// ProbeOutcome is whether something works here.
type ProbeOutcome uint32

const (
	ProbeWorks    ProbeOutcome = C.UNOTIFY_PROBE_WORKS     // It works.
	ProbeFails    ProbeOutcome = C.UNOTIFY_PROBE_FAILS     // It does not.
	ProbeNotTried ProbeOutcome = C.UNOTIFY_PROBE_NOT_TRIED // Something that it takes does not work.
)

// ProbePart is one thing that a supervisor does, and whether it can here.
type ProbePart struct {
	Name    string        // What it is called, such as "receive": unotify(7) has them all.
	Detail  string        // Why it does not work, as far as can be told.
	Outcome ProbeOutcome  // Whether it works.
	Errno   syscall.Errno // The error number of what does not work, or 0.
	IsBasic bool          // There is no supervisor without it.
}

// Probe tries what a supervisor does, with a thread and a child of its own, and tells whether programs can be
// supervised here, and of each part whether it works. The limit is for each wait; at most a few are needed.
func Probe(limit time.Duration) (works bool, parts []ProbePart, err error) {
	result := C.shim_probe_new(C.int(milliseconds(limit)))
	if err := failure(result); err != nil {
		return false, nil, err
	}
	probe := (*C.unotify_probe)(C.shim_pointer(result.handle))
	defer C.unotify_probe_free(probe)
	for i := C.size_t(0); ; i++ {
		part := C.unotify_probe_part{size: C.sizeof_unotify_probe_part}
		if C.unotify_probe_get(probe, i, &part) != 0 {
			break
		}
		parts = append(parts, ProbePart{
			Name: C.GoString(part.name), Detail: C.GoString(part.detail), Outcome: ProbeOutcome(part.outcome),
			Errno: syscall.Errno(part.errnum), IsBasic: part.is_basic != 0,
		})
	}
	return C.unotify_probe_basics_work(probe) != 0, parts, nil
}

// In whole milliseconds, at least one of what is positive.
func milliseconds(d time.Duration) int32 {
	const most = 1<<31 - 1
	switch rounded := (d + time.Millisecond - 1) / time.Millisecond; {
	case d <= 0:
		return 0
	case rounded > most:
		return most
	default:
		return int32(rounded)
	}
}
