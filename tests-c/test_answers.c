/* The ways to answer a notification. */

#include "target.h"

static unotify_listener *listener;
static unotify_notification *notification;
static target t;

/* One call of a fresh target, received. */
static void receive_a_call(void)
{
    t = target_start(&listener);
    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
}

static void finish(void)
{
    unotify_notification_free(notification);
    notification = NULL;
    target_end(&t);
    unotify_listener_free(listener);
    listener = NULL;
}

static void a_request_is_the_call_as_it_was_made(void)
{
    const unotify_request *request;

    t = target_start(&listener);
    target_call(&t, 0x1122334455667788, 42);
    OK(unotify_listener_receive(listener, -1, &notification));
    request = unotify_notification_request(notification);
    CHECK(request != NULL);
    CHECK_INT(request->syscall, TARGET_CALL);
    CHECK(request->args[0] == 0x1122334455667788);
    CHECK_INT(request->args[1], 42);
    CHECK_INT(request->flags, 0);
    CHECK(request->pid != 0);
    CHECK(request->arch != 0);
    CHECK(request->instruction_pointer != 0);
    CHECK(unotify_notification_listener_data(notification) == NULL);
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    finish();
}

static void a_value_is_what_the_call_returns(void)
{
    receive_a_call();
    OK(unotify_notification_reply_value(notification, 0x123456789a));
    CHECK_INT(target_result(&t), 0x123456789a);
    finish();
}

static void an_error_is_given_positive(void)
{
    receive_a_call();
    OK(unotify_notification_reply_error(notification, EPERM));
    CHECK_INT(target_result(&t), -EPERM);
    finish();
}

static void an_error_out_of_range_leaves_the_target_waiting(void)
{
    const int garbage[] = { 0, -1, -EPERM, 4096, INT32_MIN, INT32_MAX };

    receive_a_call();
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        CHECK_STATUS(unotify_notification_reply_error(notification, garbage[i]),
                     UNOTIFY_ERR_INVALID_ARGUMENT);
        OK(unotify_notification_check_valid(notification));
    }
    OK(unotify_notification_reply_error(notification, 4095));
    CHECK_INT(target_result(&t), -4095);
    finish();
}

static void a_continued_call_is_the_kernels(void)
{
    receive_a_call();
    OK(unotify_notification_reply_continue(notification));
    CHECK_INT(target_result(&t), getpid());
    finish();
}

static void a_second_answer_is_refused(void)
{
    receive_a_call();
    OK(unotify_notification_check_valid(notification));
    OK(unotify_notification_reply_value(notification, 7));
    CHECK_STATUS(unotify_notification_reply_value(notification, 8), UNOTIFY_ERR_ANSWERED);
    CHECK_STATUS(unotify_notification_reply_error(notification, EIO), UNOTIFY_ERR_ANSWERED);
    CHECK_STATUS(unotify_notification_reply_continue(notification), UNOTIFY_ERR_ANSWERED);
    CHECK_STATUS(unotify_notification_check_valid(notification), UNOTIFY_ERR_ANSWERED);
    CHECK_INT(target_result(&t), 7);
    finish();
}

static void freed_unanswered_the_target_gets_enosys(void)
{
    receive_a_call();
    unotify_notification_free(notification);
    notification = NULL;
    CHECK_INT(target_result(&t), -ENOSYS);
    finish();
}

static void freed_unanswered_the_target_gets_the_error_chosen(void)
{
    receive_a_call();
    OK(unotify_listener_set_fallback_error(listener, EACCES));
    unotify_notification_free(notification);
    notification = NULL;
    CHECK_INT(target_result(&t), -EACCES);
    finish();
}

static void freed_answered_nothing_more_is_said(void)
{
    receive_a_call();
    OK(unotify_notification_reply_value(notification, 1));
    unotify_notification_free(notification);
    notification = NULL;
    CHECK_INT(target_result(&t), 1);
    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    OK(unotify_notification_reply_value(notification, 2));
    CHECK_INT(target_result(&t), 2);
    finish();
}

static void a_handle_is_used_again(void)
{
    unotify_notification *before;

    receive_a_call();
    before = notification;
    for (int64_t i = 0; i < 100; i++) {
        OK(unotify_notification_reply_value(notification, i));
        CHECK_INT(target_result(&t), i);
        target_call(&t, 0, (uint64_t)i);
        OK(unotify_listener_receive(listener, -1, &notification));
        CHECK(notification == before);
        CHECK_INT(unotify_notification_request(notification)->args[1], i);
    }
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    finish();
}

static void a_handle_used_again_answers_what_it_held(void)
{
    receive_a_call();
    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    CHECK_INT(target_result(&t), -ENOSYS);
    OK(unotify_notification_reply_value(notification, 5));
    CHECK_INT(target_result(&t), 5);
    finish();
}

static void answers_reach_the_call_they_are_for_in_any_order(void)
{
    enum { CALLS = 8 };
    unotify_notification *held[CALLS] = { 0 };
    int64_t sum = 0;

    t = target_start(&listener);
    for (uint64_t i = 0; i < CALLS; i++) {
        target_call(&t, i, 0);
        OK(unotify_listener_receive(listener, -1, &held[i]));
        CHECK(unotify_notification_request(held[i])->args[0] == i);
    }
    for (int i = CALLS - 1; i >= 0; i--) {
        OK(unotify_notification_reply_value(held[i], i));
        CHECK_INT(target_result(&t), i);
        sum += i;
    }
    CHECK_INT(sum, CALLS * (CALLS - 1) / 2);
    for (int i = 0; i < CALLS; i++)
        unotify_notification_free(held[i]);
    finish();
}

int main(void)
{
    RUN(CASE(a_request_is_the_call_as_it_was_made), CASE(a_value_is_what_the_call_returns),
        CASE(an_error_is_given_positive), CASE(an_error_out_of_range_leaves_the_target_waiting),
        CASE(a_continued_call_is_the_kernels), CASE(a_second_answer_is_refused),
        CASE(freed_unanswered_the_target_gets_enosys),
        CASE(freed_unanswered_the_target_gets_the_error_chosen),
        CASE(freed_answered_nothing_more_is_said), CASE(a_handle_is_used_again),
        CASE(a_handle_used_again_answers_what_it_held),
        CASE(answers_reach_the_call_they_are_for_in_any_order));
}
