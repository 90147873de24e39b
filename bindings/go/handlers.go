package unotify

import "syscall"

// HandlerFlag is how a handler is to be run.
type HandlerFlag uint32

// Blocking is for a handler that waits for something: another goroutine receives before it is called.
const Blocking HandlerFlag = 1 << 0

// Handler decides about a notification. That is lent for the call, and must not be used after it, unless the verdict is
// [Deferred].
type Handler func(*Notification) Verdict

type handler struct {
	decide   Handler
	blocking bool
}

func newHandler(decide Handler, flags []HandlerFlag) (handler, error) {
	h := handler{decide: decide}
	if decide == nil {
		return h, newError(ErrInvalidArgument, syscall.EINVAL, "the handler is nil")
	}
	for _, flag := range flags {
		if flag&^Blocking != 0 {
			return h, newError(ErrInvalidArgument, syscall.EINVAL, "%#x is no flag of handlers", uint32(flag))
		}
		h.blocking = h.blocking || flag&Blocking != 0
	}
	return h, nil
}

// On sets a handler for a system call, on every architecture that has it. Several for one call are asked in the order
// in which they were set, until one gives something else than [NotHandled].
func (s *Supervisor) On(name string, decide Handler, flags ...HandlerFlag) error {
	h, err := newHandler(decide, flags)
	if err != nil {
		return err
	}
	if !isSyscall(name) {
		return newError(ErrUnknownSyscall, syscall.EINVAL, "no architecture has a system call %q", name)
	}
	return s.set(func() {
		if s.handlers == nil {
			s.handlers = map[string][]handler{}
		}
		s.handlers[name] = append(s.handlers[name], h)
	})
}

// OnDefault sets a handler for every system call that has none, or none that handled it.
func (s *Supervisor) OnDefault(decide Handler, flags ...HandlerFlag) error {
	h, err := newHandler(decide, flags)
	if err != nil {
		return err
	}
	return s.set(func() { s.defaults = append(s.defaults, h) })
}

func (s *Supervisor) set(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errSupervisorClosed
	case s.run != nil:
		return errRunning
	}
	change()
	s.table.Store(nil)
	return nil
}

var architectures = []string{
	"native", "x86_64", "x86", "x32", "aarch64", "arm", "loongarch64", "m68k", "mips", "mips64", "mips64n32", "mipsel",
	"mipsel64", "mipsel64n32", "parisc", "parisc64", "ppc", "ppc64", "ppc64le", "riscv64", "s390", "s390x", "sh", "sheb",
}

func isSyscall(name string) bool {
	for _, architecture := range architectures {
		if arch, err := ArchFromName(architecture); err == nil {
			if _, err := SyscallFromName(arch, name); err == nil {
				return true
			}
		}
	}
	return false
}

// callKey is a system call of an architecture.
type callKey uint64

func keyOf(r *Request) callKey { return callKey(r.Arch)<<32 | callKey(uint32(r.Syscall)) }

// find gives the handlers that are to be asked about a call, in order.
func (s *Supervisor) find(r *Request) []handler {
	key := keyOf(r)
	if table := s.table.Load(); table != nil {
		if found, ok := (*table)[key]; ok {
			return found
		}
	}
	name, err := SyscallName(r.Arch, r.Syscall)
	if err != nil {
		return s.defaults // And not kept: there are too many numbers that are none.
	}
	found := append(append([]handler(nil), s.handlers[name]...), s.defaults...)
	s.mu.Lock()
	defer s.mu.Unlock()
	table := map[callKey][]handler{key: found}
	if before := s.table.Load(); before != nil {
		for key, found := range *before {
			table[key] = found
		}
	}
	s.table.Store(&table)
	return found
}
