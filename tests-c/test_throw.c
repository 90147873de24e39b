/* Handlers in C++ that let an exception out: the target is answered and the supervisor goes on. */

#define _GNU_SOURCE
#include "target.h"

int throw_exception(unotify_notification *n, void *data);
int throw_number(unotify_notification *n, void *data);
int answer_and_throw(unotify_notification *n, void *data);
int free_and_throw(unotify_notification *n, void *data);
void throw_at_exit(pid_t process, void *data);
void throw_when_told(void *listener_data, void *data);
int witnesses_destroyed(void);
int exceptions_under_way(void);

enum { TIMES = 20 };

/* What a call returns under such a handler, many times; then the handler is counted as having
 * thrown as often. The supervisor runs on this thread. */
static int64_t under(unotify_handler handler, uint32_t max_workers)
{
    unotify_supervisor_opts opts = { .size = sizeof opts, .max_workers = max_workers };
    unotify_stats stats = { .size = sizeof stats };
    unotify_listener *listener;
    unotify_supervisor *s;
    int64_t result = 0;
    target t;

    OK(unotify_supervisor_new(&opts, &s));
    OK(unotify_supervisor_on(s, "getppid", 0, handler, NULL));
    t = target_start(&listener);
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    OK(unotify_supervisor_start(s));
    for (int i = 0; i < TIMES; i++) {
        target_call(&t, 1, 0);
        result = target_result(&t);
    }
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    OK(unotify_supervisor_stats(s, &stats));
    CHECK_INT(stats.received, TIMES);
    CHECK_INT(stats.panics, TIMES);
    unotify_supervisor_free(s);
    return result;
}

static void an_exception_leaves_the_fallback_error(void)
{
    CHECK_INT(under(throw_exception, 1), -ENOSYS);
    CHECK_INT(under(throw_exception, 4), -ENOSYS);
}

static void what_is_thrown_need_not_be_an_object(void)
{
    CHECK_INT(under(throw_number, 1), -ENOSYS);
}

static void an_answer_before_an_exception_stands(void)
{
    CHECK_INT(under(answer_and_throw, 1), 7);
}

static void freeing_and_throwing_answers_once(void)
{
    CHECK_INT(under(free_and_throw, 1), -ENOSYS);
}

static void destructors_run_on_the_way(void)
{
    int before = witnesses_destroyed();

    under(throw_exception, 1);
    CHECK_INT(witnesses_destroyed() - before, 3 * TIMES);
}

static int throw_on_this_thread(unotify_notification *n, void *data)
{
    unotify_supervisor *s = *(unotify_supervisor **)data;

    unotify_supervisor_stop(s);
    return throw_exception(n, NULL);
}

static void no_exception_stays_under_way(void)
{
    unotify_listener *listener;
    unotify_supervisor *s;
    target t;

    OK(unotify_supervisor_new(NULL, &s));
    OK(unotify_supervisor_on(s, "getppid", 0, throw_on_this_thread, &s));
    t = target_start(&listener);
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    target_call(&t, 1, 0);
    CHECK_INT(unotify_supervisor_run(s), UNOTIFY_ERR_STOPPED);
    CHECK_INT(target_result(&t), -ENOSYS);
    CHECK_INT(exceptions_under_way(), 0);
    target_end(&t);
    unotify_supervisor_free(s);
}

static int watch_exit(unotify_notification *n, void *data)
{
    OK(unotify_notification_watch_exit(n, NULL));
    return UNOTIFY_HANDLED;
}

static void an_exception_at_the_end_of_a_process_is_counted(void)
{
    unotify_stats stats = { .size = sizeof stats };
    int before = witnesses_destroyed();
    unotify_listener *listener;
    unotify_supervisor *s;
    target t;
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (self < 0) {
        puts("skipped: no pidfd_open(2) here, as under valgrind");
        return;
    }
    close(self);
    OK(unotify_supervisor_new(NULL, &s));
    OK(unotify_supervisor_on(s, "getppid", 0, watch_exit, NULL));
    OK(unotify_supervisor_on_exit(s, throw_at_exit, NULL));
    t = target_start(&listener);
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    OK(unotify_supervisor_start(s));
    target_call(&t, 1, 0);
    CHECK_INT(target_result(&t), -ENOSYS);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    OK(unotify_supervisor_stats(s, &stats));
    CHECK_INT(stats.panics, 1);
    CHECK_INT(witnesses_destroyed() - before, 3);
    unotify_supervisor_free(s);
}

static void an_exception_of_who_is_told_of_a_listener_is_counted(void)
{
    unotify_stats stats = { .size = sizeof stats };
    unotify_listener *listener;
    unotify_supervisor *s;
    target t;

    OK(unotify_supervisor_new(NULL, &s));
    OK(unotify_supervisor_on_close(s, throw_when_told, NULL));
    t = target_start(&listener);
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    target_end(&t);
    OK(unotify_supervisor_run(s));
    OK(unotify_supervisor_stats(s, &stats));
    CHECK_INT(stats.panics, 1);
    CHECK_INT(exceptions_under_way(), 0);
    unotify_supervisor_free(s);
}

int main(void)
{
#if defined __x86_64__ || defined __aarch64__
    RUN(CASE(an_exception_leaves_the_fallback_error), CASE(what_is_thrown_need_not_be_an_object),
        CASE(an_answer_before_an_exception_stands), CASE(freeing_and_throwing_answers_once),
        CASE(destructors_run_on_the_way), CASE(no_exception_stays_under_way),
        CASE(an_exception_at_the_end_of_a_process_is_counted),
        CASE(an_exception_of_who_is_told_of_a_listener_is_counted));
#else
    puts("skipped: exceptions are caught on x86_64 and aarch64 only");
    return 0;
#endif
}
