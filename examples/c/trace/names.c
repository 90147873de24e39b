#define _GNU_SOURCE
#include "names.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

struct name {
    uint64_t value;
    const char *text;
};

/* In the part of the number that `mask` is there is one of `values`, in the rest are `bits`. */
struct names {
    uint64_t mask;
    const struct name *values, *bits;
};

/* A name is looked for in its order: what has the bits of another one stands before it. */
#define N(name) { (uint64_t)(uint32_t)(name), #name }
#define END { 0, NULL }
#define LIST(list) static const struct name list[]

/* clang-format off */
LIST(access_modes) = { N(O_RDONLY), N(O_WRONLY), N(O_RDWR), END };
LIST(open_flags) = {
    N(O_CREAT), N(O_EXCL), N(O_NOCTTY), N(O_TRUNC), N(O_APPEND), N(O_NONBLOCK), N(O_SYNC), N(O_DSYNC),
    N(O_ASYNC),
#if defined __x86_64__ || defined __i386__
    { 0100000, "O_LARGEFILE" }, /* glibc has another number for it, 0 */
#endif
    N(O_DIRECT), N(O_NOFOLLOW), N(O_NOATIME), N(O_CLOEXEC), N(O_PATH), N(O_TMPFILE),
    N(O_DIRECTORY), END };
LIST(at_flags) = {
    N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR), N(AT_SYMLINK_FOLLOW), N(AT_NO_AUTOMOUNT), N(AT_EMPTY_PATH),
    { 0x2000, "AT_STATX_FORCE_SYNC" }, { 0x4000, "AT_STATX_DONT_SYNC" }, { 0x8000, "AT_RECURSIVE" }, END };
LIST(statx_no_sync) = { { 0, "AT_STATX_SYNC_AS_STAT" }, END };
LIST(access_at_flags) = { N(AT_EACCESS), N(AT_SYMLINK_NOFOLLOW), N(AT_EMPTY_PATH), END };
LIST(access_mode) = { N(F_OK), END };
LIST(access_bits) = { N(R_OK), N(W_OK), N(X_OK), END };
LIST(unlink_flags) = { N(AT_REMOVEDIR), END };
LIST(rename_flags) = {
    { 1, "RENAME_NOREPLACE" }, { 2, "RENAME_EXCHANGE" }, { 4, "RENAME_WHITEOUT" }, END };
LIST(statx_masks) = { { 0xfff, "STATX_ALL" }, { 0x7ff, "STATX_BASIC_STATS" }, END };
LIST(statx_bits) = {
    { 0x1, "STATX_TYPE" }, { 0x2, "STATX_MODE" }, { 0x4, "STATX_NLINK" }, { 0x8, "STATX_UID" },
    { 0x10, "STATX_GID" }, { 0x20, "STATX_ATIME" }, { 0x40, "STATX_MTIME" }, { 0x80, "STATX_CTIME" },
    { 0x100, "STATX_INO" }, { 0x200, "STATX_SIZE" }, { 0x400, "STATX_BLOCKS" }, { 0x800, "STATX_BTIME" },
    { 0x1000, "STATX_MNT_ID" }, { 0x2000, "STATX_DIOALIGN" }, { 0x4000, "STATX_MNT_ID_UNIQUE" }, END };
LIST(file_types) = {
    N(S_IFREG), N(S_IFDIR), N(S_IFCHR), N(S_IFBLK), N(S_IFIFO), N(S_IFSOCK), N(S_IFLNK), END };
LIST(whence) = { N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE), END };
LIST(flock_operations) = { N(LOCK_SH), N(LOCK_EX), N(LOCK_UN), END };
LIST(flock_flags) = { N(LOCK_NB), END };
LIST(pipe_flags) = { N(O_NONBLOCK), N(O_DIRECT), N(O_CLOEXEC), END };
LIST(close_range_flags) = { { 2, "CLOSE_RANGE_UNSHARE" }, { 4, "CLOSE_RANGE_CLOEXEC" }, END };
LIST(fcntl_commands) = {
    N(F_DUPFD), N(F_GETFD), N(F_SETFD), N(F_GETFL), N(F_SETFL), N(F_SETOWN), N(F_GETOWN), N(F_SETSIG),
    N(F_GETSIG), { 5, "F_GETLK" }, { 6, "F_SETLK" }, { 7, "F_SETLKW" }, { 12, "F_GETLK64" },
    { 13, "F_SETLK64" }, { 14, "F_SETLKW64" }, N(F_OFD_GETLK), N(F_OFD_SETLK), N(F_OFD_SETLKW),
    N(F_DUPFD_CLOEXEC), N(F_SETLEASE), N(F_GETLEASE), N(F_NOTIFY), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ),
    N(F_ADD_SEALS), N(F_GET_SEALS), END };
