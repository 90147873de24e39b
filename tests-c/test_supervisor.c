/* Supervisors: what handlers may do, stopping, deferring, statistics, options. */

#define _GNU_SOURCE
#include "target.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* Handlers are told by the call's first argument. */
static int echo(unotify_notification *n, void *data)
{
    OK(unotify_notification_reply_value(n, (int64_t)unotify_notification_request(n)->args[0]));
    return UNOTIFY_HANDLED;
}

static unotify_supervisor *supervisor_with(uint32_t max_workers, uint32_t flags,
                                           unotify_handler handler, void *data)
{
    unotify_supervisor_opts opts = { .size = sizeof opts };
    unotify_supervisor *s;

    opts.max_workers = max_workers;
    opts.flags = flags;
    OK(unotify_supervisor_new(&opts, &s));
    OK(unotify_supervisor_on(s, "getppid", 0, handler, data));
    return s;
}

static target supervised_target(unotify_supervisor *s)
{
    unotify_listener *listener;
    target t = target_start(&listener);

    OK(unotify_supervisor_add_listener(s, listener, NULL));
    return t;
}

static unotify_stats stats_of(const unotify_supervisor *s)
{
    unotify_stats stats = { .size = sizeof stats };

    OK(unotify_supervisor_stats(s, &stats));
    return stats;
}

/* What a call returns under a handler. A second call shows that the supervisor still runs. */
static int64_t under(unotify_handler handler, unotify_stats *stats)
{
    unotify_supervisor *s = supervisor_with(1, 0, handler, NULL);
    target t = supervised_target(s);
    int64_t result;

    OK(unotify_supervisor_start(s));
    target_call(&t, 1, 0);
    result = target_result(&t);
    target_call(&t, 1, 0);
    CHECK_INT(target_result(&t), result);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    *stats = stats_of(s);
    CHECK_INT(stats->received, 2);
    unotify_supervisor_free(s);
    return result;
}

static void a_run_ends_with_its_last_target(void)
{
    unotify_stats stats;

    CHECK_INT(under(echo, &stats), 1);
    CHECK_INT(stats.values, 2);
    CHECK_INT(stats.listeners, 0);
    CHECK_INT(stats.workers, 0);
    CHECK(stats.workers_max <= 2); /* the other one receives while a handler runs */
}

static int answer_nothing(unotify_notification *n, void *data)
{
    return UNOTIFY_HANDLED;
}

static void a_handler_that_answers_nothing_leaves_the_fallback_error(void)
{
    unotify_stats stats;

    CHECK_INT(under(answer_nothing, &stats), -ENOSYS);
    CHECK_INT(stats.fallbacks, 2);
}

static int want_nothing(unotify_notification *n, void *data)
{
    return UNOTIFY_NOT_HANDLED;
}

static void what_no_handler_wants_gets_the_fallback_error(void)
{
    unotify_stats stats;

    CHECK_INT(under(want_nothing, &stats), -ENOSYS);
    CHECK_INT(stats.fallbacks, 2);
}

static void handlers_are_asked_in_order_until_one_handles_it(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, want_nothing, NULL);
    target t = supervised_target(s);

    OK(unotify_supervisor_on(s, "getppid", 0, want_nothing, NULL));
    OK(unotify_supervisor_on(s, "getppid", 0, echo, NULL));
    OK(unotify_supervisor_on(s, "getppid", 0, answer_nothing, NULL));
    OK(unotify_supervisor_on_default(s, answer_nothing, NULL));
    target_call(&t, 7, 0);
    OK(unotify_supervisor_start(s));
    CHECK_INT(target_result(&t), 7);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
}

static void the_default_handler_gets_what_no_handler_wants(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, want_nothing, NULL);
    target t = supervised_target(s);

    OK(unotify_supervisor_on_default(s, echo, NULL));
    target_call(&t, 7, 0);
    OK(unotify_supervisor_start(s));
    CHECK_INT(target_result(&t), 7);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
}

static int return_garbage(unotify_notification *n, void *data)
{
    OK(unotify_notification_reply_error(n, EDOM));
    return -12345;
}

