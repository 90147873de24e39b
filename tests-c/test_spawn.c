/* Programs started under a filter. */

#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
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
    OK(unotify_child_wait(child, &status));
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
    OK(unotify_child_wait(child, &status));
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
    OK(unotify_child_wait(child, &status));
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
        OK(unotify_child_wait(child, &status));
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
        OK(unotify_child_wait(children[i], &status));
        CHECK_INT(WEXITSTATUS(status), 7);
        unotify_child_free(children[i]);
    }
    unotify_supervisor_free(supervisor);
}

static void a_program_that_is_not_there_is_told(void)
{
    unotify_filter *f = filter_of(UNOTIFY_ACTION_ALLOW, "getppid");
    char *argv[] = { (char *)"no-such-program", NULL };
    unotify_child *child = NULL;

    CHECK(unotify_spawn(f, "no-such-program", argv, environ, NULL, &child) != UNOTIFY_OK);
    CHECK_INT(errno, ENOENT);
    CHECK(child == NULL);
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
        CASE(a_program_that_is_not_there_is_told));
}