LIST(fd_flags) = { N(FD_CLOEXEC), END };
LIST(ioctl_commands) = {
    N(TCGETS), N(TCSETS), N(TCSETSW), N(TCSETSF), N(TIOCGWINSZ), N(TIOCSWINSZ), N(TIOCGPGRP),
    N(TIOCSPGRP), N(TIOCSCTTY), N(TIOCNOTTY), N(TIOCGPTN), N(TIOCSPTLCK), N(TIOCGSID), N(FIONREAD),
    N(FIONBIO), N(FIOCLEX), N(FIONCLEX), { 0x40049409, "FICLONE" }, { 0x80086601, "FS_IOC_GETFLAGS" },
    END };
LIST(mount_flags) = {
    N(MS_RDONLY), N(MS_NOSUID), N(MS_NODEV), N(MS_NOEXEC), N(MS_SYNCHRONOUS), N(MS_REMOUNT),
    N(MS_MANDLOCK), N(MS_DIRSYNC), N(MS_NOATIME), N(MS_NODIRATIME), N(MS_BIND), N(MS_MOVE), N(MS_REC),
    N(MS_SILENT), N(MS_POSIXACL), N(MS_UNBINDABLE), N(MS_PRIVATE), N(MS_SLAVE), N(MS_SHARED),
    N(MS_RELATIME), N(MS_STRICTATIME), N(MS_LAZYTIME), END };
LIST(umount_flags) = { N(MNT_FORCE), N(MNT_DETACH), N(MNT_EXPIRE), N(UMOUNT_NOFOLLOW), END };
LIST(xattr_flags) = { N(XATTR_CREATE), N(XATTR_REPLACE), END };
LIST(fallocate_modes) = {
    { 1, "FALLOC_FL_KEEP_SIZE" }, { 2, "FALLOC_FL_PUNCH_HOLE" }, { 8, "FALLOC_FL_COLLAPSE_RANGE" },
    { 16, "FALLOC_FL_ZERO_RANGE" }, { 32, "FALLOC_FL_INSERT_RANGE" }, { 64, "FALLOC_FL_UNSHARE_RANGE" },
    END };
LIST(advice) = {
    N(POSIX_FADV_NORMAL), N(POSIX_FADV_RANDOM), N(POSIX_FADV_SEQUENTIAL), N(POSIX_FADV_WILLNEED),
    N(POSIX_FADV_DONTNEED), N(POSIX_FADV_NOREUSE), END };
LIST(socket_families) = {
    N(AF_UNSPEC), N(AF_UNIX), N(AF_INET), N(AF_INET6), N(AF_NETLINK), N(AF_PACKET), N(AF_ALG),
    N(AF_BLUETOOTH), N(AF_CAN), N(AF_VSOCK), N(AF_KEY), N(AF_TIPC), N(AF_XDP), END };
LIST(socket_types) = {
    N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW), N(SOCK_RDM), N(SOCK_SEQPACKET), N(SOCK_DCCP),
    N(SOCK_PACKET), END };
LIST(socket_flags) = { N(SOCK_CLOEXEC), N(SOCK_NONBLOCK), END };
LIST(socket_levels) = {
    N(SOL_SOCKET), { 0, "SOL_IP" }, { 6, "SOL_TCP" }, { 17, "SOL_UDP" }, { 41, "SOL_IPV6" },
    { 58, "SOL_ICMPV6" }, { 263, "SOL_PACKET" }, { 270, "SOL_NETLINK" }, END };
LIST(shutdown_how) = { N(SHUT_RD), N(SHUT_WR), N(SHUT_RDWR), END };
LIST(message_flags) = {
    N(MSG_OOB), N(MSG_PEEK), N(MSG_DONTROUTE), N(MSG_CTRUNC), N(MSG_TRUNC), N(MSG_DONTWAIT),
    N(MSG_EOR), N(MSG_WAITALL), N(MSG_CONFIRM), N(MSG_ERRQUEUE), N(MSG_NOSIGNAL), N(MSG_MORE),
    N(MSG_WAITFORONE), N(MSG_ZEROCOPY), N(MSG_FASTOPEN), N(MSG_CMSG_CLOEXEC), END };
