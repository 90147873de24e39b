package notify

// Numbers of system calls that package syscall does not have.
const (
	sysProcessVMReadv = 310
	sysKcmp           = 312
	sysSeccomp        = 317
	sysPrlimit64      = 302
	sysSetns          = 308
)

// The architecture as a filter and a request show it (AUDIT_ARCH_X86_64).
const nativeArch = 0xc000003e

// Calls of the x32 ABI come under the same architecture with this bit in their number.
const x32Bit = 0x40000000
