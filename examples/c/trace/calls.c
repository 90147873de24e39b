#include "calls.h"

#include <stdlib.h>
#include <string.h>

/* In the order of strcmp(3), as they are searched for. */
/* clang-format off */
const struct call CALLS[] = {
    { "accept", NETWORK, { FD, ADDRESS, ADDRESS } },
    { "accept4", NETWORK, { FD, ADDRESS, ADDRESS, ACCEPT_FLAGS } },
    { "access", FILES, { PATH, ACCESS_MODE } },
    { "acct", FILES, { PATH } },
    { "alarm", 0, { SIZE } },
    { "arch_prctl", 0, { ARCH_CODE, ADDRESS } },
    { "bind", NETWORK, { FD, SOCKADDR, INT } },
    { "brk", 0, { ADDRESS } },
    { "chdir", FILES, { PATH } },
    { "chmod", FILES, { PATH, MODE } },
    { "chown", FILES, { PATH, ID, ID } },
    { "chown32", FILES, { PATH, ID, ID } },
    { "chroot", FILES, { PATH } },
    { "clock_getres", 0, { CLOCK, ADDRESS } },
    { "clock_gettime", 0, { CLOCK, ADDRESS } },
    { "clock_gettime64", 0, { CLOCK, ADDRESS } },
    { "clock_nanosleep", 0, { CLOCK, TIMER_FLAGS, TIME, ADDRESS } },
    { "clock_nanosleep_time64", 0, { CLOCK, TIMER_FLAGS, TIME64, ADDRESS } },
    { "clone", PROCESS, { CLONE_FLAGS, ADDRESS, ADDRESS, ADDRESS, ADDRESS } },
    { "clone3", PROCESS, { CLONE_ARGS, SIZE } },
    { "close", 0, { FD } },
    { "close_range", 0, { INT, INT, CLOSE_RANGE_FLAGS } },
    { "connect", NETWORK, { FD, SOCKADDR, INT } },
    { "copy_file_range", 0, { FD, ADDRESS, FD, ADDRESS, SIZE, HEX } },
    { "creat", FILES, { PATH, MODE } },
    { "dup", 0, { FD } },
    { "dup2", 0, { FD, FD } },
    { "dup3", 0, { FD, FD, PIPE_FLAGS } },
    { "epoll_create", 0, { INT } },
    { "epoll_create1", 0, { EPOLL_FLAGS } },
    { "epoll_ctl", 0, { FD, EPOLL_OPERATION, FD, EPOLL_EVENT } },
    { "epoll_pwait", 0, { FD, ADDRESS, INT, INT, SIGNAL_SET, SIZE } },
    { "epoll_pwait2", 0, { FD, ADDRESS, INT, TIME64, SIGNAL_SET, SIZE } },
    { "epoll_wait", 0, { FD, ADDRESS, INT, INT } },
    { "eventfd", 0, { INT } },
    { "eventfd2", 0, { INT, EVENTFD_FLAGS } },
    { "execve", FILES | PROCESS, { PATH, STRINGS, ENVIRONMENT } },
    { "execveat", FILES | PROCESS, { DIR_FD, PATH, STRINGS, ENVIRONMENT, AT_FLAGS } },
    { "exit", PROCESS, { INT } },
    { "exit_group", PROCESS, { INT } },
    { "faccessat", FILES, { DIR_FD, PATH, ACCESS_MODE } },
    { "faccessat2", FILES, { DIR_FD, PATH, ACCESS_MODE, ACCESS_AT_FLAGS } },
    { "fadvise64", 0, { FD, LONG, LONG, ADVICE } },
    { "fallocate", 0, { FD, FALLOCATE_MODE, LONG, LONG } },
    { "fanotify_mark", FILES, { FD, HEX, HEX, DIR_FD, PATH } },
    { "fchdir", 0, { FD } },
    { "fchmod", 0, { FD, MODE } },
    { "fchmodat", FILES, { DIR_FD, PATH, MODE } },
    { "fchmodat2", FILES, { DIR_FD, PATH, MODE, AT_FLAGS } },
    { "fchown", 0, { FD, ID, ID } },
    { "fchown32", 0, { FD, ID, ID } },
    { "fchownat", FILES, { DIR_FD, PATH, ID, ID, AT_FLAGS } },
    { "fcntl", 0, { FD, FCNTL_COMMAND, FCNTL_VALUE } },
    { "fcntl64", 0, { FD, FCNTL_COMMAND, FCNTL_VALUE } },
    { "fdatasync", 0, { FD } },
    { "fgetxattr", 0, { FD, STRING, ADDRESS, SIZE } },
    { "file_getattr", FILES, { DIR_FD, PATH, ADDRESS, SIZE, AT_FLAGS } },
    { "file_setattr", FILES, { DIR_FD, PATH, ADDRESS, SIZE, AT_FLAGS } },
    { "flistxattr", 0, { FD, ADDRESS, SIZE } },
    { "flock", 0, { FD, FLOCK_OPERATION } },
    { "fork", PROCESS, { NONE } },
    { "fremovexattr", 0, { FD, STRING } },
    { "fsconfig", FILES, { FD, INT, STRING, ADDRESS, INT } },
    { "fsetxattr", 0, { FD, STRING, BYTES, SIZE, XATTR_FLAGS } },
    { "fspick", FILES, { DIR_FD, PATH, HEX } },
    { "fstat", 0, { FD, ADDRESS } },
    { "fstat64", 0, { FD, ADDRESS } },
    { "fstatat64", FILES, { DIR_FD, PATH, ADDRESS, AT_FLAGS } },
    { "fstatfs", 0, { FD, ADDRESS } },
    { "fsync", 0, { FD } },
    { "ftruncate", 0, { FD, LONG } },
    { "futex", 0, { ADDRESS, FUTEX_OPERATION, INT, TIME, ADDRESS, INT } },
    { "futex_time64", 0, { ADDRESS, FUTEX_OPERATION, INT, TIME64, ADDRESS, INT } },
    { "futimesat", FILES, { DIR_FD, PATH, ADDRESS } },
    { "getcpu", 0, { ADDRESS, ADDRESS, ADDRESS } },
    { "getcwd", FILES, { ADDRESS, SIZE } },
    { "getdents", 0, { FD, ADDRESS, SIZE } },
    { "getdents64", 0, { FD, ADDRESS, SIZE } },
    { "getpeername", NETWORK, { FD, ADDRESS, ADDRESS } },
    { "getpgid", 0, { INT } },
    { "getpmsg", NETWORK, { FD, ADDRESS, ADDRESS, ADDRESS, ADDRESS } },
    { "getpriority", 0, { PRIORITY_OF, INT } },
    { "getrandom", 0, { ADDRESS, SIZE, RANDOM_FLAGS } },
    { "getrlimit", 0, { RESOURCE, ADDRESS } },
    { "getrusage", 0, { USAGE_OF, ADDRESS } },
    { "getsid", 0, { INT } },
    { "getsockname", NETWORK, { FD, ADDRESS, ADDRESS } },
    { "getsockopt", NETWORK, { FD, SOCKET_LEVEL, SOCKET_OPTION, ADDRESS, ADDRESS } },
    { "getxattr", FILES, { PATH, STRING, ADDRESS, SIZE } },
    { "getxattrat", FILES, { DIR_FD, PATH, AT_FLAGS, STRING, ADDRESS, SIZE } },
    { "inotify_add_watch", FILES, { FD, PATH, INOTIFY_MASK } },
    { "inotify_init1", 0, { INOTIFY_FLAGS } },
    { "inotify_rm_watch", 0, { FD, INT } },
    { "ioctl", 0, { FD, IOCTL_COMMAND, ADDRESS } },
    { "kill", PROCESS, { INT, SIGNAL } },
    { "lchown", FILES, { PATH, ID, ID } },
    { "lchown32", FILES, { PATH, ID, ID } },
    { "lgetxattr", FILES, { PATH, STRING, ADDRESS, SIZE } },
    { "link", FILES, { PATH, PATH } },
    { "linkat", FILES, { DIR_FD, PATH, DIR_FD, PATH, AT_FLAGS } },
    { "listen", NETWORK, { FD, INT } },
    { "listxattr", FILES, { PATH, ADDRESS, SIZE } },
    { "listxattrat", FILES, { DIR_FD, PATH, AT_FLAGS, ADDRESS, SIZE } },
    { "llistxattr", FILES, { PATH, ADDRESS, SIZE } },
    { "lremovexattr", FILES, { PATH, STRING } },
    { "lseek", 0, { FD, LONG, WHENCE } },
    { "lsetxattr", FILES, { PATH, STRING, BYTES, SIZE, XATTR_FLAGS } },
    { "lstat", FILES, { PATH, ADDRESS } },
    { "lstat64", FILES, { PATH, ADDRESS } },
    { "madvise", 0, { ADDRESS, SIZE, MEMORY_ADVICE } },
    { "memfd_create", 0, { STRING, MEMFD_FLAGS } },
    { "mincore", 0, { ADDRESS, SIZE, ADDRESS } },
    { "mkdir", FILES, { PATH, MODE } },
    { "mkdirat", FILES, { DIR_FD, PATH, MODE } },
    { "mknod", FILES, { PATH, FILE_MODE, DEVICE } },
    { "mknodat", FILES, { DIR_FD, PATH, FILE_MODE, DEVICE } },
    { "mmap", 0, { ADDRESS, SIZE, PROTECTION, MAP_FLAGS, FD, HEX } },
    { "mmap2", 0, { ADDRESS, SIZE, PROTECTION, MAP_FLAGS, FD, HEX } },
    { "mount", FILES, { PATH, PATH, STRING, MOUNT_FLAGS, ADDRESS } },
    { "mount_setattr", FILES, { DIR_FD, PATH, AT_FLAGS, ADDRESS, SIZE } },
    { "move_mount", FILES, { DIR_FD, PATH, DIR_FD, PATH, HEX } },
    { "mprotect", 0, { ADDRESS, SIZE, PROTECTION } },
    { "mremap", 0, { ADDRESS, SIZE, SIZE, REMAP_FLAGS, REMAP_ADDRESS } },
    { "msync", 0, { ADDRESS, SIZE, SYNC_FLAGS } },
    { "munmap", 0, { ADDRESS, SIZE } },
    { "name_to_handle_at", FILES, { DIR_FD, PATH, ADDRESS, ADDRESS, AT_FLAGS } },
    { "nanosleep", 0, { TIME, ADDRESS } },
    { "newfstatat", FILES, { DIR_FD, PATH, ADDRESS, AT_FLAGS } },
    { "oldlstat", FILES, { PATH, ADDRESS } },
    { "oldstat", FILES, { PATH, ADDRESS } },
    { "open", FILES, { PATH, OPEN_FLAGS, CREATE_MODE } },
    { "open_tree", FILES, { DIR_FD, PATH, HEX } },
    { "open_tree_attr", FILES, { DIR_FD, PATH, HEX, ADDRESS, SIZE } },
    { "openat", FILES, { DIR_FD, PATH, OPEN_FLAGS, CREATE_MODE } },
    { "openat2", FILES, { DIR_FD, PATH, OPEN_HOW, SIZE } },
    { "pidfd_getfd", 0, { FD, INT, HEX } },
    { "pidfd_open", 0, { INT, PIPE_FLAGS } },
    { "pidfd_send_signal", PROCESS, { FD, SIGNAL, ADDRESS, HEX } },
    { "pipe", 0, { ADDRESS } },
    { "pipe2", 0, { ADDRESS, PIPE_FLAGS } },
    { "pivot_root", FILES, { PATH, PATH } },
    { "poll", 0, { POLL_FDS, INT, INT } },
    { "ppoll", 0, { POLL_FDS, INT, TIME, SIGNAL_SET, SIZE } },
    { "ppoll_time64", 0, { POLL_FDS, INT, TIME64, SIGNAL_SET, SIZE } },
    { "prctl", 0, { PRCTL_OPTION, HEX, HEX, HEX, HEX } },
    { "pread64", 0, { FD, ADDRESS, SIZE, LONG } },
    { "preadv", 0, { FD, ADDRESS, INT, LONG } },
    { "prlimit64", 0, { INT, RESOURCE, ADDRESS, ADDRESS } },
    { "pselect6", 0, { INT, ADDRESS, ADDRESS, ADDRESS, TIME, ADDRESS } },
    { "putpmsg", NETWORK, { FD, ADDRESS, ADDRESS, INT, INT } },
    { "pwrite64", 0, { FD, BYTES, SIZE, LONG } },
    { "pwritev", 0, { FD, BUFFERS, INT, LONG } },
    { "quotactl", FILES, { HEX, PATH, INT, ADDRESS } },
    { "read", 0, { FD, ADDRESS, SIZE } },
    { "readahead", 0, { FD, LONG, SIZE } },
    { "readlink", FILES, { PATH, ADDRESS, SIZE } },
    { "readlinkat", FILES, { DIR_FD, PATH, ADDRESS, SIZE } },
    { "readv", 0, { FD, ADDRESS, INT } },
    { "recv", NETWORK, { FD, ADDRESS, SIZE, MESSAGE_FLAGS } },
    { "recvfrom", NETWORK, { FD, ADDRESS, SIZE, MESSAGE_FLAGS, ADDRESS, ADDRESS } },
    { "recvmmsg", NETWORK, { FD, ADDRESS, INT, MESSAGE_FLAGS, TIME } },
    { "recvmmsg_time64", NETWORK, { FD, ADDRESS, INT, MESSAGE_FLAGS, TIME64 } },
    { "recvmsg", NETWORK, { FD, ADDRESS, MESSAGE_FLAGS } },
    { "removexattr", FILES, { PATH, STRING } },
    { "removexattrat", FILES, { DIR_FD, PATH, AT_FLAGS, STRING } },
    { "rename", FILES, { PATH, PATH } },
    { "renameat", FILES, { DIR_FD, PATH, DIR_FD, PATH } },
    { "renameat2", FILES, { DIR_FD, PATH, DIR_FD, PATH, RENAME_FLAGS } },
    { "rmdir", FILES, { PATH } },
    { "rt_sigaction", 0, { SIGNAL, ADDRESS, ADDRESS, SIZE } },
    { "rt_sigpending", 0, { ADDRESS, SIZE } },
    { "rt_sigprocmask", 0, { MASK_HOW, SIGNAL_SET, ADDRESS, SIZE } },
    { "rt_sigqueueinfo", PROCESS, { INT, SIGNAL, ADDRESS } },
    { "rt_sigsuspend", 0, { SIGNAL_SET, SIZE } },
    { "rt_sigtimedwait", 0, { SIGNAL_SET, ADDRESS, TIME, SIZE } },
    { "rt_tgsigqueueinfo", PROCESS, { INT, INT, SIGNAL, ADDRESS } },
    { "sched_getaffinity", 0, { INT, SIZE, ADDRESS } },
    { "sched_getparam", 0, { INT, ADDRESS } },
    { "sched_getscheduler", 0, { INT } },
    { "sched_setaffinity", 0, { INT, SIZE, ADDRESS } },
    { "sched_setscheduler", 0, { INT, SCHEDULER, ADDRESS } },
    { "select", 0, { INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS } },
    { "send", NETWORK, { FD, BYTES, SIZE, MESSAGE_FLAGS } },
    { "sendfile", NETWORK, { FD, FD, ADDRESS, SIZE } },
    { "sendfile64", NETWORK, { FD, FD, ADDRESS, SIZE } },
    { "sendmmsg", NETWORK, { FD, ADDRESS, INT, MESSAGE_FLAGS } },
    { "sendmsg", NETWORK, { FD, MESSAGE, MESSAGE_FLAGS } },
    { "sendto", NETWORK, { FD, BYTES, SIZE, MESSAGE_FLAGS, SOCKADDR, INT } },
    { "set_robust_list", 0, { ADDRESS, SIZE } },
    { "set_tid_address", 0, { ADDRESS } },
    { "setdomainname", 0, { BYTES, SIZE } },
    { "setfsgid", 0, { ID } },
    { "setfsuid", 0, { ID } },
    { "setgid", 0, { ID } },
    { "setgid32", 0, { ID } },
    { "setgroups", 0, { SIZE, ADDRESS } },
    { "sethostname", 0, { BYTES, SIZE } },
    { "setns", 0, { FD, NAMESPACES } },
    { "setpgid", 0, { INT, INT } },
    { "setpriority", 0, { PRIORITY_OF, INT, INT } },
    { "setregid", 0, { ID, ID } },
    { "setresgid", 0, { ID, ID, ID } },
    { "setresgid32", 0, { ID, ID, ID } },
    { "setresuid", 0, { ID, ID, ID } },
    { "setresuid32", 0, { ID, ID, ID } },
    { "setreuid", 0, { ID, ID } },
    { "setrlimit", 0, { RESOURCE, ADDRESS } },
    { "setsockopt", NETWORK, { FD, SOCKET_LEVEL, SOCKET_OPTION, OPTION_VALUE, INT } },
    { "setuid", 0, { ID } },
    { "setuid32", 0, { ID } },
    { "setxattr", FILES, { PATH, STRING, BYTES, SIZE, XATTR_FLAGS } },
    { "setxattrat", FILES, { DIR_FD, PATH, AT_FLAGS, STRING, ADDRESS, SIZE } },
    { "shutdown", NETWORK, { FD, SHUTDOWN_HOW } },
    { "sigaltstack", 0, { ADDRESS, ADDRESS } },
    { "signalfd4", 0, { FD, SIGNAL_SET, SIZE, SIGNALFD_FLAGS } },
    { "socket", NETWORK, { SOCKET_FAMILY, SOCKET_TYPE, PROTOCOL } },
    { "socketpair", NETWORK, { SOCKET_FAMILY, SOCKET_TYPE, PROTOCOL, ADDRESS } },
    { "splice", 0, { FD, ADDRESS, FD, ADDRESS, SIZE, HEX } },
    { "stat", FILES, { PATH, ADDRESS } },
    { "stat64", FILES, { PATH, ADDRESS } },
    { "statfs", FILES, { PATH, ADDRESS } },
    { "statfs64", FILES, { PATH, SIZE, ADDRESS } },
    { "statx", FILES, { DIR_FD, PATH, STATX_FLAGS, STATX_MASK, ADDRESS } },
    { "swapoff", FILES, { PATH } },
    { "swapon", FILES, { PATH, HEX } },
    { "symlink", FILES, { STRING, PATH } },
    { "symlinkat", FILES, { STRING, DIR_FD, PATH } },
    { "tgkill", PROCESS, { INT, INT, SIGNAL } },
    { "timerfd_create", 0, { CLOCK, TIMERFD_FLAGS } },
    { "timerfd_gettime", 0, { FD, ADDRESS } },
    { "timerfd_settime", 0, { FD, TIMER_FLAGS, ADDRESS, ADDRESS } },
    { "tkill", PROCESS, { INT, SIGNAL } },
    { "truncate", FILES, { PATH, LONG } },
    { "truncate64", FILES, { PATH, HEX, HEX } },
    { "umask", 0, { MODE } },
    { "umount", FILES, { PATH } },
    { "umount2", FILES, { PATH, UMOUNT_FLAGS } },
    { "unlink", FILES, { PATH } },
    { "unlinkat", FILES, { DIR_FD, PATH, UNLINK_FLAGS } },
    { "unshare", 0, { NAMESPACES } },
    { "uselib", FILES, { PATH } },
    { "utime", FILES, { PATH, ADDRESS } },
    { "utimensat", FILES, { DIR_FD, PATH, ADDRESS, AT_FLAGS } },
    { "utimensat_time64", FILES, { DIR_FD, PATH, ADDRESS, AT_FLAGS } },
    { "utimes", FILES, { PATH, ADDRESS } },
    { "vfork", PROCESS, { NONE } },
    { "wait4", PROCESS, { INT, ADDRESS, WAIT_OPTIONS, ADDRESS } },
    { "waitid", PROCESS, { WAIT_FOR, INT, ADDRESS, WAIT_OPTIONS, ADDRESS } },
    { "waitpid", PROCESS, { INT, ADDRESS, WAIT_OPTIONS } },
    { "write", 0, { FD, BYTES, SIZE } },
    { "writev", 0, { FD, BUFFERS, INT } },
};
/* clang-format on */