LIST(epoll_flags) = { N(EPOLL_CLOEXEC), END };
LIST(epoll_operations) = { N(EPOLL_CTL_ADD), N(EPOLL_CTL_MOD), N(EPOLL_CTL_DEL), END };
LIST(eventfd_flags) = { N(EFD_CLOEXEC), N(EFD_NONBLOCK), N(EFD_SEMAPHORE), END };
LIST(signalfd_flags) = { N(SFD_CLOEXEC), N(SFD_NONBLOCK), END };
LIST(timerfd_flags) = { N(TFD_CLOEXEC), N(TFD_NONBLOCK), END };
LIST(inotify_flags) = { N(IN_CLOEXEC), N(IN_NONBLOCK), END };
LIST(inotify_masks) = { N(IN_ALL_EVENTS), END };
LIST(inotify_bits) = {
    N(IN_ACCESS), N(IN_MODIFY), N(IN_ATTRIB), N(IN_CLOSE_WRITE), N(IN_CLOSE_NOWRITE), N(IN_OPEN),
    N(IN_MOVED_FROM), N(IN_MOVED_TO), N(IN_CREATE), N(IN_DELETE), N(IN_DELETE_SELF), N(IN_MOVE_SELF),
    N(IN_ONLYDIR), N(IN_DONT_FOLLOW), N(IN_EXCL_UNLINK), N(IN_MASK_ADD), N(IN_ONESHOT), END };
LIST(memfd_flags) = {
    N(MFD_CLOEXEC), N(MFD_ALLOW_SEALING), N(MFD_HUGETLB), { 8, "MFD_NOEXEC_SEAL" }, { 16, "MFD_EXEC" }, END };
LIST(random_flags) = { N(GRND_NONBLOCK), N(GRND_RANDOM), { 4, "GRND_INSECURE" }, END };
LIST(protection) = { N(PROT_NONE), END };
LIST(protection_bits) = {
    N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), N(PROT_GROWSDOWN), N(PROT_GROWSUP), END };
LIST(map_types) = { N(MAP_SHARED), N(MAP_PRIVATE), N(MAP_SHARED_VALIDATE), END };
LIST(map_flags) = {
    N(MAP_FIXED), N(MAP_ANONYMOUS), N(MAP_GROWSDOWN), N(MAP_DENYWRITE), N(MAP_EXECUTABLE),
    N(MAP_LOCKED), N(MAP_NORESERVE), N(MAP_POPULATE), N(MAP_NONBLOCK), N(MAP_STACK), N(MAP_HUGETLB),
    N(MAP_SYNC), N(MAP_FIXED_NOREPLACE),
#ifdef MAP_32BIT
    N(MAP_32BIT),
#endif
    END };
LIST(remap_flags) = { N(MREMAP_MAYMOVE), N(MREMAP_FIXED), { 4, "MREMAP_DONTUNMAP" }, END };
LIST(sync_flags) = { N(MS_ASYNC), N(MS_INVALIDATE), N(MS_SYNC), END };
LIST(memory_advice) = {
    N(MADV_NORMAL), N(MADV_RANDOM), N(MADV_SEQUENTIAL), N(MADV_WILLNEED), N(MADV_DONTNEED),
    N(MADV_FREE), N(MADV_REMOVE), N(MADV_DONTFORK), N(MADV_DOFORK), N(MADV_MERGEABLE),
    N(MADV_UNMERGEABLE), N(MADV_HUGEPAGE), N(MADV_NOHUGEPAGE), N(MADV_DONTDUMP), N(MADV_DODUMP),
    N(MADV_WIPEONFORK), N(MADV_KEEPONFORK), N(MADV_COLD), N(MADV_PAGEOUT), END };