static void any_other_verdict_is_handled(void)
{
    unotify_stats stats;

    CHECK_INT(under(return_garbage, &stats), -EDOM);
    CHECK_INT(stats.errors, 2);
}

static int fail(unotify_notification *n, void *data)
{
    return UNOTIFY_FAILED;
}

static void a_handler_that_fails_leaves_the_fallback_error_and_ends_the_run(void)
{
    unotify_supervisor *s = supervisor_with(1, UNOTIFY_SUPERVISOR_KEEP_RUNNING, fail, NULL);
    target t = supervised_target(s);

    target_call(&t, 1, 0);
    CHECK_STATUS(unotify_supervisor_run(s), UNOTIFY_ERR_HANDLER);
    CHECK_INT(target_result(&t), -ENOSYS);
    CHECK_INT(stats_of(s).failed, 1);
    CHECK_INT(stats_of(s).fallbacks, 1);
    target_end(&t);
    unotify_supervisor_free(s);
}

static int answer_twice(unotify_notification *n, void *data)
{
    OK(unotify_notification_reply_value(n, 5));
    CHECK_STATUS(unotify_notification_reply_value(n, 6), UNOTIFY_ERR_ANSWERED);
    CHECK_STATUS(unotify_notification_reply_error(n, EDOM), UNOTIFY_ERR_ANSWERED);
    CHECK_STATUS(unotify_notification_reply_continue(n), UNOTIFY_ERR_ANSWERED);
    return UNOTIFY_HANDLED;
}

static void the_first_of_two_answers_counts(void)
{
    unotify_stats stats;

    CHECK_INT(under(answer_twice, &stats), 5);
    CHECK_INT(stats.values, 2);
    CHECK_INT(stats.errors, 0);
}

static int free_it(unotify_notification *n, void *data)
{
    unotify_notification_free(n);
    return UNOTIFY_HANDLED;
}

static void freed_in_its_handler_it_is_answered(void)
{
    unotify_stats stats;

    CHECK_INT(under(free_it, &stats), -ENOSYS);
    CHECK_INT(stats.fallbacks, 2);
    CHECK_INT(stats.deferred_outstanding, 0);
}

static int answer_and_free_and_defer(unotify_notification *n, void *data)
{
    OK(unotify_notification_reply_value(n, 5));
    unotify_notification_free(n);
    return UNOTIFY_DEFERRED;
}

static void freed_and_then_deferred_it_is_not_outstanding(void)
{
    unotify_stats stats;

    CHECK_INT(under(answer_and_free_and_defer, &stats), 5);
    CHECK_INT(stats.deferred_outstanding, 0);
}

/* Hands notifications from a handler to the test. */
typedef struct {
    int pipe[2];
} handover;

static int defer(unotify_notification *n, void *data)
{
    handover *to = data;

    CHECK(write(to->pipe[1], &n, sizeof n) == sizeof n);
    return UNOTIFY_DEFERRED;
}

static unotify_notification *deferred(const handover *from)
{
    unotify_notification *n;

    CHECK(read(from->pipe[0], &n, sizeof n) == sizeof n);
    return n;
}

static void *answer_with_argument(void *passed)
{
    unotify_notification *n = passed;

    OK(unotify_notification_reply_value(n, (int64_t)unotify_notification_request(n)->args[0]));
    unotify_notification_free(n);
    return NULL;
}

static void deferred_ones_are_answered_by_other_threads(void)
{
    enum { CALLS = 20 };
    handover to;
    pthread_t threads[CALLS];
    unotify_supervisor *s;
    target t;
    int64_t sum = 0;

    CHECK(pipe(to.pipe) == 0);
    s = supervisor_with(1, 0, defer, &to);
    t = supervised_target(s);
    OK(unotify_supervisor_start(s));
    for (int i = 0; i < CALLS; i++)
        target_call(&t, (uint64_t)i, 0);
    for (int i = 0; i < CALLS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, answer_with_argument, deferred(&to)), 0);
    for (int i = 0; i < CALLS; i++)
        sum += target_result(&t);
    CHECK_INT(sum, CALLS * (CALLS - 1) / 2);
    for (int i = 0; i < CALLS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    /* What was freed before its handler returned is not counted as deferred. */
    /* A deferred one is counted again when it is answered. */
    CHECK_INT(stats_of(s).values, CALLS);
    CHECK(stats_of(s).deferred <= CALLS);
    CHECK_INT(stats_of(s).deferred_outstanding, 0);
    unotify_supervisor_free(s);
    close(to.pipe[0]);
    close(to.pipe[1]);
}

