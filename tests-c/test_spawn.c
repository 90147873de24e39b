/* Programs started under a filter. */

#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

extern char **environ;

static unotify_filter *filter_of(uint32_t action, const char *notified)
{
    unotify_filter *f;

    OK(unotify_filter_new(action, &f));
    if (notified != NULL)
        OK(unotify_filter_notify(f, notified));
    return f;
}

static unotify_child *spawn(unotify_filter *f, const char *script, const unotify_spawn_opts *opts)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL };
    unotify_child *child;

    OK(unotify_spawn(f, "sh", argv, environ, opts, &child));
    unotify_filter_free(f);
    return child;
}

static unotify_listener *listener_of(unotify_child *child)
{
    unotify_listener *listener;

    OK(unotify_child_take_listener(child, &listener));
    return listener;
}

static void a_call_of_the_program_is_answered(void)
{
    int out[2], status;
    char text[16] = "";
    unotify_fd_map map = { .child_fd = 1 };
    unotify_spawn_opts opts = { .size = sizeof opts, .fds = &map, .n_fds = 1 };
    unotify_notification *n = NULL;
    unotify_listener *listener;
    unotify_child *child;

    CHECK(pipe2(out, O_CLOEXEC) == 0);
    map.parent_fd = out[1];
    child = spawn(filter_of(UNOTIFY_ACTION_ALLOW, "getppid"), "echo $PPID", &opts);
    close(out[1]);
    listener = listener_of(child);
    OK(unotify_listener_receive(listener, slowed(10000), &n));
    CHECK_INT(unotify_notification_request(n)->pid, unotify_child_pid(child));
    OK(unotify_notification_reply_value(n, 1234));
    unotify_notification_free(n);
    CHECK(read(out[0], text, sizeof text - 1) == 5);
    CHECK(strcmp(text, "1234\n") == 0);
    OK(unotify_child_wait(child, -1, &status));
    CHECK_INT(status, 0);
    close(out[0]);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

static void every_call_is_notified_and_the_first_is_execve(void)
{
    unotify_child *child = spawn(filter_of(UNOTIFY_ACTION_NOTIFY, NULL), "exit 7", NULL);
    unotify_listener *listener = listener_of(child);
    unotify_notification *n = NULL;
    unotify_status received;
    int status, calls = 0;
    char name[32];

    while ((received = unotify_listener_receive(listener, slowed(10000), &n)) == UNOTIFY_OK) {
        const unotify_request *request = unotify_notification_request(n);

        OK(unotify_syscall_name(request->arch, request->syscall, name, sizeof name));
        if (calls++ == 0)
            CHECK(strcmp(name, "execve") == 0);
        OK(unotify_notification_reply_continue(n));
    }
    CHECK_INT(received, UNOTIFY_ERR_CLOSED);
    CHECK(calls > 10);
    unotify_notification_free(n);
    OK(unotify_child_wait(child, -1, &status));
    CHECK_INT(WEXITSTATUS(status), 7);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

static void a_child_is_killed_in_the_middle_of_its_call(void)
{
    unotify_child *child = spawn(filter_of(UNOTIFY_ACTION_ALLOW, "getppid"), "exit 0", NULL);
    unotify_listener *listener = listener_of(child);
    unotify_notification *n = NULL;
    struct pollfd ended = { .fd = unotify_child_pidfd(child), .events = POLLIN };
    int status;

    OK(unotify_listener_receive(listener, slowed(10000), &n));
    OK(unotify_child_kill(child, SIGKILL));
    CHECK_INT(poll(&ended, 1, slowed(10000)), 1);
    OK(unotify_child_wait(child, -1, &status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_STATUS(unotify_notification_reply_value(n, 0), UNOTIFY_ERR_GONE);
    unotify_notification_free(n);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

/* Who receives without a limit and waits for the child after that. */
static void a_listener_ends_before_its_child_is_waited_for(void)
{
    unotify_child *child = spawn(filter_of(UNOTIFY_ACTION_ALLOW, "getppid"), "exit 7", NULL);
    unotify_listener *listener = listener_of(child);
    unotify_notification *n = NULL;
    unotify_status received;
    int status;

    while ((received = unotify_listener_receive(listener, -1, &n)) == UNOTIFY_OK)
        OK(unotify_notification_reply_value(n, 1));
    CHECK_INT(received, UNOTIFY_ERR_CLOSED);
    CHECK_STATUS(unotify_listener_receive(listener, 10000, &n), UNOTIFY_ERR_CLOSED);
    unotify_notification_free(n);
    for (int i = 0; i < 2; i++) {
        OK(unotify_child_wait(child, -1, &status));
        CHECK_INT(WEXITSTATUS(status), 7);
    }
    CHECK_STATUS(unotify_child_kill(child, SIGKILL), UNOTIFY_ERR_SYSTEM);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

static void a_listener_ends_after_the_handle_of_its_child(void)
{
    unotify_child *child = spawn(filter_of(UNOTIFY_ACTION_ALLOW, "getppid"), "exit 7", NULL);
    unotify_listener *listener = listener_of(child);
    unotify_notification *n = NULL;

    unotify_child_free(child);
    while (unotify_listener_receive(listener, -1, &n) == UNOTIFY_OK)
        OK(unotify_notification_reply_value(n, 1));
    unotify_notification_free(n);
    unotify_listener_free(listener);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    CHECK_INT(errno, ECHILD);
}

static int continues(unotify_notification *n, void *data)
{
    (void)data;
    unotify_notification_reply_continue(n);
    return UNOTIFY_HANDLED;
}

static void a_supervisor_ends_before_its_children_are_waited_for(void)
{
    unotify_child *children[3];
    unotify_supervisor *supervisor;
    int status;

    OK(unotify_supervisor_new(NULL, &supervisor));
    OK(unotify_supervisor_on_default(supervisor, continues, NULL));
    for (int i = 0; i < 3; i++) {
        children[i] = spawn(filter_of(UNOTIFY_ACTION_NOTIFY, NULL), "exit 7", NULL);
        OK(unotify_supervisor_add_listener(supervisor, listener_of(children[i]), NULL));
    }
    OK(unotify_supervisor_run(supervisor));
    for (int i = 0; i < 3; i++) {
        OK(unotify_child_wait(children[i], -1, &status));
        CHECK_INT(WEXITSTATUS(status), 7);
        unotify_child_free(children[i]);
    }
    unotify_supervisor_free(supervisor);
}

/* A program by its arguments, of which the last is NULL. */
static unotify_status start(uint32_t action, const char *const *argv, const char *const *envp,
                            const unotify_spawn_opts *opts, unotify_child **child)
{
    unotify_filter *f = filter_of(action, NULL);
    unotify_status status;
    int error;

    *child = NULL;
    errno = 0;
    status = unotify_spawn(f, argv[0], (char *const *)(uintptr_t)argv,
                           (char *const *)(uintptr_t)envp, opts, child);
    error = errno;
    CHECK((status == UNOTIFY_OK) == (*child != NULL));
    unotify_filter_free(f);
    errno = error;
    return status;
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Continues everything until the last target has exited, and counts it. */
static int continue_all(unotify_listener *listener)
{
    unotify_notification *n = NULL;
    unotify_status received;
    int calls = 0;

    while ((received = unotify_listener_receive(listener, slowed(20000), &n)) == UNOTIFY_OK) {
        OK(unotify_notification_reply_continue(n));
        calls++;
    }
    CHECK_INT(received, UNOTIFY_ERR_CLOSED);
    unotify_notification_free(n);
    return calls;
}

static int wait_status(unotify_child *child)
{
    int status = -1;

    OK(unotify_child_wait(child, -1, &status));
    return status;
}

/* The program writes that text, under a filter that notifies everything, and succeeds. */
static void check_output(const char *const *argv, const char *const *envp, const char *directory,
                         const char *expected)
{
    int out[2];
    char text[64] = "";
    size_t len = 0;
    ssize_t more;
    unotify_fd_map map = { .child_fd = 1 };
    unotify_spawn_opts opts = { .size = sizeof opts, .fds = &map, .n_fds = 1 };
    unotify_listener *listener;
    unotify_child *child;

    CHECK(pipe2(out, O_CLOEXEC) == 0);
    map.parent_fd = out[1];
    opts.working_directory = directory;
    OK(start(UNOTIFY_ACTION_NOTIFY, argv, envp, &opts, &child));
    close(out[1]);
    listener = listener_of(child);
    CHECK(continue_all(listener) > 1);
    while ((more = read(out[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)more;
    CHECK_INT(more, 0);
    if (strcmp(text, expected) != 0) {
        fprintf(stderr, "%s writes `%s`, not `%s`\n", argv[0], text, expected);
        _exit(1);
    }
    CHECK_INT(wait_status(child), 0);
    close(out[0]);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

static void a_program_runs_with_arguments_and_a_standard_output(void)
{
    check_output(ARGV("echo", "a b"), NULL, NULL, "a b\n");
}

static void the_environment_is_exactly_what_was_given(void)
{
    check_output(ARGV("env"), ARGV("A=1", "odd"), NULL, "A=1\nodd\n");
}

/* NULL is the caller's. */
static void the_environment_is_the_callers(void)
{
    CHECK(setenv("UNOTIFY_TEST_INHERITED", "yes", 1) == 0);
    check_output(ARGV("sh", "-c", "echo $UNOTIFY_TEST_INHERITED"), NULL, NULL, "yes\n");
}

static void the_working_directory_is_what_was_given(void)
{
    check_output(ARGV("pwd"), NULL, "/usr", "/usr\n");
}

static void the_wait_status_is_that_of_waitpid(void)
{
    unotify_child *child;

    OK(start(UNOTIFY_ACTION_ALLOW, ARGV("sh", "-c", "exit 7"), NULL, NULL, &child));
    CHECK_INT(wait_status(child), 7 << 8);
    CHECK_INT(wait_status(child), 7 << 8); /* the second time */
    OK(unotify_child_wait(child, -1, NULL));
    unotify_child_free(child);
}

static void a_wait_with_a_time_limit_leaves_the_child_as_it_was(void)
{
    unotify_child *child;
    int status = 4711;

    OK(start(UNOTIFY_ACTION_ALLOW, ARGV("sleep", "1000"), NULL, NULL, &child));
    CHECK_STATUS(unotify_child_wait(child, 0, &status), UNOTIFY_ERR_TIMEOUT);
    CHECK_STATUS(unotify_child_wait(child, 10, &status), UNOTIFY_ERR_TIMEOUT);
    CHECK_STATUS(unotify_child_wait(child, -2, &status), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(status, 4711);
    OK(unotify_child_kill(child, SIGKILL));
    OK(unotify_child_wait(child, slowed(10000), &status));
    CHECK_INT(status, SIGKILL);
    unotify_child_free(child);
}

static void a_child_is_killed_and_its_pidfd_tells(void)
{
    unotify_child *child;
    struct pollfd ended = { .events = POLLIN };

    OK(start(UNOTIFY_ACTION_ALLOW, ARGV("sleep", "1000"), NULL, NULL, &child));
    CHECK(unotify_child_pid(child) > 0);
    ended.fd = unotify_child_pidfd(child);
    CHECK(ended.fd >= 0);
    CHECK_INT(poll(&ended, 1, 0), 0);
    OK(unotify_child_kill(child, SIGKILL));
    CHECK_INT(poll(&ended, 1, slowed(10000)), 1);
    CHECK_INT(wait_status(child), SIGKILL);
    CHECK_STATUS(unotify_child_kill(child, 0), UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ESRCH);
    unotify_child_free(child);
}

static void *wait_for_success(void *child)
{
    CHECK_INT(wait_status(child), 0);
    return NULL;
}

static void one_thread_can_take_the_listener_while_another_waits(void)
{
    unotify_child *child;
    unotify_listener *listener;
    pthread_t waiter;

    OK(start(UNOTIFY_ACTION_NOTIFY, ARGV("true"), NULL, NULL, &child));
    CHECK_INT(pthread_create(&waiter, NULL, wait_for_success, child), 0);
    listener = listener_of(child);
    CHECK(continue_all(listener) > 1);
    CHECK_INT(pthread_join(waiter, NULL), 0);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

static void the_listener_can_be_taken_once(void)
{
    unotify_child *child;
    unotify_listener *again = NULL;

    OK(start(UNOTIFY_ACTION_ALLOW, ARGV("true"), NULL, NULL, &child));
    unotify_listener_free(listener_of(child));
    CHECK_STATUS(unotify_child_take_listener(child, &again), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(again == NULL);
    CHECK_INT(wait_status(child), 0);
    unotify_child_free(child);
}

static void a_refused_execve_is_told_by_its_error(void)
{
    unotify_child *child;
    unotify_listener *listener;
    unotify_notification *n = NULL;

    OK(start(UNOTIFY_ACTION_NOTIFY, ARGV("true"), NULL, NULL, &child));
    listener = listener_of(child);
    CHECK_INT(unotify_child_exec_error(child), 0);
    OK(unotify_listener_receive(listener, slowed(20000), &n));
    OK(unotify_notification_reply_error(n, EXDEV));
    unotify_notification_free(n);
    continue_all(listener);
    CHECK_INT(wait_status(child), 127 << 8);
    CHECK_INT(unotify_child_exec_error(child), EXDEV);
    unotify_listener_free(listener);
    unotify_child_free(child);
}

static void a_program_that_is_not_there_is_told(void)
{
    unotify_child *child;

    CHECK_STATUS(start(UNOTIFY_ACTION_NOTIFY, ARGV("no-such-program"), NULL, NULL, &child),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ENOENT);
    CHECK_SAID_OF("no-such-program");
}

static void options_are_checked(void)
{
    const unotify_fd_map closed = { .parent_fd = -1, .child_fd = 1 };
    const unotify_spawn_opts bad[] = {
        { .size = 1 },
        { .size = sizeof bad[0], .load_flags = 1U << 31 },
        { .size = sizeof bad[0], .load_flags = UNOTIFY_LOAD_TSYNC },
        { .size = sizeof bad[0], .flags = 1U << 31 },
        { .size = sizeof bad[0], .n_fds = 1 },
        { .size = sizeof bad[0], .n_fds = SIZE_MAX },
        { .size = sizeof bad[0], .fds = &closed, .n_fds = 1 },
    };
    unotify_child *child;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_STATUS(start(UNOTIFY_ACTION_NOTIFY, ARGV("true"), NULL, &bad[i], &child),
                     UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF); /* of the last */
}

static void options_of_an_older_caller_are_taken(void)
{
    unotify_spawn_opts opts = { .size = offsetof(unotify_spawn_opts, working_directory) };
    unotify_child *child;

    opts.n_fds = 77; /* not there, says the size */
    OK(start(UNOTIFY_ACTION_ALLOW, ARGV("true"), NULL, &opts, &child));
    CHECK_INT(wait_status(child), 0);
    unotify_child_free(child);
}

static void a_pid_namespace_of_its_own_takes_privileges(void)
{
    const unotify_spawn_opts *opts =
        &UNOTIFY_OPTS(unotify_spawn_opts, .flags = UNOTIFY_SPAWN_PID_NAMESPACE);
    const char *const *argv = ARGV("sh", "-c", "test $$ = 2");
    unotify_child *child;
    unotify_status status = start(UNOTIFY_ACTION_ALLOW, argv, NULL, opts, &child);

    if (geteuid() != 0) {
        CHECK_INT(status, UNOTIFY_ERR_PERMISSION);
        return;
    }
    CHECK_INT(status, UNOTIFY_OK);
    CHECK_INT(wait_status(child), 0);
    unotify_child_free(child);
}

static void null_is_refused_where_it_has_no_meaning(void)
{
    char *argv[] = { (char *)"true", NULL }, *empty[] = { NULL };
    unotify_filter *f = filter_of(UNOTIFY_ACTION_ALLOW, NULL);
    unotify_child *child = NULL;
    unotify_listener *listener = NULL;

    CHECK_STATUS(unotify_spawn(NULL, "true", argv, NULL, NULL, &child),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_spawn(f, NULL, argv, NULL, NULL, &child), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_spawn(f, "true", NULL, NULL, NULL, &child), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_spawn(f, "true", empty, NULL, NULL, &child), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_spawn(f, "true", argv, NULL, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_child_take_listener(NULL, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_child_wait(NULL, -1, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_child_kill(NULL, 0), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(unotify_child_pid(NULL), -1);
    CHECK_INT(unotify_child_pidfd(NULL), -1);
    CHECK_INT(unotify_child_exec_error(NULL), 0);
    unotify_child_free(NULL);
    CHECK(child == NULL && listener == NULL);
    unotify_filter_free(f);
}

int main(void)
{
    RUN(CASE(a_call_of_the_program_is_answered),
        CASE(every_call_is_notified_and_the_first_is_execve),
        CASE(a_child_is_killed_in_the_middle_of_its_call),
        CASE(a_listener_ends_before_its_child_is_waited_for),
        CASE(a_listener_ends_after_the_handle_of_its_child),
        CASE(a_supervisor_ends_before_its_children_are_waited_for),
        CASE(a_program_runs_with_arguments_and_a_standard_output),
        CASE(the_environment_is_exactly_what_was_given), CASE(the_environment_is_the_callers),
        CASE(the_working_directory_is_what_was_given), CASE(the_wait_status_is_that_of_waitpid),
        CASE(a_wait_with_a_time_limit_leaves_the_child_as_it_was),
        CASE(a_child_is_killed_and_its_pidfd_tells),
        CASE(one_thread_can_take_the_listener_while_another_waits),
        CASE(the_listener_can_be_taken_once), CASE(a_refused_execve_is_told_by_its_error),
        CASE(a_program_that_is_not_there_is_told), CASE(options_are_checked),
        CASE(options_of_an_older_caller_are_taken),
        CASE(a_pid_namespace_of_its_own_takes_privileges),
        CASE(null_is_refused_where_it_has_no_meaning));
}