LIST(clone_flags) = {
    N(CLONE_VM), N(CLONE_FS), N(CLONE_FILES), N(CLONE_SIGHAND), N(CLONE_PIDFD), N(CLONE_PTRACE),
    N(CLONE_VFORK), N(CLONE_PARENT), N(CLONE_THREAD), N(CLONE_NEWNS), N(CLONE_SYSVSEM),
    N(CLONE_SETTLS), N(CLONE_PARENT_SETTID), N(CLONE_CHILD_CLEARTID), { 0x400000, "CLONE_DETACHED" },
    N(CLONE_UNTRACED), N(CLONE_CHILD_SETTID), N(CLONE_NEWCGROUP), N(CLONE_NEWUTS), N(CLONE_NEWIPC),
    N(CLONE_NEWUSER), N(CLONE_NEWPID), N(CLONE_NEWNET), N(CLONE_IO),
    { 1ULL << 32, "CLONE_CLEAR_SIGHAND" }, { 1ULL << 33, "CLONE_INTO_CGROUP" }, END };
LIST(namespaces) = {
    N(CLONE_VM), N(CLONE_FS), N(CLONE_FILES), N(CLONE_SIGHAND), N(CLONE_THREAD), N(CLONE_NEWNS),
    N(CLONE_SYSVSEM), N(CLONE_NEWCGROUP), N(CLONE_NEWUTS), N(CLONE_NEWIPC), N(CLONE_NEWUSER),
    N(CLONE_NEWPID), N(CLONE_NEWNET), { 0x80, "CLONE_NEWTIME" }, END };
LIST(wait_options) = {
    N(WNOHANG), N(WSTOPPED), N(WEXITED), N(WCONTINUED), N(WNOWAIT),
    { 0x20000000, "__WNOTHREAD" }, { 0x40000000, "__WALL" }, { 0x80000000, "__WCLONE" }, END };
LIST(wait_for) = { { 0, "P_ALL" }, { 1, "P_PID" }, { 2, "P_PGID" }, { 3, "P_PIDFD" }, END };
LIST(signals) = {
    N(SIGHUP), N(SIGINT), N(SIGQUIT), N(SIGILL), N(SIGTRAP), N(SIGABRT), N(SIGBUS), N(SIGFPE), N(SIGKILL),
    N(SIGUSR1), N(SIGSEGV), N(SIGUSR2), N(SIGPIPE), N(SIGALRM), N(SIGTERM), N(SIGCHLD), N(SIGCONT),
    N(SIGSTOP), N(SIGTSTP), N(SIGTTIN), N(SIGTTOU), N(SIGURG), N(SIGXCPU), N(SIGXFSZ), N(SIGVTALRM),
    N(SIGPROF), N(SIGWINCH), N(SIGIO), N(SIGPWR), N(SIGSYS),
#ifdef SIGSTKFLT
    N(SIGSTKFLT),
#endif
    { 32, "SIGRTMIN" }, END };
LIST(mask_how) = { N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK), END };
LIST(futex_operations) = {
    N(FUTEX_WAIT), N(FUTEX_WAKE), N(FUTEX_REQUEUE), N(FUTEX_CMP_REQUEUE), N(FUTEX_WAKE_OP),
    N(FUTEX_LOCK_PI), N(FUTEX_UNLOCK_PI), N(FUTEX_TRYLOCK_PI), N(FUTEX_WAIT_BITSET),
    N(FUTEX_WAKE_BITSET), N(FUTEX_WAIT_REQUEUE_PI), N(FUTEX_CMP_REQUEUE_PI), { 13, "FUTEX_LOCK_PI2" }, END };
LIST(futex_flags) = { N(FUTEX_PRIVATE_FLAG), N(FUTEX_CLOCK_REALTIME), END };
LIST(clocks) = {
    N(CLOCK_REALTIME), N(CLOCK_MONOTONIC), N(CLOCK_PROCESS_CPUTIME_ID), N(CLOCK_THREAD_CPUTIME_ID),
    N(CLOCK_MONOTONIC_RAW), N(CLOCK_REALTIME_COARSE), N(CLOCK_MONOTONIC_COARSE), N(CLOCK_BOOTTIME),
    N(CLOCK_REALTIME_ALARM), N(CLOCK_BOOTTIME_ALARM), N(CLOCK_TAI), END };
LIST(timer_flags) = { N(TIMER_ABSTIME), { 2, "TFD_TIMER_CANCEL_ON_SET" }, END };
LIST(resources) = {
    N(RLIMIT_CPU), N(RLIMIT_FSIZE), N(RLIMIT_DATA), N(RLIMIT_STACK), N(RLIMIT_CORE), N(RLIMIT_RSS),
    N(RLIMIT_NPROC), N(RLIMIT_NOFILE), N(RLIMIT_MEMLOCK), N(RLIMIT_AS), { 10, "RLIMIT_LOCKS" },
    { 11, "RLIMIT_SIGPENDING" }, { 12, "RLIMIT_MSGQUEUE" }, { 13, "RLIMIT_NICE" },
    { 14, "RLIMIT_RTPRIO" }, { 15, "RLIMIT_RTTIME" }, END };