const size_t N_CALLS = sizeof CALLS / sizeof *CALLS;

/* What takes two registers where they have 32 bits, or had its arguments in memory. */
/* clang-format off */
static const struct call NARROW[] = {
    { "fadvise64", 0, { FD, HEX, HEX, SIZE, ADVICE } },
    { "fallocate", 0, { FD, FALLOCATE_MODE, HEX, HEX, HEX, HEX } },
    { "fanotify_mark", FILES, { FD, HEX, HEX, HEX, DIR_FD, PATH } },
    { "mmap", 0, { ADDRESS } },
    { "pread64", 0, { FD, ADDRESS, SIZE, HEX, HEX } },
    { "preadv", 0, { FD, ADDRESS, INT, HEX, HEX } },
    { "pwrite64", 0, { FD, BYTES, SIZE, HEX, HEX } },
    { "pwritev", 0, { FD, BUFFERS, INT, HEX, HEX } },
    { "readahead", 0, { FD, HEX, HEX, SIZE } },
    { "select", 0, { ADDRESS } },
};
/* clang-format on */

/* The other calls, by how many arguments they have; all that are in no list have six. */
/* clang-format off */
static const char *const BY_COUNT[6] = {
    /* 0 */
    " break ftime getegid getegid32 geteuid geteuid32 getgid getgid32 getpgrp getpid getppid "
    "gettid getuid getuid32 idle inotify_init lock munlockall pause prof restart_syscall "
    "rseq_slice_yield rt_sigreturn sched_yield setsid sgetmask sigreturn sync vhangup ",
    /* 1 */
    " _sysctl adjtimex get_kernel_syms get_thread_area io_destroy iopl memfd_secret mlockall "
    "mq_unlink nice oldolduname olduname personality pkey_free sched_get_priority_max "
    "sched_get_priority_min set_thread_area setfsgid32 setfsuid32 shmdt sigpending ssetmask "
    "stime syncfs sysinfo time timer_delete timer_getoverrun times uname userfaultfd "
    "vm86old ",
    /* 2 */
    " bdflush capget capset clock_adjtime clock_adjtime64 clock_getres_time64 clock_settime "
    "clock_settime64 create_module delete_module fanotify_init fsopen getgroups getgroups32 "
    "getitimer gettimeofday gtty io_setup io_uring_setup ioprio_get landlock_restrict_self "
    "mlock mq_notify msgget munlock oldfstat pkey_alloc process_mrelease "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setparam setgroups32 "
    "setregid32 setreuid32 settimeofday signal socketcall stty timer_gettime "
    "timer_gettime64 timerfd_gettime64 ugetrlimit ulimit ustat ",
    /* 3 */
    " bpf finit_module fsmount fstatfs64 ftruncate64 get_robust_list getresgid getresgid32 "
    "getresuid getresuid32 init_module io_cancel io_submit ioperm ioprio_set "
    "landlock_create_ruleset lsm_list_modules map_shadow_stack membarrier mlock2 modify_ldt "
    "mq_getsetattr mseal msgctl nfsservctl open_by_handle_at readdir sched_setattr seccomp "
    "security semget semop set_mempolicy setitimer shmat shmctl shmget sigaction signalfd "
    "sigprocmask sigsuspend sysfs syslog timer_create tuxcall ",
    /* 4 */
    " cachestat epoll_ctl_old epoll_wait_old futex_requeue futex_wake io_uring_register "
    "kexec_load landlock_add_rule listmount listns lookup_dcookie lsm_get_self_attr "
    "lsm_set_self_attr migrate_pages mq_open msgsnd pkey_mprotect profil ptrace quotactl_fd "
    "reboot request_key rseq rt_sigtimedwait_time64 sched_getattr semctl semtimedop "
    "semtimedop_time64 set_mempolicy_home_node statmount tee timer_settime timer_settime64 "
    "timerfd_settime64 vmsplice ",
    /* 5 */
    " _llseek _newselect add_key afs_syscall futex_waitv get_mempolicy io_getevents kcmp "
    "kexec_file_load keyctl mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 msgrcv perf_event_open process_madvise query_module "
    "remap_file_pages vm86 vserver ",
};
/* clang-format on */