static void a_deferred_one_outlives_the_supervisor(void)
{
    handover to;
    unotify_supervisor *s;
    unotify_notification *n;
    target t;

    CHECK(pipe(to.pipe) == 0);
    s = supervisor_with(1, 0, defer, &to);
    t = supervised_target(s);
    OK(unotify_supervisor_start(s));
    target_call(&t, 1, 0);
    n = deferred(&to);
    unotify_supervisor_free(s);
    OK(unotify_notification_check_valid(n));
    OK(unotify_notification_reply_value(n, 9));
    CHECK_INT(target_result(&t), 9);
    unotify_notification_free(n);
    target_end(&t);
    close(to.pipe[0]);
    close(to.pipe[1]);
}

static void a_deferred_one_freed_unanswered_gets_the_fallback_error(void)
{
    handover to;
    unotify_supervisor *s;
    target t;

    CHECK(pipe(to.pipe) == 0);
    s = supervisor_with(1, 0, defer, &to);
    t = supervised_target(s);
    OK(unotify_supervisor_start(s));
    target_call(&t, 1, 0);
    unotify_notification_free(deferred(&to));
    CHECK_INT(target_result(&t), -ENOSYS);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
    close(to.pipe[0]);
    close(to.pipe[1]);
}

static int answer_with_listener_data(unotify_notification *n, void *data)
{
    int64_t *value = unotify_notification_listener_data(n);

    OK(unotify_notification_reply_value(n, *value));
    return UNOTIFY_HANDLED;
}

static void each_listener_has_data_of_its_own(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, answer_with_listener_data, NULL);
    int64_t values[2] = { 11, 22 };
    target t[2];

    for (int i = 0; i < 2; i++) {
        unotify_listener *listener;

        t[i] = target_start(&listener);
        OK(unotify_supervisor_add_listener(s, listener, &values[i]));
    }
    OK(unotify_supervisor_start(s));
    for (int i = 0; i < 2; i++) {
        target_call(&t[i], 0, 0);
        CHECK_INT(target_result(&t[i]), values[i]);
        target_end(&t[i]);
    }
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
}

static void count_in_listener_data(void *listener_data, void *data)
{
    *(int *)listener_data += *(int *)data;
}

static void it_is_told_of_each_listener_that_has_left(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, echo, NULL);
    int left[3] = { 0 }, one = 1;
    target t[3];

    OK(unotify_supervisor_on_close(s, count_in_listener_data, &one));
    for (int i = 0; i < 3; i++) {
        unotify_listener *listener;

        t[i] = target_start(&listener);
        OK(unotify_supervisor_add_listener(s, listener, &left[i]));
    }
    OK(unotify_supervisor_start(s));
    target_end(&t[1]);
    for (int i = 0; i < slowed(10000) && stats_of(s).listeners > 2; i++)
        usleep(1000);
    CHECK_INT(left[0] + left[2], 0);
    unotify_supervisor_free(s);
    for (int i = 0; i < 3; i++)
        CHECK_INT(left[i], 1);
    target_end(&t[0]);
    target_end(&t[2]);
}

static void count_the_told(void *listener_data, void *data)
{
    (void)data;
    __atomic_add_fetch((int *)listener_data, 1, __ATOMIC_SEQ_CST);
}

