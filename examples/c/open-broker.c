/*
 * Runs a program that may open only what lies in the given directories.
 *
 *     open-broker PATH... -- PROGRAM [ARGUMENT...]
 *
 * A PATH is a directory or a single file. The program's own libraries have to be among them:
 *
 *     open-broker /usr /lib /lib64 /etc/ld.so.cache /srv/data -- cat /srv/data/file
 *
 * The decision is made on the opened object, and that same object is handed over, so it does not
 * matter what links and names lead to it or who exchanges them meanwhile. Files are opened and
 * created with the rights of this supervisor: run it as the user the program is to run as. Everything
 * else fails with EACCES. Exits like the program.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unotify.h>

enum { MAX_ROOTS = 64, TRIES = 32 };

static struct {
    char path[PATH_MAX]; /* without links, and without a slash at the end */
    struct stat what;
    int fd;
} roots[MAX_ROOTS];
static size_t n_roots;

static const char USAGE[] = "usage: open-broker PATH... -- PROGRAM [ARGUMENT...]\n"
                            "       open-broker --help | --version\n";

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "open-broker: %s: %s\n", what, sentence);
    return 1;
}

static int add_root(const char *path)
{
    if (n_roots == MAX_ROOTS || !realpath(path, roots[n_roots].path))
        return -1;
    if (strcmp(roots[n_roots].path, "/") == 0)
        roots[n_roots].path[0] = '\0';
    roots[n_roots].fd = open(path, O_PATH | O_CLOEXEC);
    if (roots[n_roots].fd < 0 || fstat(roots[n_roots].fd, &roots[n_roots].what) != 0)
        return -1;
    n_roots++;
    return 0;
}

/* What lies under this name in a root, through no link. */
static int open_below(int root, const char *name)
{
    struct open_how how;
    int fd, tries = TRIES;

    memset(&how, 0, sizeof how);
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    do /* A rename anywhere may disturb it. */
        fd = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN && --tries > 0);
    return fd;
}

static int is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * Whether an open object lies in one of the roots. Its name is only a hint where to look, since in
 * the program's own mount namespace names may mean something else: what counts is that the very
 * same object is found there.
 */
static int is_allowed(int fd)
{
    char link[64], path[PATH_MAX];
    struct stat object, same_name;
    ssize_t length;
    size_t i;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path);
    if (length < 0 || length == sizeof path || fstat(fd, &object) != 0)
        return 0;
    path[length] = '\0';
    /* A pipe or a socket has no name: it is one of the program's own descriptors (/dev/fd/N). */
    if (path[0] != '/')
        return 1;
    for (i = 0; i < n_roots; i++) {
        size_t root = strlen(roots[i].path);
        int found, same;

        if (is_same(&object, &roots[i].what))
            return 1;
        if (strncmp(path, roots[i].path, root) != 0 || path[root] != '/')
            continue;
        found = open_below(roots[i].fd, path + root + 1);
        if (found < 0)
            continue;
        same = fstat(found, &same_name) == 0 && is_same(&object, &same_name);
        close(found);
        if (same)
            return 1;
    }
    return 0;
}

static void close_keeping_errno(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
}

/*
 * Creates a file in a directory that allows it, as the program would: with its umask, and as its own;
 * -1 and errno, EEXIST if somebody was faster.
 */
static int create(unotify_notification *n, int dirfd, uint64_t path, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];
    int directory, fd = -1;

    if (unotify_notification_open_parent(n, dirfd, path, name, sizeof name, &directory))
        return -1;
    if (!is_allowed(directory))
        errno = EACCES;
    else if (unotify_notification_create(n, directory, name, flags, mode, &fd))
        fd = -1;
    close_keeping_errno(directory);
    return fd;
}

/*
 * What the program asks for, if it may have it; -1 and errno. If it was there already it is opened with
 * O_PATH, else it is created, and `*made` is 1.
 */