LIST(usage_of) = { N(RUSAGE_SELF), N(RUSAGE_CHILDREN), { 1, "RUSAGE_THREAD" }, END };
LIST(priority_of) = { { 0, "PRIO_PROCESS" }, { 1, "PRIO_PGRP" }, { 2, "PRIO_USER" }, END };
LIST(schedulers) = {
    N(SCHED_OTHER), N(SCHED_FIFO), N(SCHED_RR), N(SCHED_BATCH), N(SCHED_IDLE), { 6, "SCHED_DEADLINE" }, END };
LIST(scheduler_flags) = { { 0x40000000, "SCHED_RESET_ON_FORK" }, END };
LIST(prctl_options) = {
    N(PR_SET_PDEATHSIG), N(PR_GET_PDEATHSIG), N(PR_GET_DUMPABLE), N(PR_SET_DUMPABLE), N(PR_SET_KEEPCAPS),
    N(PR_GET_KEEPCAPS), N(PR_SET_NAME), N(PR_GET_NAME), N(PR_GET_SECCOMP), N(PR_SET_SECCOMP),
    N(PR_CAPBSET_READ), N(PR_CAPBSET_DROP), N(PR_GET_SECUREBITS), N(PR_SET_SECUREBITS),
    N(PR_SET_TIMERSLACK), N(PR_GET_TIMERSLACK), N(PR_SET_MM), N(PR_SET_CHILD_SUBREAPER),
    N(PR_GET_CHILD_SUBREAPER), N(PR_SET_NO_NEW_PRIVS), N(PR_GET_NO_NEW_PRIVS), N(PR_SET_THP_DISABLE),
    N(PR_GET_THP_DISABLE), N(PR_CAP_AMBIENT), N(PR_GET_SPECULATION_CTRL), N(PR_SET_SPECULATION_CTRL),
    N(PR_SET_PTRACER), { 0x53564d41, "PR_SET_VMA" }, END };
LIST(resolve_flags) = {
    N(RESOLVE_NO_XDEV), N(RESOLVE_NO_MAGICLINKS), N(RESOLVE_NO_SYMLINKS), N(RESOLVE_BENEATH),
    N(RESOLVE_IN_ROOT), { 0x20, "RESOLVE_CACHED" }, END };
LIST(poll_events) = {
    N(POLLIN), N(POLLPRI), N(POLLOUT), N(POLLRDNORM), N(POLLRDBAND), N(POLLWRNORM), N(POLLWRBAND),
    N(POLLMSG), N(POLLERR), N(POLLHUP), N(POLLNVAL), N(POLLRDHUP), END };
LIST(epoll_events) = {
    N(EPOLLIN), N(EPOLLPRI), N(EPOLLOUT), N(EPOLLRDNORM), N(EPOLLRDBAND), N(EPOLLWRNORM),
    N(EPOLLWRBAND), N(EPOLLMSG), N(EPOLLERR), N(EPOLLHUP), N(EPOLLRDHUP), N(EPOLLEXCLUSIVE),
    N(EPOLLWAKEUP), N(EPOLLONESHOT), N(EPOLLET), END };
LIST(ip_protocols) = {
    N(IPPROTO_IP), N(IPPROTO_ICMP), N(IPPROTO_IGMP), N(IPPROTO_TCP), N(IPPROTO_UDP), N(IPPROTO_IPV6),
    N(IPPROTO_ICMPV6), N(IPPROTO_SCTP), N(IPPROTO_UDPLITE), N(IPPROTO_RAW), { 262, "IPPROTO_MPTCP" }, END };
LIST(netlink_protocols) = {
    N(NETLINK_ROUTE), N(NETLINK_SOCK_DIAG), N(NETLINK_SELINUX), N(NETLINK_AUDIT), N(NETLINK_NETFILTER),
    N(NETLINK_KOBJECT_UEVENT), N(NETLINK_GENERIC), N(NETLINK_CRYPTO), END };
