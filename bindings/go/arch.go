package unotify

// #include "shim.h"
import "C"

import "unsafe"

// Version is the version of the C library that the program runs with, such as "0.1.0".
func Version() string { return C.GoString(C.unotify_version()) }

// Features that the running kernel may have, see [Features].
const (
	FeatureNotify            uint64 = C.UNOTIFY_FEATURE_NOTIFY              // User notification (Linux 5.0).
	FeatureTsyncWithListener uint64 = C.UNOTIFY_FEATURE_TSYNC_WITH_LISTENER // LoadTsync works (Linux 5.7).
	FeatureWaitKillable      uint64 = C.UNOTIFY_FEATURE_WAIT_KILLABLE       // Only fatal signals interrupt (Linux 5.19).
)

// Features is what the running kernel is found to offer.
func Features() uint64 { return uint64(C.unotify_features()) }

// ArchNative is the architecture that the library was compiled for, an AUDIT_ARCH_* value. Everywhere in this
// package 0 means the same.
func ArchNative() uint32 { return uint32(C.unotify_arch_native()) }

// ArchCompat is that of 32-bit programs here: x86 on x86_64, arm on aarch64, else the native one.
func ArchCompat() uint32 { return uint32(C.unotify_arch_compat()) }

// ArchFromName gives an architecture's number by its name, such as "x86_64".
func ArchFromName(name string) (uint32, error) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	result := C.shim_arch_from_name(c)
	return uint32(result.value), failure(result)
}

// ArchName is the short name of an architecture, such as "x86_64", or "" for a number that is not one.
func ArchName(arch uint32) string { return C.GoString(C.unotify_arch_name(C.uint32_t(arch))) }

// SyscallFromName gives the number of a system call on an architecture.
func SyscallFromName(arch uint32, name string) (int, error) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	result := C.shim_syscall_from_name(C.uint32_t(arch), c)
	return int(result.value), failure(result)
}

// SyscallName gives the name of a system call.
func SyscallName(arch uint32, number int) (string, error) {
	buf := make([]byte, 64)
	err := failure(C.shim_syscall_name(C.uint32_t(arch), C.int(number), (*C.char)(unsafe.Pointer(&buf[0])), C.size_t(len(buf))))
	if err != nil {
		return "", err
	}
	return cString(buf), nil
}

// Families are the names that [Filter.NotifyFamily] knows.
func Families() []string {
	var names []string
	for i := C.size_t(0); ; i++ {
		name := C.unotify_family_name(i)
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// What is in a buffer before its NUL.
func cString(buf []byte) string {
	for i, b := range buf {
		if b == 0 {
			return string(buf[:i])
		}
	}
	return string(buf)
}
