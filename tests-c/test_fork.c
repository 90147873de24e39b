/* Copies of the supervising process: freeing there what they inherit is nothing to the targets. */

#define _GNU_SOURCE
#include "target.h"

#include <sys/resource.h>

static int echo(unotify_notification *n, void *data)
{
    OK(unotify_notification_reply_value(n, (int64_t)unotify_notification_request(n)->args[0]));
    return UNOTIFY_HANDLED;
}

/* Waits for a copy of this process, which says by its exit status that all was well there. */
static void copy_ended_well(pid_t copy)
{
    int status;

    CHECK(waitpid(copy, &status, 0) == copy);
    CHECK_INT(status, 0);
}

static int64_t processor_milliseconds(void)
{
    struct rusage used;

    CHECK(getrusage(RUSAGE_SELF, &used) == 0);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000) +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

static void what_a_copy_frees_the_parent_answers(void)
{
    unotify_listener *listener;
    unotify_notification *n = NULL;
    target t = target_start(&listener);
    pid_t copy;

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &n));
    copy = fork();
    CHECK(copy >= 0);
    if (copy == 0) {
        unotify_notification_free(n);
        unotify_listener_free(listener);
        _exit(0);
    }
    copy_ended_well(copy);
    OK(unotify_notification_reply_value(n, 77));
    CHECK_INT(target_result(&t), 77);
    unotify_notification_free(n);
    target_end(&t);
    unotify_listener_free(listener);
}

static void what_a_copy_answers_is_gone_for_the_parent(void)
{
    unotify_listener *listener;
    unotify_notification *n = NULL;
    target t = target_start(&listener);
    pid_t copy;

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &n));
    copy = fork();
    CHECK(copy >= 0);
    if (copy == 0) {
        OK(unotify_notification_reply_value(n, 55));
        _exit(0);
    }
    copy_ended_well(copy);
    CHECK_INT(target_result(&t), 55);
    CHECK_STATUS(unotify_notification_reply_value(n, 77), UNOTIFY_ERR_GONE);
    unotify_notification_free(n);
    target_end(&t);
    unotify_listener_free(listener);
}

static unotify_supervisor *inherited;

static void stop_it(int signal)
{
    (void)signal;
    unotify_supervisor_stop(inherited);
}

/* What a copy does to a supervisor, and what is left of it there: nothing is said either. */
enum { STOP, STOP_BY_SIGNAL, FREE, REFUSED };

static void in_a_copy_of_a_running_supervisor(int what)
{
    unotify_supervisor_opts opts = { .size = sizeof opts };
    unotify_listener *listener, *other, *third;
    target t = target_start(&listener), idle = target_start(&other), late = target_start(&third);
    int said[2];
    char byte;
    pid_t copy;
    int64_t used;

    CHECK(pipe(said) == 0);
    OK(unotify_supervisor_new(&opts, &inherited));
    OK(unotify_supervisor_on(inherited, "getppid", 0, echo, NULL));
    OK(unotify_supervisor_add_listener(inherited, listener, NULL));
    OK(unotify_supervisor_add_listener(inherited, other, NULL));
    CHECK(signal(SIGTERM, stop_it) != SIG_ERR);
    OK(unotify_supervisor_start(inherited));
    target_call(&t, 1, 0);
    CHECK_INT(target_result(&t), 1);
    copy = fork();
    CHECK(copy >= 0);
    if (copy == 0) {
        CHECK(dup2(said[1], STDERR_FILENO) == STDERR_FILENO);
        switch (what) {
        case STOP:
            OK(unotify_supervisor_stop(inherited));
            break;
        case STOP_BY_SIGNAL:
            CHECK(raise(SIGTERM) == 0);
            break;
        case FREE:
            unotify_supervisor_free(inherited);
            break;
        case REFUSED:
            CHECK_STATUS(unotify_supervisor_run(inherited), UNOTIFY_ERR_INVALID_ARGUMENT);
            CHECK_STATUS(unotify_supervisor_start(inherited), UNOTIFY_ERR_INVALID_ARGUMENT);
            CHECK_STATUS(unotify_supervisor_join(inherited, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
            CHECK_STATUS(unotify_supervisor_dispatch(inherited, NULL),
                         UNOTIFY_ERR_INVALID_ARGUMENT);
            CHECK_STATUS(unotify_supervisor_add_listener(inherited, third, NULL),
                         UNOTIFY_ERR_INVALID_ARGUMENT);
            /* It is still ours. */
            CHECK(unotify_listener_fd(third) >= 0);
            unotify_listener_free(third);
            break;
        }
        _exit(0);
    }
    copy_ended_well(copy);
    close(said[1]);
    CHECK(read(said[0], &byte, 1) == 0);
    close(said[0]);

    used = processor_milliseconds();
    usleep(500 * 1000);
    used = processor_milliseconds() - used;
    CHECK(used < 50);
    target_call(&t, 2, 0);
    CHECK_INT(target_result(&t), 2);

    target_end(&t);
    target_end(&idle);
    OK(unotify_supervisor_join(inherited, -1));
    unotify_supervisor_free(inherited);
    unotify_listener_free(third);
    target_end(&late);
}

static void a_copy_stops_nothing(void)
{
    in_a_copy_of_a_running_supervisor(STOP);
}

static void an_inherited_signal_handler_stops_nothing(void)
{
    in_a_copy_of_a_running_supervisor(STOP_BY_SIGNAL);
}

static void a_copy_frees_a_supervisor_for_itself(void)
{
    in_a_copy_of_a_running_supervisor(FREE);
}

static void a_copy_cannot_run_a_supervisor(void)
{
    in_a_copy_of_a_running_supervisor(REFUSED);
}

int main(void)
{
    RUN(CASE(what_a_copy_frees_the_parent_answers),
        CASE(what_a_copy_answers_is_gone_for_the_parent), CASE(a_copy_stops_nothing),
        CASE(an_inherited_signal_handler_stops_nothing), CASE(a_copy_frees_a_supervisor_for_itself),
        CASE(a_copy_cannot_run_a_supervisor));
}