LIST(options_of_socket) = {
    N(SO_DEBUG), N(SO_REUSEADDR), N(SO_TYPE), N(SO_ERROR), N(SO_DONTROUTE), N(SO_BROADCAST), N(SO_SNDBUF),
    N(SO_RCVBUF), N(SO_SNDBUFFORCE), N(SO_RCVBUFFORCE), N(SO_KEEPALIVE), N(SO_OOBINLINE), N(SO_PRIORITY),
    N(SO_LINGER), N(SO_REUSEPORT), N(SO_PASSCRED), N(SO_PEERCRED), N(SO_RCVLOWAT), N(SO_SNDLOWAT),
    { 20, "SO_RCVTIMEO_OLD" }, { 21, "SO_SNDTIMEO_OLD" }, N(SO_BINDTODEVICE), N(SO_ATTACH_FILTER),
    N(SO_PEERNAME), N(SO_ACCEPTCONN), N(SO_PEERSEC), N(SO_PASSSEC), N(SO_MARK), N(SO_PROTOCOL),
    N(SO_DOMAIN), N(SO_PEERGROUPS), N(SO_ZEROCOPY), END };
LIST(options_of_tcp) = {
    N(TCP_NODELAY), N(TCP_MAXSEG), N(TCP_CORK), N(TCP_KEEPIDLE), N(TCP_KEEPINTVL), N(TCP_KEEPCNT),
    N(TCP_SYNCNT), N(TCP_DEFER_ACCEPT), N(TCP_INFO), N(TCP_QUICKACK), N(TCP_CONGESTION),
    N(TCP_USER_TIMEOUT), N(TCP_FASTOPEN), END };
LIST(options_of_ip) = {
    N(IP_TOS), N(IP_TTL), N(IP_HDRINCL), N(IP_PKTINFO), N(IP_MTU_DISCOVER), N(IP_RECVERR),
    N(IP_RECVTTL), N(IP_MTU), N(IP_FREEBIND), N(IP_TRANSPARENT), N(IP_BIND_ADDRESS_NO_PORT),
    N(IP_MULTICAST_IF), N(IP_MULTICAST_TTL), N(IP_MULTICAST_LOOP), N(IP_ADD_MEMBERSHIP), END };
LIST(options_of_ipv6) = {
    N(IPV6_UNICAST_HOPS), N(IPV6_MULTICAST_IF), N(IPV6_MULTICAST_HOPS), N(IPV6_MULTICAST_LOOP),
    N(IPV6_V6ONLY), N(IPV6_RECVERR), N(IPV6_RECVPKTINFO), N(IPV6_PKTINFO), N(IPV6_MTU_DISCOVER),
    N(IPV6_TCLASS), END };

LIST(arch_codes) = {
    { 0x1001, "ARCH_SET_GS" }, { 0x1002, "ARCH_SET_FS" }, { 0x1003, "ARCH_GET_FS" },
    { 0x1004, "ARCH_GET_GS" }, { 0x3001, "ARCH_CET_STATUS" }, END };

#define VALUES(list) { UINT64_MAX, list, NULL }
#define FLAGS(list) { 0, NULL, list }

