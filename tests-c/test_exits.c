/* Notice of the end of a target's process. */

#define _GNU_SOURCE
#include "target.h"

#include <poll.h>
#include <stdatomic.h>

static atomic_int told, process_told;

static void tell(pid_t process, void *data)
{
    CHECK(data == &told);
    atomic_store(&process_told, process);
    atomic_fetch_add(&told, 1);
}

static pid_t watched;

static int watch_and_echo(unotify_notification *n, void *data)
{
    pid_t process = -1;

    OK(unotify_notification_watch_exit(n, NULL));
    OK(unotify_notification_watch_exit(n, &process));
    watched = process;
    OK(unotify_notification_reply_value(n, (int64_t)unotify_notification_request(n)->args[0]));
    return UNOTIFY_HANDLED;
}

static unotify_supervisor *supervisor_with(unotify_handler handler, target *t)
{
    unotify_listener *listener;
    unotify_supervisor *s;

    OK(unotify_supervisor_new(NULL, &s));
    OK(unotify_supervisor_on(s, "getppid", 0, handler, NULL));
    *t = target_start(&listener);
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    return s;
}

static void a_process_that_was_asked_for_is_told_of_once(void)
{
    target t;
    unotify_supervisor *s = supervisor_with(watch_and_echo, &t);

    atomic_store(&told, 0);
    OK(unotify_supervisor_on_exit(s, tell, &told));
    OK(unotify_supervisor_start(s));
    /* The target makes each call in a new thread. */
    for (int i = 0; i < 3; i++) {
        target_call(&t, 7, 0);
        CHECK_INT(target_result(&t), 7);
        CHECK_INT(watched, t.pid);
    }
    CHECK_INT(atomic_load(&told), 0);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    CHECK_INT(atomic_load(&told), 1);
    CHECK_INT(atomic_load(&process_told), t.pid);
    unotify_supervisor_free(s);
    CHECK_INT(atomic_load(&told), 1);
}

static void an_event_loop_is_told_too(void)
{
    target t;
    unotify_supervisor *s = supervisor_with(watch_and_echo, &t);
    struct pollfd ready = { .fd = unotify_supervisor_fd(s), .events = POLLIN };
    unotify_status dispatched;

    atomic_store(&told, 0);
    OK(unotify_supervisor_on_exit(s, tell, &told));
    target_call(&t, 7, 0);
    CHECK_INT(poll(&ready, 1, slowed(10000)), 1);
    OK(unotify_supervisor_dispatch(s, NULL));
    CHECK_INT(target_result(&t), 7);
    target_end(&t);
    do {
        CHECK_INT(poll(&ready, 1, slowed(10000)), 1);
        dispatched = unotify_supervisor_dispatch(s, NULL);
    } while (dispatched == UNOTIFY_OK);
    CHECK_INT(dispatched, UNOTIFY_ERR_CLOSED);
    CHECK_INT(atomic_load(&told), 1);
    unotify_supervisor_free(s);
}

static int watch_in_vain(unotify_notification *n, void *data)
{
    pid_t process = -1;

    CHECK_STATUS(unotify_notification_watch_exit(n, &process), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("nobody is to be told");
    CHECK_INT(process, -1);
    return UNOTIFY_HANDLED;
}

static void without_a_function_nothing_is_watched(void)
{
    target t;
    unotify_supervisor *s = supervisor_with(watch_in_vain, &t);

    OK(unotify_supervisor_start(s));
    target_call(&t, 7, 0);
    CHECK_INT(target_result(&t), -ENOSYS);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
}

static void garbage_is_refused(void)
{
    unotify_supervisor *s;

    OK(unotify_supervisor_new(NULL, &s));
    CHECK_STATUS(unotify_supervisor_on_exit(NULL, tell, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on_exit(s, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_watch_exit(NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_supervisor_free(s);
}

int main(void)
{
    RUN(CASE(a_process_that_was_asked_for_is_told_of_once), CASE(an_event_loop_is_told_too),
        CASE(without_a_function_nothing_is_watched), CASE(garbage_is_refused));
}