static void a_listener_is_taken_and_added_again(void)
{
    unotify_supervisor *s = supervisor_with(1, UNOTIFY_SUPERVISOR_KEEP_RUNNING, echo, NULL);
    unotify_notification *n = NULL;
    unotify_listener *listener = NULL;
    int key = 0, other;
    target t = target_start(&listener);

    OK(unotify_supervisor_on_close(s, count_the_told, NULL));
    OK(unotify_supervisor_add_listener(s, listener, &key));
    OK(unotify_supervisor_start(s));
    target_call(&t, 3, 0);
    CHECK_INT(target_result(&t), 3);
    CHECK_STATUS(unotify_supervisor_take_listener(s, &other, &listener), UNOTIFY_ERR_CLOSED);
    OK(unotify_supervisor_take_listener(s, &key, &listener));
    CHECK_STATUS(unotify_supervisor_take_listener(s, &key, &listener), UNOTIFY_ERR_CLOSED);
    /* Until then a worker may be about to receive. */
    for (int i = 0; i < slowed(10000) && !__atomic_load_n(&key, __ATOMIC_SEQ_CST); i++)
        usleep(1000);
    CHECK_INT(key, 1);
    target_call(&t, 3, 0);
    OK(unotify_listener_receive(listener, slowed(10000), &n));
    OK(unotify_notification_reply_value(n, 4));
    CHECK_INT(target_result(&t), 4);
    unotify_notification_free(n);
    OK(unotify_supervisor_add_listener(s, listener, &key));
    target_call(&t, 5, 0);
    CHECK_INT(target_result(&t), 5);
    target_end(&t);
    unotify_supervisor_free(s);
}

static void the_targets_of_a_removed_listener_do_not_wait(void)
{
    unotify_supervisor *s = supervisor_with(1, UNOTIFY_SUPERVISOR_KEEP_RUNNING, echo, NULL);
    target t = supervised_target(s);

    OK(unotify_supervisor_start(s));
    target_call(&t, 3, 0);
    CHECK_INT(target_result(&t), 3);
    OK(unotify_supervisor_remove_listener(s, NULL));
    target_call(&t, 3, 0);
    target_result(&t); /* handled, if it was just about to be received */
    target_call(&t, 3, 0);
    CHECK_INT(target_result(&t), -ENOSYS);
    CHECK_STATUS(unotify_supervisor_remove_listener(s, NULL), UNOTIFY_ERR_CLOSED);
    target_end(&t);
    unotify_supervisor_free(s);
}

static unotify_supervisor *stopped_by_signal;

static void stop_it(int signal)
{
    int before = errno;

    errno = 4711;
    if (unotify_supervisor_stop(stopped_by_signal) != UNOTIFY_OK || errno != 4711)
        _exit(1);
    errno = before;
}

static atomic_int enough;

static void *send_signals(void *runner)
{
    for (unsigned i = 0; !atomic_load(&enough); i++) {
        usleep(i % 20 * 200);
        pthread_kill(*(pthread_t *)runner, SIGUSR1);
    }
    return NULL;
}

/* Valgrind does not let the first thread's stack grow where a signal comes within a handler. */
static void grow_stack(void)
{
    volatile char room[1 << 18];

    for (size_t i = 0; i < sizeof room; i += 4096)
        room[i] = 0;
}

static void a_signal_handler_stops_a_run(void)
{
    struct sigaction action = { 0 };
    pthread_t runner = pthread_self(), sender;
    target t;

    grow_stack();
    stopped_by_signal = supervisor_with(4, 0, echo, NULL);
    t = supervised_target(stopped_by_signal);
    action.sa_handler = stop_it;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK_INT(pthread_create(&sender, NULL, send_signals, &runner), 0);
    /* A signal that comes while it does not run stops the next one. */
    for (int i = 0; i < 50; i++)
        CHECK_INT(unotify_supervisor_run(stopped_by_signal), UNOTIFY_ERR_STOPPED);
    atomic_store(&enough, 1);
    CHECK_INT(pthread_join(sender, NULL), 0);
    signal(SIGUSR1, SIG_DFL);
    OK(unotify_supervisor_start(stopped_by_signal));
    OK(unotify_supervisor_stop(stopped_by_signal));
    CHECK_STATUS(unotify_supervisor_join(stopped_by_signal, -1), UNOTIFY_ERR_STOPPED);
    target_end(&t);
    unotify_supervisor_free(stopped_by_signal);
}

