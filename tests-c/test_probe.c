/* Whether it works here: the probe, and the program that shows what it finds. */

#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

static void text_of_part(const unotify_probe *probe, const char *name, unotify_probe_part *part)
{
    memset(part, 0, sizeof *part);
    part->size = sizeof *part;
    for (size_t i = 0;; i++) { /* beyond the last it fails */
        OK(unotify_probe_get(probe, i, part));
        if (strcmp(part->name, name) == 0)
            return;
    }
}

static void each_part_is_told_and_the_basics_work(void)
{
    const char *basics[] = { "kernel", "libseccomp", "load", "receive", "reply", "spawn" };
    unotify_probe *probe;
    unotify_probe_part part;

    OK(unotify_probe_new(slowed(5000), &probe));
    CHECK_INT(unotify_probe_basics_work(probe), 1);
    for (size_t i = 0; i < sizeof basics / sizeof basics[0]; i++) {
        text_of_part(probe, basics[i], &part);
        CHECK_INT(part.is_basic, 1);
        CHECK_INT(part.outcome, UNOTIFY_PROBE_WORKS);
        CHECK_INT(part.errnum, 0);
        CHECK(part.detail != NULL);
        CHECK_INT(part.size, sizeof part);
    }
    text_of_part(probe, "get_fd", &part);
    CHECK_INT(part.is_basic, 0);
    CHECK_STATUS(unotify_probe_get(probe, 1000, &part), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("`index` is 1000");
    unotify_probe_free(probe);
}

static void nonsense_is_refused(void)
{
    unotify_probe *probe = NULL;
    unotify_probe_part part = { .size = sizeof part };

    CHECK_STATUS(unotify_probe_new(0, &probe), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_probe_new(-1, &probe), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`timeout_ms` is -1, which is not positive");
    CHECK(probe == NULL);
    CHECK_STATUS(unotify_probe_new(1, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_probe_get(NULL, 0, &part), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(unotify_probe_basics_work(NULL), 0);
    unotify_probe_free(NULL);
}

/* Runs unotify-check where some calls are not allowed, as under a container's profile. */
static int check_where_refused(uint32_t action, const char *const calls[], const char *option,
                               char *text, size_t size)
{
    const char *program = getenv("UNOTIFY_TEST_CHECK");
    char *argv[] = { (char *)"unotify-check", (char *)(uintptr_t)option, NULL };
    size_t length = 0;
    ssize_t n;
    pid_t child;
    int out[2], wstatus;

    CHECK(pipe(out) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unotify_filter *f;

        OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &f));
        for (; *calls; calls++)
            OK(unotify_filter_add_rule(f, action, *calls, NULL, 0));
        OK(unotify_filter_load(f, NULL, NULL));
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        close(out[1]);
        execv(program, argv);
        _exit(99);
    }
    close(out[1]);
    while (length < size - 1 && (n = read(out[0], text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(out[0]);
    CHECK(waitpid(child, &wstatus, 0) == child);
    CHECK(WIFEXITED(wstatus));
    return WEXITSTATUS(wstatus);
}

static void contains(const char *text, const char *part)
{
    if (strstr(text, part))
        return;
    fprintf(stderr, "`%s` is not in:\n%s\n", part, text);
    _exit(1);
}

/* Where the tests run without the rest of the tree. */
static int there_is_no_program(void)
{
    if (getenv("UNOTIFY_TEST_CHECK"))
        return 0;
    puts("skipped: UNOTIFY_TEST_CHECK does not say where unotify-check is");
    return 1;
}

static void the_program_says_that_it_works(void)
{
    static const char *const none[] = { NULL };
    char text[8192];

    if (there_is_no_program())
        return;
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_ERRNO(EPERM), none, NULL, text, sizeof text), 0);
    contains(text, "ok        receive");
    contains(text, "Programs can be supervised here.");
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_ERRNO(EPERM), none, "--json", text, sizeof text),
              0);
    contains(text, "\"basics_work\": true");
    contains(text,
             "{ \"name\": \"receive\", \"basic\": true, \"outcome\": \"works\", \"errno\": 0");
    contains(text, "\"circumstances\": {");
}

static void the_program_tells_its_usage_and_its_version(void)
{
    static const char *const none[] = { NULL };
    const uint32_t action = UNOTIFY_ACTION_ERRNO(EPERM);
    char text[8192];

    if (there_is_no_program())
        return;
    CHECK_INT(check_where_refused(action, none, "--help", text, sizeof text), 0);
    contains(text, "usage: unotify-check");
    CHECK_INT(check_where_refused(action, none, "--version", text, sizeof text), 0);
    contains(text, unotify_version());
    CHECK_INT(check_where_refused(action, none, "--nonsense", text, sizeof text), 2);
    contains(text, "usage: unotify-check");
}

static void under_a_profile_without_ioctl_the_program_says_what_fails_and_why(void)
{
    static const char *const ioctl[] = { "ioctl", NULL };
    char text[8192];

    if (there_is_no_program())
        return;
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_ERRNO(EPERM), ioctl, NULL, text, sizeof text), 1);
    contains(text, "ok        load");
    contains(text, "FAILS     receive");
    contains(text, "a seccomp filter is on this process");
    contains(text, "-         reply");
    contains(text, "Programs cannot be supervised here.");
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_ERRNO(EPERM), ioctl, "--json", text, sizeof text),
              1);
    contains(text, "\"basics_work\": false");
    contains(text, "\"outcome\": \"fails\", \"errno\": 1");
    contains(text, "\"seccomp\": \"2\"");
}

static void under_a_profile_without_other_processes_the_program_says_what_fails_and_why(void)
{
    static const char *const others[] = { "pidfd_getfd", "process_vm_readv", "pidfd_open", NULL };
    char text[8192];

    if (there_is_no_program())
        return;
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_ERRNO(EPERM), others, NULL, text, sizeof text), 0);
    contains(text, "FAILS     get_fd");
    contains(text, "FAILS     pidfd");
    contains(text, "Programs can be supervised here.");
}

static void under_a_profile_that_kills_the_program_says_so(void)
{
    static const char *const ioctl[] = { "ioctl", NULL };
    char text[8192];

    if (there_is_no_program())
        return;
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_KILL_PROCESS, ioctl, NULL, text, sizeof text), 1);
    contains(text, "killed by signal 31: a seccomp filter on this process");
    CHECK_INT(check_where_refused(UNOTIFY_ACTION_KILL_PROCESS, ioctl, "--json", text, sizeof text),
              1);
    contains(text, "{ \"basics_work\": false, \"parts\": [], \"error\": \"killed by signal 31");
}

int main(void)
{
    RUN(CASE(each_part_is_told_and_the_basics_work), CASE(nonsense_is_refused),
        CASE(the_program_says_that_it_works), CASE(the_program_tells_its_usage_and_its_version),
        CASE(under_a_profile_without_ioctl_the_program_says_what_fails_and_why),
        CASE(under_a_profile_without_other_processes_the_program_says_what_fails_and_why),
        CASE(under_a_profile_that_kills_the_program_says_so));
}