static const struct call OTHERS[] = {
    { "", 0, { NONE } },
    { "", 0, { HEX } },
    { "", 0, { HEX, HEX } },
    { "", 0, { HEX, HEX, HEX } },
    { "", 0, { HEX, HEX, HEX, HEX } },
    { "", 0, { HEX, HEX, HEX, HEX, HEX } },
    { "", 0, { HEX, HEX, HEX, HEX, HEX, HEX } },
};

static int compare(const void *name, const void *call)
{
    return strcmp(name, ((const struct call *)call)->name);
}

const struct call *call_by_name(const char *name, int is_narrow)
{
    const struct call *call = NULL;
    size_t count, length = strlen(name);

    if (is_narrow)
        call = bsearch(name, NARROW, sizeof NARROW / sizeof *NARROW, sizeof *NARROW, compare);
    if (!call)
        call = bsearch(name, CALLS, N_CALLS, sizeof *CALLS, compare);
    if (call)
        return call;
    for (count = 0; count < sizeof BY_COUNT / sizeof *BY_COUNT; count++) {
        const char *found = BY_COUNT[count];

        while ((found = strstr(found + 1, name)))
            if (found[-1] == ' ' && found[length] == ' ')
                return &OTHERS[count];
    }
    return &OTHERS[6];
}

const char *socket_call_name(unsigned long number)
{
    static const char *const NAMES[] = {
        NULL,          "socket",     "bind",    "connect", "listen",  "accept",   "getsockname",
        "getpeername", "socketpair", "send",    "recv",    "sendto",  "recvfrom", "shutdown",
        "setsockopt",  "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
    };

    return number < sizeof NAMES / sizeof *NAMES ? NAMES[number] : NULL;
}
