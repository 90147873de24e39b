package notify

import "syscall"

// The calls that a thread of a Go program makes at any time, and those on the way to a program: between
// loading a filter and the program's first instruction.
var neededToStart = setOf(
	// The runtime.
	syscall.SYS_FUTEX, syscall.SYS_MMAP, syscall.SYS_MUNMAP, syscall.SYS_MADVISE, syscall.SYS_SCHED_YIELD,
	syscall.SYS_SCHED_GETAFFINITY, syscall.SYS_NANOSLEEP, syscall.SYS_EPOLL_PWAIT, syscall.SYS_EPOLL_CTL,
	syscall.SYS_EPOLL_CREATE1, syscall.SYS_RT_SIGPROCMASK, syscall.SYS_RT_SIGACTION, syscall.SYS_RT_SIGRETURN,
	syscall.SYS_SIGALTSTACK, syscall.SYS_TGKILL, syscall.SYS_GETPID, syscall.SYS_GETTID, syscall.SYS_CLONE,
	syscall.SYS_EXIT, syscall.SYS_EXIT_GROUP, syscall.SYS_RESTART_SYSCALL, syscall.SYS_PRCTL,
	syscall.SYS_CLOCK_GETTIME, syscall.SYS_TIMER_CREATE, syscall.SYS_TIMER_SETTIME, syscall.SYS_TIMER_DELETE,
	// Of the listener, and starting.
	syscall.SYS_IOCTL, syscall.SYS_FCNTL, syscall.SYS_PIPE2, syscall.SYS_READ, syscall.SYS_WRITE,
	syscall.SYS_CLOSE, syscall.SYS_WAIT4, syscall.SYS_WAITID, syscall.SYS_KILL, sysPidfdOpen,
	sysPidfdSendSignal, sysClone3, sysPrlimit64,
	// In the child.
	syscall.SYS_DUP3, syscall.SYS_EXECVE, syscall.SYS_SETSID, syscall.SYS_SETPGID, syscall.SYS_CHDIR,
	syscall.SYS_CHROOT, syscall.SYS_SETGROUPS, syscall.SYS_SETGID, syscall.SYS_SETUID, syscall.SYS_UNSHARE,
	syscall.SYS_MOUNT, syscall.SYS_CAPGET, syscall.SYS_CAPSET, syscall.SYS_PTRACE, sysSetns, sysCloseRange,
)

func setOf(numbers ...int) map[int]bool {
	set := make(map[int]bool)
	for _, number := range numbers {
		set[number] = true
	}
	return set
}