static void a_join_with_a_time_limit_leaves_the_run_as_it_was(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, echo, NULL);
    target t = supervised_target(s);

    OK(unotify_supervisor_start(s));
    CHECK_STATUS(unotify_supervisor_join(s, 0), UNOTIFY_ERR_TIMEOUT);
    CHECK_STATUS(unotify_supervisor_join(s, 10), UNOTIFY_ERR_TIMEOUT);
    CHECK_STATUS(unotify_supervisor_join(s, -2), UNOTIFY_ERR_INVALID_ARGUMENT);
    target_call(&t, 3, 0);
    CHECK_INT(target_result(&t), 3);
    target_end(&t);
    OK(unotify_supervisor_join(s, slowed(10000)));
    unotify_supervisor_free(s);
}

static void after_a_stop_what_is_pending_waits_for_the_next_run(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, echo, NULL);
    target t = supervised_target(s);
    int64_t result;

    OK(unotify_supervisor_stop(s));
    CHECK_STATUS(unotify_supervisor_run(s), UNOTIFY_ERR_STOPPED);
    target_call(&t, 3, 0);
    usleep(20000);
    CHECK(recv(t.socket, &result, sizeof result, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    OK(unotify_supervisor_start(s));
    CHECK_INT(target_result(&t), 3);
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
}

static void a_stop_that_drains_gives_what_is_pending_the_fallback_error(void)
{
    unotify_supervisor_opts opts = { .size = sizeof opts };
    unotify_supervisor *s;
    struct pollfd poll_for = { .events = POLLIN };
    target t;

    opts.flags = UNOTIFY_SUPERVISOR_DRAIN_ON_STOP;
    opts.fallback_error = EROFS;
    OK(unotify_supervisor_new(&opts, &s));
    t = supervised_target(s);
    target_call(&t, 1, 0);
    poll_for.fd = unotify_supervisor_fd(s);
    CHECK_INT(poll(&poll_for, 1, slowed(10000)), 1);
    OK(unotify_supervisor_stop(s));
    CHECK_STATUS(unotify_supervisor_run(s), UNOTIFY_ERR_STOPPED);
    CHECK_INT(target_result(&t), -EROFS);
    target_end(&t);
    unotify_supervisor_free(s);
}

static void an_event_loop_drives_it(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, echo, NULL);
    target t = supervised_target(s);
    struct pollfd poll_for = { .events = POLLIN };
    unotify_status status;
    size_t handled = 77;

    poll_for.fd = unotify_supervisor_fd(s);
    OK(unotify_supervisor_dispatch(s, &handled));
    CHECK_INT(handled, 0);
    CHECK_INT(poll(&poll_for, 1, 0), 0);
    for (int64_t i = 0; i < 10; i++) {
        target_call(&t, (uint64_t)i, 0);
        CHECK_INT(poll(&poll_for, 1, slowed(10000)), 1);
        OK(unotify_supervisor_dispatch(s, &handled));
        CHECK_INT(handled, 1);
        CHECK_INT(target_result(&t), i);
    }
    target_end(&t);
    do {
        CHECK_INT(poll(&poll_for, 1, slowed(10000)), 1);
        status = unotify_supervisor_dispatch(s, NULL);
    } while (status == UNOTIFY_OK);
    CHECK_INT(status, UNOTIFY_ERR_CLOSED);
    unotify_supervisor_free(s);
}

