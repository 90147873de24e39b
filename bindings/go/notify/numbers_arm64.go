package notify

// Numbers of system calls that package syscall does not have.
const (
	sysProcessVMReadv = 270
	sysKcmp           = 272
	sysSeccomp        = 277
	sysPrlimit64      = 261
	sysSetns          = 268
)

// The architecture as a filter and a request show it (AUDIT_ARCH_AARCH64).
const nativeArch = 0xc00000b7

// No second ABI hides among the numbers.
const x32Bit = 0
