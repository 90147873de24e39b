package unotify

// #include "shim.h"
import "C"

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// Action is what the kernel does with a system call, one of its SECCOMP_RET_* values.
type Action uint32

const (
	ActionKillProcess Action = C.UNOTIFY_ACTION_KILL_PROCESS // Kill the whole process.
	ActionKillThread  Action = C.UNOTIFY_ACTION_KILL_THREAD  // Kill the calling thread.
	ActionTrap        Action = C.UNOTIFY_ACTION_TRAP         // Send the thread a SIGSYS.
	ActionNotify      Action = C.UNOTIFY_ACTION_NOTIFY       // Park the thread and notify the supervisor.
	ActionLog         Action = C.UNOTIFY_ACTION_LOG          // Make the call and log it.
	ActionAllow       Action = C.UNOTIFY_ACTION_ALLOW        // Make the call.
)

// ActionErrno makes a call fail without asking the supervisor. With 0 it returns 0 without being made.
func ActionErrno(errno syscall.Errno) Action {
	return Action(C.unotify_action_errno(C.uint16_t(errno)))
}

// Op is how a condition compares an argument.
type Op uint32

const (
	NotEqual       Op = C.UNOTIFY_COMPARE_NOT_EQUAL        // The argument differs from Value.
	Less           Op = C.UNOTIFY_COMPARE_LESS             // The argument is less than Value.
	LessOrEqual    Op = C.UNOTIFY_COMPARE_LESS_OR_EQUAL    // The argument is at most Value.
	Equal          Op = C.UNOTIFY_COMPARE_EQUAL            // The argument is Value.
	GreaterOrEqual Op = C.UNOTIFY_COMPARE_GREATER_OR_EQUAL // The argument is at least Value.
	Greater        Op = C.UNOTIFY_COMPARE_GREATER          // The argument is greater than Value.
	MaskedEqual    Op = C.UNOTIFY_COMPARE_MASKED_EQUAL     // The argument and-ed with Mask is Value.
)

// Condition is one on an argument of a system call, an unsigned 64-bit number.
type Condition struct {
	Arg   int    // The number of the argument, 0 to 5.
	Op    Op     // How it is compared.
	Value uint64 // What it is compared with.
	Mask  uint64 // For MaskedEqual the bits that count, otherwise 0.
}

// Flags of loading a filter.
const (
	LoadTsync          uint32 = C.UNOTIFY_LOAD_TSYNC            // For all threads (with a listener since Linux 5.7).
	LoadLog            uint32 = C.UNOTIFY_LOAD_LOG              // Log every action but allow.
	LoadSpecAllow      uint32 = C.UNOTIFY_LOAD_SPEC_ALLOW       // Leave Speculative Store Bypass unmitigated.
	LoadNoWaitKillable uint32 = C.UNOTIFY_LOAD_NO_WAIT_KILLABLE // Any signal may interrupt a received call.
	LoadNoSyncWakeUp   uint32 = C.UNOTIFY_LOAD_NO_SYNC_WAKE_UP  // Leave synchronous wake-up off.
	LoadKeepPrivs      uint32 = C.UNOTIFY_LOAD_KEEP_PRIVS       // Leave no_new_privs as it is.
)

// Filter is a filter that is being built. It may be used by several goroutines.
type Filter struct {
	mu sync.Mutex
	c  *C.unotify_filter
}

// NewFilter makes a filter for the native architecture that does the action for every call without a rule. It
// kills a process that makes a call of any other architecture, see [Filter.AddArch].
func NewFilter(action Action) (*Filter, error) {
	result := C.shim_filter_new(C.uint32_t(action))
	if err := failure(result); err != nil {
		return nil, err
	}
	f := &Filter{c: (*C.unotify_filter)(C.shim_pointer(result.handle))}
	runtime.SetFinalizer(f, (*Filter).Close)
	return f, nil
}

func (f *Filter) with(use func(*C.unotify_filter) C.shim_result) (C.shim_result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c == nil {
		return C.shim_result{}, errFilterClosed
	}
	result := use(f.c)
	return result, failure(result)
}

