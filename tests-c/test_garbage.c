/* Null pointers and numbers out of range, to every function: a status, never a crash. */

#include "target.h"

#define REFUSED(call) CHECK_STATUS(call, UNOTIFY_ERR_INVALID_ARGUMENT)

static void freeing_nothing_is_nothing(void)
{
    unotify_listener_free(NULL);
    unotify_notification_free(NULL);
}

static void null_has_no_answers(void)
{
    CHECK_INT(unotify_listener_fd(NULL), -1);
    CHECK_INT(unotify_listener_into_fd(NULL), -1);
    CHECK(unotify_notification_request(NULL) == NULL);
    CHECK(unotify_notification_listener_data(NULL) == NULL);
}

static void a_null_listener_is_refused(void)
{
    unotify_notification *notification = NULL;

    REFUSED(unotify_listener_receive(NULL, 0, &notification));
    REFUSED(unotify_listener_set_sync_wake_up(NULL, 1));
    REFUSED(unotify_listener_set_fallback_error(NULL, EPERM));
    REFUSED(unotify_listener_to_socket(NULL, 0));
    CHECK(notification == NULL);
}

static void a_null_notification_is_refused(void)
{
    REFUSED(unotify_notification_check_valid(NULL));
    REFUSED(unotify_notification_reply_value(NULL, 0));
    REFUSED(unotify_notification_reply_error(NULL, EPERM));
    REFUSED(unotify_notification_reply_continue(NULL));
}

static void a_null_out_pointer_is_refused(void)
{
    REFUSED(unotify_listener_from_fd(0, NULL));
    REFUSED(unotify_listener_from_pid(getpid(), 0, NULL));
    REFUSED(unotify_listener_from_socket(0, NULL));
}

static void what_is_no_descriptor_is_refused(void)
{
    const int garbage[] = { -1, -2, INT32_MIN, INT32_MAX, 1 << 20 };
    unotify_listener *out = NULL;

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        REFUSED(unotify_listener_from_fd(garbage[i], &out));
        CHECK_INT(errno, EBADF);
        REFUSED(unotify_listener_from_socket(garbage[i], &out));
        CHECK_INT(errno, EBADF);
    }
    CHECK(out == NULL);
}

static void what_is_no_process_is_refused(void)
{
    unotify_listener *out = NULL;

    CHECK(unotify_listener_from_pid(-1, 0, &out) != UNOTIFY_OK);
    CHECK(unotify_listener_from_pid(0, 0, &out) != UNOTIFY_OK);
    CHECK(unotify_listener_from_pid(INT32_MAX, 0, &out) != UNOTIFY_OK);
    CHECK(unotify_listener_from_pid(getpid(), -1, &out) != UNOTIFY_OK);
    CHECK(out == NULL);
}

static void garbage_to_a_live_listener_does_no_harm(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);
    const int limits[] = { -2, -1000, INT32_MIN };
    const int errors[] = { 0, -1, 4096, INT32_MIN, INT32_MAX };

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        REFUSED(unotify_listener_receive(listener, limits[i], &notification));
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        REFUSED(unotify_listener_set_fallback_error(listener, errors[i]));
    REFUSED(unotify_listener_receive(listener, 0, NULL));
    CHECK(notification == NULL);

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, INT32_MAX, &notification));
    OK(unotify_notification_reply_value(notification, 1));
    CHECK_INT(target_result(&t), 1);
    unotify_notification_free(notification);
    target_end(&t);
    unotify_listener_free(listener);
}

int main(void)
{
    RUN(CASE(freeing_nothing_is_nothing), CASE(null_has_no_answers),
        CASE(a_null_listener_is_refused), CASE(a_null_notification_is_refused),
        CASE(a_null_out_pointer_is_refused), CASE(what_is_no_descriptor_is_refused),
        CASE(what_is_no_process_is_refused), CASE(garbage_to_a_live_listener_does_no_harm));
}
