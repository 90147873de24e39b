/*
 * Runs a program that may open only what lies in the given directories.
 *
 *     open-broker [-r] PATH... -- PROGRAM [ARGUMENT...]
 *
 * A PATH is a directory or a single file; one behind -r may only be read. The program's own libraries
 * have to be among them:
 *
 *     open-broker -r /usr -r /lib -r /lib64 -r /etc /srv/data -- cat /srv/data/file
 *
 * The decision is made on the opened object, and that same object is handed over, so it does not
 * matter what links and names lead to it or who exchanges them meanwhile. Files are opened and
 * created with the rights of this supervisor: run it as the user the program is to run as. Everything
 * else fails with EACCES. Exits like the program.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <unotify.h>

static unotify_roots *roots;

static const char USAGE[] = "usage: open-broker [-r] PATH... -- PROGRAM [ARGUMENT...]\n"
                            "       open-broker --help | --version\n";

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "open-broker: %s: %s\n", what, sentence);
    return 1;
}

/*
 * Opens what the program may have, and hands over just that. A FIFO's other end is waited for
 * without holding up others.
 */
static int answer(unotify_notification *n, int dirfd, uint64_t path, const struct open_how *asked)
{
    const unotify_open_how *how = &UNOTIFY_OPTS(unotify_open_how, .flags = asked->flags,
                                                .mode = asked->mode, .resolve = asked->resolve);

    /* Also an answer fails, when the program may not have more descriptors: then it hears that. */
    if (unotify_notification_reply_open_within(n, roots, dirfd, path, how))
        unotify_notification_reply_error(n, errno);
    return UNOTIFY_HANDLED;
}

/*
 * A descriptor of O_PATH cannot be handed over, and need not be: it opens nothing. What it tells, and
 * where it leads, the program may find out with stat(2), readlink(2) and chdir(2) as well, which are not
 * asked about; and what is opened with its help is asked about then. So the call continues. Its
 * flags cannot be exchanged meanwhile, for they are not in memory.
 */
static int answer_by_flags(unotify_notification *n, int dirfd, uint64_t path, uint64_t flags,
                           uint64_t mode)
{
    struct open_how how = { (uint32_t)flags, mode & 07777, 0 };

    if (!(flags & O_PATH))
        return answer(n, dirfd, path, &how);
    unotify_notification_reply_continue(n);
    return UNOTIFY_HANDLED;
}

static int on_open(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;

    (void)data;
    return answer_by_flags(n, AT_FDCWD, args[0], args[1], args[2]);
}

static int on_creat(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;

    (void)data;
    return answer_by_flags(n, AT_FDCWD, args[0], O_CREAT | O_WRONLY | O_TRUNC, args[1]);
}

static int on_openat(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;

    (void)data;
    return answer_by_flags(n, (int)args[0], args[1], args[2], args[3]);
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
    else if (how.flags & O_PATH) /* whose flags are in memory: as a kernel without this call */
        unotify_notification_reply_error(n, ENOSYS);
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
    if (unotify_roots_new(0, &roots))
        return fail("set up");
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        uint32_t rights = UNOTIFY_RIGHT_READ;

        if (strcmp(argv[i], "-r") == 0 && i + 1 < argc)
            i++;
        else
            rights |= UNOTIFY_RIGHT_WRITE | UNOTIFY_RIGHT_CREATE;
        if (unotify_roots_add(roots, argv[i], rights))
            return fail(argv[i]);
    }
    if (i == 1 || ++i >= argc) {
        fputs(USAGE, stderr);
        return 2;
    }

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_add_arch(filter, unotify_arch_compat()) || /* 32-bit programs too */
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
    unotify_roots_free(roots);
    unotify_exit_like(wstatus);
}