// AddArch makes the filter decide about calls of an architecture too. Add all before the first rule.
func (f *Filter) AddArch(arch uint32) error {
	_, err := f.with(func(c *C.unotify_filter) C.shim_result {
		return C.shim_filter_add_arch(c, C.uint32_t(arch))
	})
	return err
}

// AddRule does the action for the calls of this name whose arguments meet all conditions. A rule without
// conditions replaces those with some for the same call; of two without, the first counts.
func (f *Filter) AddRule(action Action, name string, conditions ...Condition) error {
	compares := make([]C.unotify_arg_compare, len(conditions)+1)
	for i, condition := range conditions {
		if condition.Arg < 0 || condition.Arg > 5 {
			return newError(ErrInvalidArgument, syscall.EINVAL, "a condition is on argument %d; there are 0 to 5", condition.Arg)
		}
		compares[i] = C.unotify_arg_compare{
			arg: C.uint32_t(condition.Arg), op: C.uint32_t(condition.Op),
			value: C.uint64_t(condition.Value), mask: C.uint64_t(condition.Mask),
		}
	}
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	_, err := f.with(func(c *C.unotify_filter) C.shim_result {
		return C.shim_filter_add_rule(c, C.uint32_t(action), cName, &compares[0], C.size_t(len(conditions)))
	})
	return err
}

// Notify has the supervisor asked about all calls of these names.
func (f *Filter) Notify(names ...string) error {
	for _, name := range names {
		if err := f.AddRule(ActionNotify, name); err != nil {
			return err
		}
	}
	return nil
}

// NotifyFamily notifies all system calls that do the same job, and refuses those that would do it past the
// filter. The names are those of [Families], such as "open"; docs/families.md has what each holds.
func (f *Filter) NotifyFamily(family string) error {
	cFamily := C.CString(family)
	defer C.free(unsafe.Pointer(cFamily))
	_, err := f.with(func(c *C.unotify_filter) C.shim_result {
		return C.shim_filter_notify_family(c, cFamily)
	})
	return err
}

// ExportBPF gives the filter as the kernel takes it, a struct sock_filter[].
func (f *Filter) ExportBPF() ([]byte, error) {
	result, err := f.with(func(c *C.unotify_filter) C.shim_result { return C.shim_filter_export_bpf(c) })
	if err != nil {
		return nil, err
	}
	program := C.shim_pointer(result.handle)
	defer C.free(program)
	return C.GoBytes(program, C.int(result.value)), nil
}

// ExportPFC writes the filter as text for people, in libseccomp's Pseudo Filter Code.
func (f *Filter) ExportPFC(file *os.File) error {
	return withFd(file, func(fd int) error {
		_, err := f.with(func(c *C.unotify_filter) C.shim_result {
			return C.shim_filter_export_pfc(c, C.int(fd))
		})
		return err
	})
}

// Load puts the filter on the calling thread, for good, and gives its listener, or nil for a filter that notifies
// nothing. To supervise another program use [Spawn]; this is for those who know which thread they are on:
//
// Without LoadTsync call runtime.LockOSThread first and never unlock, so that the thread ends with its goroutine
// (but for the process's first).
// The runtime makes system calls of its own on every thread, and what it notifies somebody else must answer: another
// process that the listener was sent to, or a goroutine that is on a thread without the filter already. With
// LoadTsync all threads of this process are targets.
func (f *Filter) Load(flags uint32) (*Listener, error) {
	result, err := f.with(func(c *C.unotify_filter) C.shim_result {
		return C.shim_filter_load(c, C.uint32_t(flags))
	})
	if err != nil || result.handle == 0 {
		return nil, err
	}
	return newListener((*C.unotify_listener)(C.shim_pointer(result.handle))), nil
}

// Close frees the filter. What was loaded stays loaded.
func (f *Filter) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c == nil {
		return errFilterClosed
	}
	runtime.SetFinalizer(f, nil)
	C.unotify_filter_free(f.c)
	f.c = nil
	return nil
}
