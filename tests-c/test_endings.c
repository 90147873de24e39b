/* Targets that die, listeners that close, waiting that ends. */

#include "target.h"

#include <pthread.h>
#include <time.h>

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void waiting_ends_with_the_time_limit(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);
    int64_t start = milliseconds();

    CHECK_STATUS(unotify_listener_receive(listener, 50, &notification), UNOTIFY_ERR_TIMEOUT);
    CHECK(milliseconds() - start >= 50);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK(notification == NULL);
    target_end(&t);
    unotify_listener_free(listener);
}

static void a_limit_of_zero_only_looks(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);

    CHECK_STATUS(unotify_listener_receive(listener, 0, &notification), UNOTIFY_ERR_TIMEOUT);
    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, slowed(10000), &notification));
    OK(unotify_notification_reply_value(notification, 3));
    CHECK_INT(target_result(&t), 3);
    unotify_notification_free(notification);
    target_end(&t);
    unotify_listener_free(listener);
}

static void a_handle_that_received_nothing_holds_nothing(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    CHECK_STATUS(unotify_listener_receive(listener, 0, &notification), UNOTIFY_ERR_TIMEOUT);
    CHECK(notification != NULL);
    CHECK_STATUS(unotify_notification_reply_value(notification, 0), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_check_valid(notification), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_notification_free(notification);
    target_end(&t);
    unotify_listener_free(listener);
}

static void a_killed_target_is_gone(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    OK(unotify_notification_check_valid(notification));
    target_kill(&t);
    CHECK_STATUS(unotify_notification_check_valid(notification), UNOTIFY_ERR_GONE);
    CHECK_INT(errno, ENOENT);
    CHECK_STATUS(unotify_notification_reply_value(notification, 0), UNOTIFY_ERR_GONE);
    CHECK_STATUS(unotify_notification_reply_error(notification, EIO), UNOTIFY_ERR_GONE);
    CHECK_STATUS(unotify_notification_reply_continue(notification), UNOTIFY_ERR_GONE);
    unotify_notification_free(notification);
    unotify_listener_free(listener);
}

static void an_answer_finds_out_that_the_target_is_gone(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    target_kill(&t);
    CHECK_STATUS(unotify_notification_reply_continue(notification), UNOTIFY_ERR_GONE);
    unotify_notification_free(notification);
    unotify_listener_free(listener);
}

static void a_target_killed_before_it_is_received_is_passed_over(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);

    target_call(&t, 0, 0);
    target_kill(&t);
    CHECK_STATUS(unotify_listener_receive(listener, slowed(10000), &notification),
                 UNOTIFY_ERR_CLOSED);
    CHECK(notification == NULL);
    unotify_listener_free(listener);
}

static void *kill_it_later(void *t)
{
    struct timespec while_the_other_blocks = { 0, 100000000 };

    nanosleep(&while_the_other_blocks, NULL);
    target_kill(t);
    return NULL;
}

static void waiting_ends_when_the_last_target_does(int timeout_ms)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);
    pthread_t killer;

    CHECK_INT(pthread_create(&killer, NULL, kill_it_later, &t), 0);
    CHECK_STATUS(unotify_listener_receive(listener, timeout_ms, &notification), UNOTIFY_ERR_CLOSED);
    CHECK_INT(errno, EPIPE);
    CHECK_STATUS(unotify_listener_receive(listener, timeout_ms, &notification), UNOTIFY_ERR_CLOSED);
    CHECK_INT(pthread_join(killer, NULL), 0);
    unotify_listener_free(listener);
}

static void waiting_without_limit_ends_when_the_last_target_does(void)
{
    waiting_ends_when_the_last_target_does(-1);
}

static void waiting_with_a_limit_ends_when_the_last_target_does(void)
{
    waiting_ends_when_the_last_target_does(30000);
}

static void a_closed_listener_is_enosys_to_its_targets(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);

    target_call(&t, 0, 0);
    unotify_listener_free(listener);
    CHECK_INT(target_result(&t), -ENOSYS);
    target_call(&t, 0, 0);
    CHECK_INT(target_result(&t), -ENOSYS);
    target_end(&t);
}

static void a_notification_outlives_its_listener(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    unotify_listener_free(listener);
    OK(unotify_notification_check_valid(notification));
    OK(unotify_notification_reply_value(notification, 11));
    CHECK_INT(target_result(&t), 11);
    unotify_notification_free(notification);
    target_end(&t);
}

int main(void)
{
    RUN(CASE(waiting_ends_with_the_time_limit), CASE(a_limit_of_zero_only_looks),
        CASE(a_handle_that_received_nothing_holds_nothing), CASE(a_killed_target_is_gone),
        CASE(an_answer_finds_out_that_the_target_is_gone),
        CASE(a_target_killed_before_it_is_received_is_passed_over),
        CASE(waiting_without_limit_ends_when_the_last_target_does),
        CASE(waiting_with_a_limit_ends_when_the_last_target_does),
        CASE(a_closed_listener_is_enosys_to_its_targets),
        CASE(a_notification_outlives_its_listener));
}
