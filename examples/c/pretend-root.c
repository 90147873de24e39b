/*
 * Runs a program that is told it runs as root.
 *
 *     pretend-root -- PROGRAM [ARGUMENT...]
 *
 * getuid(2), geteuid(2), getgid(2) and getegid(2) return 0 to it and to all it starts. Nothing
 * else changes: what only root may do still fails. Exits like the program.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <unotify.h>

/* The latter are those of 32-bit programs, which an architecture may not have. */
static const char *const IDS[] = { "getuid",   "geteuid",   "getgid",   "getegid",
                                   "getuid32", "geteuid32", "getgid32", "getegid32" };

enum { N_IDS = sizeof IDS / sizeof *IDS };

static const char USAGE[] = "usage: pretend-root -- PROGRAM [ARGUMENT...]\n"
                            "       pretend-root --help | --version\n";

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "pretend-root: %s: %s\n", what, sentence);
    return 1;
}

static int answer_zero(unotify_notification *notification, void *data)
{
    (void)data;
    /* It fails only if the target is gone, and then nobody waits for the answer. */
    unotify_notification_reply_value(notification, 0);
    return UNOTIFY_HANDLED;
}

int main(int argc, char **argv)
{
    unotify_filter *filter;
    unotify_supervisor *supervisor;
    int i, wstatus, first = 1;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("pretend-root of libunotify %s\n", unotify_version()) < 0;
    if (argc > 1 && strcmp(argv[1], "--") == 0)
        first = 2;
    if (first >= argc) {
        fputs(USAGE, stderr);
        return 2;
    }

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_add_arch(filter, unotify_arch_compat()) || /* 32-bit programs too */
        unotify_supervisor_new(NULL, &supervisor))
        return fail("set up");
    for (i = 0; i < N_IDS; i++) {
        unotify_status status = unotify_filter_notify(filter, IDS[i]);

        if ((status && status != UNOTIFY_ERR_UNKNOWN_SYSCALL) ||
            unotify_supervisor_on(supervisor, IDS[i], 0, answer_zero, NULL))
            return fail(IDS[i]);
    }

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
