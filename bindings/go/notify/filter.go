package notify

import (
	"syscall"
)

// A Filter is a small seccomp filter: it notifies some calls, refuses some, and allows the rest. Only calls
// of this program's own architecture get that far. Others kill the process that makes them, on amd64
// those of 32-bit programs and of the x32 ABI among them, as they would slip past every rule.
//
// The first rule that matches decides. Calls are numbers (syscall.SYS_CONNECT), which differ between
// architectures. Filters of any other kind are made with package libunotify/go.
type Filter struct {
	rules []rule
	err   error
}

type rule struct {
	number     int
	action     uint32
	conditions []Condition
}

// Op is how a condition compares an argument.
type Op uint32

const (
	NotEqual    Op = 1 // The argument differs from Value.
	Equal       Op = 4 // The argument is Value.
	MaskedEqual Op = 7 // The argument and-ed with Mask is Value.
)

// Condition is one on an argument of a system call, an unsigned 64-bit number.
type Condition struct {
	Arg   int    // The number of the argument, 0 to 5.
	Op    Op     // How it is compared.
	Value uint64 // What it is compared with.
	Mask  uint64 // For MaskedEqual the bits that count, otherwise 0.
}

// What a filter answers (linux/seccomp.h).
const (
	actionKillProcess = 0x80000000
	actionErrno       = 0x00050000
	actionNotify      = 0x7fc00000
	actionAllow       = 0x7fff0000
)

// Notify has a call notified, if all conditions hold.
func (f *Filter) Notify(number int, when ...Condition) {
	f.add(rule{number, actionNotify, when})
}

// Refuse has a call fail with an error number, if all conditions hold.
func (f *Filter) Refuse(number int, errno syscall.Errno, when ...Condition) {
	if err := checkErrno(errno); err != nil && f.err == nil {
		f.err = err
	}
	f.add(rule{number, actionErrno | uint32(errno)&0xffff, when})
}

func (f *Filter) add(r rule) {
	if err := r.check(); err != nil && f.err == nil {
		f.err = err
	}
	f.rules = append(f.rules, r)
}

func (r rule) check() error {
	const most = 16 // a jump is no longer than 255 instructions
	if r.number < 0 {
		return invalid("no call has the number %d", r.number)
	}
	if len(r.conditions) > most {
		return invalid("a rule has %d conditions, of which there may be %d", len(r.conditions), most)
	}
	for _, c := range r.conditions {
		if c.Arg < 0 || c.Arg > 5 {
			return invalid("a condition is on argument %d; there are 0 to 5", c.Arg)
		}
		if c.Op != NotEqual && c.Op != Equal && c.Op != MaskedEqual {
			return invalid("no condition has the operation %d", c.Op)
		}
	}
	return nil
}

// The instructions that are used here, and where in struct seccomp_data they look.
const (
	load      = syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS
	and       = syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K
	jumpEqual = syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K
	jump      = syscall.BPF_JMP | syscall.BPF_JA
	jumpFrom  = syscall.BPF_JMP | syscall.BPF_JGE | syscall.BPF_K
	give      = syscall.BPF_RET | syscall.BPF_K

	atNumber = 0
	atArch   = 4
	atArgs   = 16
)

// Program is the filter as the kernel takes it (seccomp(2)).
func (f *Filter) Program() ([]syscall.SockFilter, error) {
	if f.err != nil {
		return nil, f.err
	}
	program := []syscall.SockFilter{
		{Code: load, K: atArch},
		{Code: jumpEqual, K: nativeArch, Jt: 1},
		{Code: give, K: actionKillProcess},
	}
	if x32Bit != 0 {
		program = append(program,
			syscall.SockFilter{Code: load, K: atNumber},
			// Of the numbers from there on only -1 is none of x32's: a tracer skips calls with it.
			syscall.SockFilter{Code: jumpFrom, K: x32Bit, Jf: 2},
			syscall.SockFilter{Code: jumpEqual, K: 0xffffffff, Jt: 1},
			syscall.SockFilter{Code: give, K: actionKillProcess},
		)
	}
	for _, r := range f.rules {
		program = append(program, r.program()...)
	}
	program = append(program, syscall.SockFilter{Code: give, K: actionAllow})
	const most = 4096
	if len(program) > most {
		return nil, invalid("the filter has %d instructions, of which the kernel takes %d", len(program), most)
	}
	return program, nil
}

// program is one rule's instructions. What does not match goes on behind them.
func (r rule) program() []syscall.SockFilter {
	length := 3
	for _, c := range r.conditions {
		length += c.length()
	}
	program := make([]syscall.SockFilter, 0, length)
	// miss is how far it is from the next instruction to the end.
	miss := func() int { return length - len(program) - 1 }
	add := func(code uint16, operand uint32, ifNot int) {
		program = append(program, syscall.SockFilter{Code: code, K: operand, Jf: uint8(ifNot)})
	}
	add(load, atNumber, 0)
	add(jumpEqual, uint32(r.number), miss())
	for _, c := range r.conditions {
		mask := ^uint64(0)
		if c.Op == MaskedEqual {
			mask = c.Mask
		}
		at := uint32(atArgs + 8*c.Arg) // little-endian, the lower half first
		add(load, at, 0)
		add(and, uint32(mask), 0)
		if c.Op != NotEqual {
			add(jumpEqual, uint32(c.Value), miss())
			add(load, at+4, 0)
			add(and, uint32(mask>>32), 0)
			add(jumpEqual, uint32(c.Value>>32), miss())
			continue
		}
		// A lower half that differs is enough, and goes on behind the condition.
		add(jumpEqual, uint32(c.Value), 4)
		add(load, at+4, 0)
		add(and, uint32(mask>>32), 0)
		add(jumpEqual, uint32(c.Value>>32), 1)
		add(jump, uint32(miss()), 0)
	}
	add(give, r.action, 0)
	return program
}

func (c Condition) length() int {
	if c.Op == NotEqual {
		return 7
	}
	return 6
}

// notifies is the numbers of calls that may be notified.
func (f *Filter) notifies() []int {
	var numbers []int
	for _, r := range f.rules {
		if r.action == actionNotify {
			numbers = append(numbers, r.number)
		}
	}
	return numbers
}
