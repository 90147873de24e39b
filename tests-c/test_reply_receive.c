/* Answering and receiving the next in one call. */

#include "target.h"

static unotify_listener *listener;
static unotify_notification *notification;
static target t;

static void begin(void)
{
    t = target_start(&listener);
    OK(unotify_notification_new(&notification));
}

static void finish(void)
{
    unotify_notification_free(notification);
    notification = NULL;
    target_end(&t);
    unotify_listener_free(listener);
    listener = NULL;
}

/* Both succeed. */
static void next(uint32_t reply, int64_t value)
{
    unotify_status replied = UNOTIFY_ERR_PANIC;

    OK(unotify_listener_reply_receive(listener, notification, reply, value, -1, &replied));
    CHECK_INT(replied, UNOTIFY_OK);
}

static void first_argument_is(uint64_t arg)
{
    CHECK(unotify_notification_request(notification)->args[0] == arg);
}

static void a_loop_answers_each_call_and_receives_the_next(void)
{
    begin();
    target_call(&t, 1, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    for (int i = 1; i <= 50; i++) {
        first_argument_is((uint64_t)i);
        target_call(&t, (uint64_t)i + 1, 0);
        next(UNOTIFY_REPLY_VALUE, i * 10);
        CHECK_INT(target_result(&t), i * 10);
    }
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    finish();
}

static void errors_are_given_positive(void)
{
    begin();
    target_call(&t, 1, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    target_call(&t, 2, 0);
    next(UNOTIFY_REPLY_ERROR, EPERM);
    CHECK_INT(target_result(&t), -EPERM);
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    finish();
}

static void a_continued_call_is_the_kernels(void)
{
    begin();
    target_call(&t, 1, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    target_call(&t, 2, 0);
    next(UNOTIFY_REPLY_CONTINUE, 0);
    CHECK_INT(target_result(&t), getpid());
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    finish();
}

static void each_part_has_its_own_status(void)
{
    unotify_status replied = UNOTIFY_ERR_PANIC;

    begin();
    target_call(&t, 1, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    /* Answered, and there is no other. */
    CHECK_STATUS(
        unotify_listener_reply_receive(listener, notification, UNOTIFY_REPLY_VALUE, 5, 0, &replied),
        UNOTIFY_ERR_TIMEOUT);
    CHECK_INT(replied, UNOTIFY_OK);
    CHECK_INT(target_result(&t), 5);

    /* Answered before, and there is another one. */
    target_call(&t, 2, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    OK(unotify_notification_reply_value(notification, 6));
    CHECK_INT(target_result(&t), 6);
    target_call(&t, 3, 0);
    OK(unotify_listener_reply_receive(listener, notification, UNOTIFY_REPLY_VALUE, 7, -1,
                                      &replied));
    CHECK_INT(replied, UNOTIFY_ERR_ANSWERED);
    first_argument_is(3);
    OK(unotify_notification_reply_value(notification, 8));
    CHECK_INT(target_result(&t), 8);
    finish();
}

static void the_answer_to_a_dead_target_is_gone_and_the_end_is_told(void)
{
    unotify_status replied = UNOTIFY_ERR_PANIC;

    begin();
    target_call(&t, 1, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    target_kill(&t);
    CHECK_STATUS(unotify_listener_reply_receive(listener, notification, UNOTIFY_REPLY_VALUE, 0, -1,
                                                &replied),
                 UNOTIFY_ERR_CLOSED);
    CHECK_INT(replied, UNOTIFY_ERR_GONE);
    unotify_notification_free(notification);
    notification = NULL;
    unotify_listener_free(listener);
    listener = NULL;
}

/* Neither answers nor receives, and says why. */
static void is_refused(uint32_t reply, int64_t value, int timeout_ms)
{
    unotify_status replied = UNOTIFY_ERR_PANIC;

    CHECK_STATUS(
        unotify_listener_reply_receive(listener, notification, reply, value, timeout_ms, &replied),
        UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(replied == UNOTIFY_OK || replied == UNOTIFY_ERR_INVALID_ARGUMENT);
    first_argument_is(1);
    OK(unotify_notification_check_valid(notification));
}

static void a_bad_answer_leaves_the_target_waiting_and_receives_nothing(void)
{
    begin();
    target_call(&t, 1, 0);
    next(UNOTIFY_REPLY_NONE, 0);
    is_refused(UNOTIFY_REPLY_ERROR, 0, -1);
    is_refused(UNOTIFY_REPLY_ERROR, -EPERM, -1);
    is_refused(UNOTIFY_REPLY_ERROR, 4096, -1);
    is_refused(UNOTIFY_REPLY_ERROR, (INT64_C(1) << 32) + EPERM, -1);
    is_refused(UNOTIFY_REPLY_CONTINUE, 1, -1);
    is_refused(99, 0, -1);
    is_refused(UNOTIFY_REPLY_VALUE, 0, -2);
    OK(unotify_notification_reply_value(notification, 9));
    CHECK_INT(target_result(&t), 9);
    finish();
}

static void what_is_missing_is_said(void)
{
    unotify_status replied;

    begin();
    /* Nothing to be answered. */
    CHECK_STATUS(
        unotify_listener_reply_receive(listener, notification, UNOTIFY_REPLY_VALUE, 0, 0, &replied),
        UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(replied, UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_reply_receive(NULL, notification, UNOTIFY_REPLY_NONE, 0, 0, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_reply_receive(listener, NULL, UNOTIFY_REPLY_NONE, 0, 0, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_new(NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    finish();
}

static void a_handle_has_the_same_request_pointer_for_its_life(void)
{
    const unotify_request *request;

    begin();
    request = unotify_notification_request(notification);
    CHECK(request != NULL);
    CHECK(request->id == 0);
    CHECK_INT(request->pid, 0);
    for (uint64_t i = 1; i < 20; i++) {
        target_call(&t, i, 0);
        OK(unotify_listener_receive(listener, -1, &notification));
        CHECK(request->args[0] == i);
        CHECK(unotify_notification_request(notification) == request);
        OK(unotify_notification_reply_value(notification, 0));
        CHECK_INT(target_result(&t), 0);
    }
    finish();
}

int main(void)
{
    RUN(CASE(a_loop_answers_each_call_and_receives_the_next), CASE(errors_are_given_positive),
        CASE(a_continued_call_is_the_kernels), CASE(each_part_has_its_own_status),
        CASE(the_answer_to_a_dead_target_is_gone_and_the_end_is_told),
        CASE(a_bad_answer_leaves_the_target_waiting_and_receives_nothing),
        CASE(what_is_missing_is_said), CASE(a_handle_has_the_same_request_pointer_for_its_life));
}