static int broker(unotify_notification *n, int dirfd, uint64_t path, const struct open_how *asked,
                  int *made)
{
    int flags = (int)asked->flags, created = flags & O_CREAT, tries = TRIES, found, fd;
    const unotify_open_how *how =
        &UNOTIFY_OPTS(unotify_open_how, .flags = O_PATH | (flags & (O_DIRECTORY | O_NOFOLLOW)),
                      .resolve = asked->resolve);

    do {
        if (unotify_notification_open(n, dirfd, path, how, &found) == UNOTIFY_OK)
            break;
        if (!created || errno != ENOENT)
            return -1;
        fd = create(n, dirfd, path, flags, (mode_t)asked->mode);
        *made = fd >= 0;
        if (fd >= 0 || errno != EEXIST || (flags & O_EXCL))
            return fd;
        found = -1;
    } while (--tries > 0);
    if (found < 0)
        return -1;

    if (is_allowed(found) && !(created && (flags & O_EXCL)))
        return found;
    errno = is_allowed(found) ? EEXIST : EACCES;
    close_keeping_errno(found);
    return -1;
}

/*
 * Decides on what is opened, and hands over just that. The number of a failure is in errno. Opening a
 * FIFO may have to wait: the library does, and this goes on with other calls.
 */
static int answer(unotify_notification *n, int dirfd, uint64_t path, const struct open_how *how)
{
    int flags = (int)how->flags, made = 0, fd = broker(n, dirfd, path, how, &made), failed;

    if (fd < 0)
        failed = 1;
    else if (made || (flags & O_PATH))
        failed = unotify_notification_reply_fd(n, fd, how->flags & O_CLOEXEC) != UNOTIFY_OK;
    else
        failed = unotify_notification_reply_open(n, fd, flags, (mode_t)how->mode) != UNOTIFY_OK;
    /* An answer fails if the target is gone, or may not have more descriptors: then it hears that. */
    if (failed)
        unotify_notification_reply_error(n, errno);
    if (fd >= 0)
        close(fd);
    return UNOTIFY_HANDLED;
}

static int on_open(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;
    struct open_how how;

    (void)data;
    memset(&how, 0, sizeof how);
    how.flags = (uint32_t)args[1];
    how.mode = args[2] & 07777;
    return answer(n, AT_FDCWD, args[0], &how);
}

static int on_creat(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;
    struct open_how how;

    (void)data;
    memset(&how, 0, sizeof how);
    how.flags = O_CREAT | O_WRONLY | O_TRUNC;
    how.mode = args[1] & 07777;
    return answer(n, AT_FDCWD, args[0], &how);
}

static int on_openat(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;
    struct open_how how;

    (void)data;
    memset(&how, 0, sizeof how);
    how.flags = (uint32_t)args[2];
    how.mode = args[3] & 07777;
    return answer(n, (int)args[0], args[1], &how);
}

static int on_openat2(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;
    struct open_how how;

    (void)data;
    if (args[3] != sizeof how) /* as a kernel that knows no other size */
        unotify_notification_reply_error(n, args[3] < sizeof how ? EINVAL : E2BIG);
    else if (unotify_notification_read(n, args[2], &how, sizeof how))
        unotify_notification_reply_error(n, errno);
    else
        return answer(n, (int)args[0], args[1], &how);
    return UNOTIFY_HANDLED;
}

static const struct {
    const char *name;
    unotify_handler handler;
} CALLS[] = {
    { "open", on_open },
    { "creat", on_creat },
    { "openat", on_openat },
    { "openat2", on_openat2 },
};

int main(int argc, char **argv)
{
    unotify_filter *filter;
    unotify_supervisor *supervisor;
    size_t call;
    int i, wstatus;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("open-broker of libunotify %s\n", unotify_version()) < 0;
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (add_root(argv[i]) < 0) {
            fprintf(stderr, "open-broker: %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
    if (i == 1 || ++i >= argc) {
        fputs(USAGE, stderr);
        return 2;
    }

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_notify_family(filter, "open") || unotify_supervisor_new(NULL, &supervisor))
        return fail("set up");
    for (call = 0; call < sizeof CALLS / sizeof *CALLS; call++)
        if (unotify_supervisor_on(supervisor, CALLS[call].name, 0, CALLS[call].handler, NULL))
            return fail(CALLS[call].name);

    if (unotify_supervisor_stand_in_for(
            supervisor, filter, argv[i], argv + i, NULL,
            &UNOTIFY_OPTS(unotify_spawn_opts, .flags = UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH),
            &wstatus)) {
        int error = errno;

        fail(argv[i]);
        return error == ENOENT ? 127 : 126;
    }
    unotify_supervisor_free(supervisor);
    unotify_filter_free(filter);
    unotify_exit_like(wstatus);
}