static const struct names NAMES[KINDS] = {
    [OPEN_FLAGS] = { O_ACCMODE, access_modes, open_flags },
    [AT_FLAGS] = FLAGS(at_flags),
    [STATX_FLAGS] = { 0x6000, statx_no_sync, at_flags },
    [ACCESS_AT_FLAGS] = FLAGS(access_at_flags),
    [ACCESS_MODE] = { 0, access_mode, access_bits },
    [UNLINK_FLAGS] = FLAGS(unlink_flags),
    [RENAME_FLAGS] = FLAGS(rename_flags),
    [STATX_MASK] = { 0xfff, statx_masks, statx_bits },
    [FILE_TYPE] = { S_IFMT, file_types, NULL },
    [WHENCE] = VALUES(whence),
    [FLOCK_OPERATION] = { LOCK_SH | LOCK_EX | LOCK_UN, flock_operations, flock_flags },
    [PIPE_FLAGS] = FLAGS(pipe_flags),
    [CLOSE_RANGE_FLAGS] = FLAGS(close_range_flags),
    [FCNTL_COMMAND] = VALUES(fcntl_commands),
    [FD_FLAGS] = FLAGS(fd_flags),
    [IOCTL_COMMAND] = VALUES(ioctl_commands),
    [MOUNT_FLAGS] = FLAGS(mount_flags),
    [UMOUNT_FLAGS] = FLAGS(umount_flags),
    [XATTR_FLAGS] = FLAGS(xattr_flags),
    [FALLOCATE_MODE] = FLAGS(fallocate_modes),
    [ADVICE] = VALUES(advice),
    [SOCKET_FAMILY] = VALUES(socket_families),
    [SOCKET_TYPE] = { 0xf, socket_types, socket_flags },
    [SOCKET_LEVEL] = VALUES(socket_levels),
    [ACCEPT_FLAGS] = FLAGS(socket_flags),
    [SHUTDOWN_HOW] = VALUES(shutdown_how),
    [MESSAGE_FLAGS] = FLAGS(message_flags),
    [EPOLL_FLAGS] = FLAGS(epoll_flags),
    [EPOLL_OPERATION] = VALUES(epoll_operations),
    [EVENTFD_FLAGS] = FLAGS(eventfd_flags),
    [SIGNALFD_FLAGS] = FLAGS(signalfd_flags),
    [TIMERFD_FLAGS] = FLAGS(timerfd_flags),
    [INOTIFY_FLAGS] = FLAGS(inotify_flags),
    [INOTIFY_MASK] = { IN_ALL_EVENTS, inotify_masks, inotify_bits },
    [MEMFD_FLAGS] = FLAGS(memfd_flags),
    [RANDOM_FLAGS] = FLAGS(random_flags),
    [PROTECTION] = { 0, protection, protection_bits },
    [MAP_FLAGS] = { 0xf, map_types, map_flags },
    [REMAP_FLAGS] = FLAGS(remap_flags),
    [SYNC_FLAGS] = FLAGS(sync_flags),
    [MEMORY_ADVICE] = VALUES(memory_advice),
    [CLONE_FLAGS] = FLAGS(clone_flags),
    [NAMESPACES] = FLAGS(namespaces),
    [WAIT_OPTIONS] = FLAGS(wait_options),
    [WAIT_FOR] = VALUES(wait_for),
    [SIGNAL] = VALUES(signals),
    [MASK_HOW] = VALUES(mask_how),
    [FUTEX_OPERATION] = { 0x7f, futex_operations, futex_flags },
    [CLOCK] = VALUES(clocks),
    [TIMER_FLAGS] = FLAGS(timer_flags),
    [RESOURCE] = VALUES(resources),
    [USAGE_OF] = VALUES(usage_of),
    [PRIORITY_OF] = VALUES(priority_of),
    [SCHEDULER] = { 0xff, schedulers, scheduler_flags },
    [PRCTL_OPTION] = VALUES(prctl_options),
    [ARCH_CODE] = VALUES(arch_codes),
    [RESOLVE_FLAGS] = FLAGS(resolve_flags),
    [POLL_EVENTS] = FLAGS(poll_events),
    [EPOLL_EVENTS] = FLAGS(epoll_events),
    [PROTOCOL_OF_IP] = VALUES(ip_protocols),
    [PROTOCOL_OF_NETLINK] = VALUES(netlink_protocols),
    [OPTION_OF_SOCKET] = VALUES(options_of_socket),
    [OPTION_OF_TCP] = VALUES(options_of_tcp),
    [OPTION_OF_IP] = VALUES(options_of_ip),
    [OPTION_OF_IPV6] = VALUES(options_of_ipv6),
};
/* clang-format on */

int has_names(enum kind kind)
{
    return NAMES[kind].values || NAMES[kind].bits;
}

const char *name_of(enum kind kind, uint64_t number)
{
    const struct name *name = NAMES[kind].values;

    while (name && name->text && name->value != number)
        name++;
    return name ? name->text : NULL;
}

void put_names(struct line *line, enum kind kind, uint64_t number)
{
    const struct names *names = &NAMES[kind];
    const struct name *name;
    size_t start = line->length;

    for (name = names->values; name && name->text; name++) {
        /* Without a mask it is the name for no flags at all. */
        if (name->value == (names->mask ? number & names->mask : number)) {
            put(line, name->text);
            number &= ~name->value;
            break;
        }
    }
    for (name = names->bits; name && name->text; name++) {
        if (name->value && (number & name->value) == name->value) {
            if (line->length > start)
                put_char(line, '|');
            put(line, name->text);
            number &= ~name->value;
        }
    }
    if (number || line->length == start) {
        if (line->length > start)
            put_char(line, '|');
        put_hex(line, number);
    }
}