static void options_out_of_range_are_refused(void)
{
    unotify_supervisor *s = NULL;
    const unotify_supervisor_opts bad[] = {
        { .size = 0 },
        { .size = 1 },
        { .size = sizeof bad[0], .max_workers = 1025 },
        { .size = sizeof bad[0], .fallback_error = -1 },
        { .size = sizeof bad[0], .fallback_error = 4096 },
        { .size = sizeof bad[0], .flags = 1U << 31 },
        { .size = sizeof bad[0], .wake_up = 3 },
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_STATUS(unotify_supervisor_new(&bad[i], &s), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(s == NULL);
}

static void options_of_other_versions_are_taken_if_nothing_is_asked_for(void)
{
    struct {
        unotify_supervisor_opts known;
        uint64_t later;
    } opts = { .known = { .size = sizeof opts } };
    unotify_supervisor *s = NULL;

    OK(unotify_supervisor_new(&opts.known, &s));
    unotify_supervisor_free(s);
    s = NULL;
    opts.later = 1;
    CHECK_STATUS(unotify_supervisor_new(&opts.known, &s), UNOTIFY_ERR_UNSUPPORTED);
    CHECK(s == NULL);
    /* Of a version that had workers and the fallback error alone. */
    opts.known.size = offsetof(unotify_supervisor_opts, flags);
    opts.known.flags = 1U << 31;
    OK(unotify_supervisor_new(&opts.known, &s));
    unotify_supervisor_free(s);
}

static void statistics_are_written_as_far_as_the_caller_knows_them(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, echo, NULL);
    unotify_stats stats;

    memset(&stats, 0xee, sizeof stats);
    stats.size = offsetof(unotify_stats, errors);
    OK(unotify_supervisor_stats(s, &stats));
    CHECK_INT(stats.received, 0);
    CHECK_INT(stats.values, 0);
    CHECK(stats.errors == 0xeeeeeeeeeeeeeeeeU);
    stats.size = sizeof stats.size;
    CHECK_STATUS(unotify_supervisor_stats(s, &stats), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_stats(s, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_supervisor_free(s);
}

static void garbage_is_refused(void)
{
    unotify_supervisor *s = supervisor_with(1, 0, echo, NULL);
    unotify_listener *listener = NULL;

    CHECK_STATUS(unotify_supervisor_new(NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on(NULL, "getppid", 0, echo, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on(s, NULL, 0, echo, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on(s, "getppid", 0, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on(s, "getppid", 2, echo, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on(s, "opennat", 0, echo, NULL), UNOTIFY_ERR_UNKNOWN_SYSCALL);
    CHECK_STATUS(unotify_supervisor_on_default(s, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on_default(NULL, echo, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on_close(NULL, count_in_listener_data, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_on_close(s, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_take_listener(NULL, NULL, &listener),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_take_listener(s, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_remove_listener(NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listener == NULL);
    CHECK_STATUS(unotify_supervisor_add_listener(s, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_run(NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_start(NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_stop(NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_join(NULL, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_join(s, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_supervisor_dispatch(NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(unotify_supervisor_fd(NULL), -1);
    unotify_supervisor_free(NULL);
    unotify_supervisor_free(s);
}

int main(void)
{
    RUN(CASE(a_run_ends_with_its_last_target),
        CASE(a_handler_that_answers_nothing_leaves_the_fallback_error),
        CASE(what_no_handler_wants_gets_the_fallback_error),
        CASE(handlers_are_asked_in_order_until_one_handles_it),
        CASE(the_default_handler_gets_what_no_handler_wants), CASE(any_other_verdict_is_handled),
        CASE(a_handler_that_fails_leaves_the_fallback_error_and_ends_the_run),
        CASE(the_first_of_two_answers_counts), CASE(freed_in_its_handler_it_is_answered),
        CASE(freed_and_then_deferred_it_is_not_outstanding),
        CASE(deferred_ones_are_answered_by_other_threads),
        CASE(a_deferred_one_outlives_the_supervisor),
        CASE(a_deferred_one_freed_unanswered_gets_the_fallback_error),
        CASE(each_listener_has_data_of_its_own), CASE(it_is_told_of_each_listener_that_has_left),
        CASE(a_listener_is_taken_and_added_again),
        CASE(the_targets_of_a_removed_listener_do_not_wait), CASE(a_signal_handler_stops_a_run),
        CASE(a_join_with_a_time_limit_leaves_the_run_as_it_was),
        CASE(after_a_stop_what_is_pending_waits_for_the_next_run),
        CASE(a_stop_that_drains_gives_what_is_pending_the_fallback_error),
        CASE(an_event_loop_drives_it), CASE(options_out_of_range_are_refused),
        CASE(options_of_other_versions_are_taken_if_nothing_is_asked_for),
        CASE(statistics_are_written_as_far_as_the_caller_knows_them), CASE(garbage_is_refused));
}
