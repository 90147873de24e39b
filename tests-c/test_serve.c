/* A program from its start to its end, in one call. */

#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

static int32_t answer(unotify_notification *n, void *data)
{
    unotify_notification_reply_value(n, *(int *)data);
    return UNOTIFY_HANDLED;
}

static int32_t refuse(unotify_notification *n, void *data)
{
    unotify_notification_reply_error(n, *(int *)data);
    return UNOTIFY_HANDLED;
}

static int32_t stop(unotify_notification *n, void *data)
{
    OK(unotify_supervisor_stop(data));
    unotify_notification_reply_value(n, 1);
    return UNOTIFY_HANDLED;
}

static unotify_supervisor *supervisor_with(const char *call, unotify_handler handler, void *data)
{
    unotify_supervisor *s;

    OK(unotify_supervisor_new(NULL, &s));
    OK(unotify_supervisor_on(s, call, 0, handler, data ? data : s));
    return s;
}

static unotify_status run(unotify_supervisor *s, const char *notified, const char *script,
                          int *wstatus)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL };
    unotify_filter *f;
    unotify_status status;
    int error;

    OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &f));
    OK(unotify_filter_notify(f, notified));
    status = unotify_supervisor_run_program(s, f, "sh", argv, NULL, NULL, wstatus);
    error = errno;
    unotify_filter_free(f);
    errno = error;
    return status;
}

static void a_program_is_served_and_its_status_told(void)
{
    int value = 1234, wstatus = -1;
    unotify_supervisor *s = supervisor_with("getppid", answer, &value);

    OK(run(s, "getppid", "test $PPID = 1234 && exit 7", &wstatus));
    CHECK(WIFEXITED(wstatus));
    CHECK_INT(WEXITSTATUS(wstatus), 7);
    OK(run(s, "getppid", "kill -TERM $$", &wstatus));
    CHECK(WIFSIGNALED(wstatus));
    CHECK_INT(WTERMSIG(wstatus), SIGTERM);
    unotify_supervisor_free(s);
}

static void whoever_does_not_ask_for_the_status_is_not_told(void)
{
    char *argv[] = { (char *)"false", NULL };
    int value = 1;
    unotify_supervisor *s = supervisor_with("getppid", answer, &value);
    unotify_filter *f;

    OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &f));
    OK(unotify_filter_notify(f, "getppid"));
    OK(unotify_supervisor_run_program(s, f, "false", argv, NULL, NULL, NULL));
    unotify_filter_free(f);
    unotify_supervisor_free(s);
}

static void a_program_that_does_not_start_is_an_error(void)
{
    char *argv[] = { (char *)"no", NULL };
    int error = EXDEV, wstatus = 55;
    unotify_supervisor *s = supervisor_with("execve", refuse, &error);
    unotify_filter *f;

    OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &f));
    OK(unotify_filter_notify(f, "getppid"));
    CHECK_STATUS(
        unotify_supervisor_run_program(s, f, "/no/such/program", argv, NULL, NULL, &wstatus),
        UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ENOENT);
    unotify_filter_free(f);
    CHECK_STATUS(run(s, "execve", "true", &wstatus), UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, EXDEV);
    CHECK_INT(wstatus, 55);
    unotify_supervisor_free(s);
}

static void a_handler_that_stops_the_run_ends_the_program(void)
{
    int wstatus = 55;
    unotify_supervisor *s = supervisor_with("getppid", stop, NULL);

    CHECK_STATUS(run(s, "getppid", "exec sleep 1000", &wstatus), UNOTIFY_ERR_STOPPED);
    CHECK_INT(wstatus, 55);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1);
    CHECK_INT(errno, ECHILD);
    unotify_supervisor_free(s);
}

/* How a process ends that stands in for a shell with this script. */
static int end_of_stand_in(const char *script)
{
    int wstatus, ended;
    pid_t pid = fork();

    if (pid == 0) {
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL };
        int value = 1234;
        unotify_supervisor *s = supervisor_with("getppid", answer, &value);
        unotify_filter *f;

        alarm(60 * slowness());
        OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &f));
        OK(unotify_filter_notify(f, "getppid"));
        OK(unotify_supervisor_stand_in_for(s, f, "sh", argv, NULL, NULL, &wstatus));
        unotify_supervisor_free(s);
        unotify_filter_free(f);
        unotify_exit_like(wstatus);
    }
    CHECK(pid > 0);
    CHECK(waitpid(pid, &ended, 0) == pid);
    return ended;
}

static void a_stand_in_ends_like_its_program(void)
{
    CHECK_INT(end_of_stand_in("test $PPID = 1234 && exit 7"), 7 << 8);
    CHECK_INT(end_of_stand_in("kill -TERM $$"), SIGTERM);
    /* Sent to the parent, by another than the program. */
    CHECK_INT(end_of_stand_in("trap 'exit 9' HUP; p=$(cut -d ' ' -f 4 /proc/$$/stat); "
                              "sh -c \"kill -HUP $p\"; "
                              "while :; do sleep 0.1; done"),
              9 << 8);
}

static void null_is_refused(void)
{
    char *argv[] = { (char *)"true", NULL };
    unotify_supervisor *s;
    unotify_filter *f;
    int wstatus;

    OK(unotify_supervisor_new(NULL, &s));
    OK(unotify_filter_new(UNOTIFY_ACTION_NOTIFY, &f));
    CHECK_STATUS(unotify_supervisor_run_program(NULL, f, "true", argv, NULL, NULL, &wstatus),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_run_program(s, NULL, "true", argv, NULL, NULL, &wstatus),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_run_program(s, f, NULL, argv, NULL, NULL, &wstatus),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_run_program(s, f, "true", NULL, NULL, NULL, &wstatus),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_stand_in_for(NULL, f, "true", argv, NULL, NULL, &wstatus),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_stand_in_for(s, NULL, "true", argv, NULL, NULL, &wstatus),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_filter_free(f);
    unotify_supervisor_free(s);
}

int main(void)
{
    RUN(CASE(a_program_is_served_and_its_status_told),
        CASE(whoever_does_not_ask_for_the_status_is_not_told),
        CASE(a_program_that_does_not_start_is_an_error),
        CASE(a_handler_that_stops_the_run_ends_the_program), CASE(a_stand_in_ends_like_its_program),
        CASE(null_is_refused));
}
