/*
 * Lets a program without rights make FIFOs and a few harmless devices.
 *
 *     mknod-for-me -- PROGRAM [ARGUMENT...]
 *
 * To be started by root; the program gives up its rights by itself, and its root directory may be
 * another one:
 *
 *     mknod-for-me -- setpriv --reuid 1000 --regid 1000 --clear-groups mknod null c 1 3
 *     mknod-for-me -- chroot --userspec 1000:1000 /srv/tree mknod /dev/null c 1 3
 *
 * The node is made where the program's own root, working directory and descriptors say, in a
 * directory that it may write to, and is its own. What is not on the list is left to the kernel,
 * which decides on the same arguments with the program's own rights. Exits like the program.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <unotify.h>

/* What containers are given as well: null, zero, full, random, urandom. */
static const unsigned DEVICES[][2] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 } };

static const char USAGE[] = "usage: mknod-for-me -- PROGRAM [ARGUMENT...]\n"
                            "       mknod-for-me --help | --version\n";

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "mknod-for-me: %s: %s\n", what, sentence);
    return 1;
}

static int is_ours(uint32_t mode, uint32_t device)
{
    size_t i;

    if (S_ISFIFO(mode))
        return 1;
    for (i = 0; S_ISCHR(mode) && i < sizeof DEVICES / sizeof *DEVICES; i++)
        if (major(device) == DEVICES[i][0] && minor(device) == DEVICES[i][1])
            return 1;
    return 0;
}

/* setfsuid(2) took CAP_MKNOD away with the other rights to files: only that one comes back. */
static int regain_mknod(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, caps) != 0)
        return -1;
    caps[0].effective |= 1u << CAP_MKNOD;
    return (int)syscall(SYS_capset, &header, caps);
}

/* 0, or -1 and errno. */
static int make_node(unotify_notification *n, int dirfd, uint64_t path, mode_t mode, dev_t device)
{
    unotify_identity who = { .size = sizeof who };
    char name[NAME_MAX + 1];
    int directory, error, result = -1;

    if (unotify_notification_identity(n, &who))
        return -1;
    /* Its groups are not known, so none count. Only this thread's, as with the identities below. */
    if (geteuid() == 0 && syscall(SYS_setgroups, 0, NULL) != 0)
        return -1;
    /* As the target from here on, whose rights decide on the way and on the directory. */
    setfsgid(who.fsgid);
    setfsuid(who.fsuid);
    if ((S_ISFIFO(mode) || regain_mknod() == 0) &&
        unotify_notification_open_parent(n, dirfd, path, name, sizeof name, &directory) ==
            UNOTIFY_OK) {
        /* With its umask. */
        if (unotify_notification_mknod(n, directory, name, mode, device) == UNOTIFY_OK)
            result = 0;
        error = errno;
        close(directory);
        errno = error;
    }
    error = errno;
    setfsuid(geteuid());
    setfsgid(getegid());
    errno = error;
    return result;
}

static int answer(unotify_notification *n, int dirfd, uint64_t path, uint64_t mode, uint64_t device)
{
    /* The answer fails only if the target is gone, and then nobody waits for it. */
    if (!is_ours((uint32_t)mode, (uint32_t)device))
        unotify_notification_reply_continue(n);
    else if (make_node(n, dirfd, path, (mode_t)mode, (dev_t)(uint32_t)device) == 0)
        unotify_notification_reply_value(n, 0);
    else
        unotify_notification_reply_error(n, errno);
    return UNOTIFY_HANDLED;
}

static int on_mknod(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;

    (void)data;
    return answer(n, AT_FDCWD, args[0], args[1], args[2]);
}

static int on_mknodat(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;

    (void)data;
    return answer(n, (int)args[0], args[1], args[2], args[3]);
}

int main(int argc, char **argv)
{
    unotify_filter *filter;
    unotify_supervisor *supervisor;
    int wstatus, first = 1;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("mknod-for-me of libunotify %s\n", unotify_version()) < 0;
    if (argc > 1 && strcmp(argv[1], "--") == 0)
        first = 2;
    if (first >= argc) {
        fputs(USAGE, stderr);
        return 2;
    }
    if (geteuid() != 0)
        fputs("mknod-for-me: not started by root: devices will fail\n", stderr);

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_add_arch(filter, unotify_arch_compat()) || /* 32-bit programs too */
        unotify_filter_notify_family(filter, "mknod") ||
        unotify_supervisor_new(NULL, &supervisor) ||
        unotify_supervisor_on(supervisor, "mknodat", 0, on_mknodat, NULL) ||
        unotify_supervisor_on(supervisor, "mknod", 0, on_mknod, NULL))
        return fail("set up");

    if (unotify_supervisor_stand_in_for(
            supervisor, filter, argv[first], argv + first, NULL,
            &UNOTIFY_OPTS(unotify_spawn_opts, .flags = UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH),
            &wstatus)) {
        int error = errno;

        fail(argv[first]);
        return error == ENOENT ? 127 : 126;
    }
    unotify_supervisor_free(supervisor);
    unotify_filter_free(filter);
    unotify_exit_like(wstatus);
}
