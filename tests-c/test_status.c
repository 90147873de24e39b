/* Version, features, the names of statuses, the last error. */

#include "check.h"

#include <pthread.h>

static void the_version_has_three_numbers(void)
{
    unsigned major, minor, patch;
    char more;

    CHECK_INT(sscanf(unotify_version(), "%u.%u.%u%c", &major, &minor, &patch, &more), 3);
}

static void a_status_is_as_wide_as_the_abi_says(void)
{
    CHECK_INT(sizeof(unotify_status), sizeof(int32_t));
}

static void every_status_has_a_name_and_a_message(void)
{
    CHECK(strcmp(unotify_status_name(UNOTIFY_OK), "UNOTIFY_OK") == 0);
    CHECK(strcmp(unotify_status_name(UNOTIFY_ERR_GONE), "UNOTIFY_ERR_GONE") == 0);
    CHECK(strcmp(unotify_status_name(UNOTIFY_ERR_PANIC), "UNOTIFY_ERR_PANIC") == 0);
    for (int32_t status = 0; status >= UNOTIFY_ERR_HANDLER; status--) {
        CHECK(strcmp(unotify_status_name(status), "UNOTIFY_ERR_?") != 0);
        CHECK(strlen(unotify_status_message(status)) > 0);
    }
}

static void any_integer_has_a_name_and_a_message(void)
{
    const int32_t garbage[] = { 1, UNOTIFY_ERR_HANDLER - 1, 4096, INT32_MIN, INT32_MAX };

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        CHECK(strcmp(unotify_status_name(garbage[i]), "UNOTIFY_ERR_?") == 0);
        CHECK(strcmp(unotify_status_message(garbage[i]), "unknown status") == 0);
    }
}

static void the_last_error_is_empty_at_first(void)
{
    char sentence[8] = "before";

    CHECK_INT(unotify_last_error(sentence, sizeof sentence), 0);
    CHECK(strcmp(sentence, "") == 0);
    CHECK_INT(unotify_last_error(NULL, 0), 0);
}

static void the_last_error_names_the_culprit(void)
{
    char sentence[256];
    size_t length;
    unotify_listener *listener = NULL;

    CHECK_STATUS(unotify_listener_from_fd(-5, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
    length = unotify_last_error(sentence, sizeof sentence);
    CHECK_INT(length, strlen(sentence));
    CHECK(strstr(sentence, "`fd` is -5") != NULL);
    CHECK(listener == NULL);
}

static void the_last_error_is_cut_to_the_room_for_it(void)
{
    char whole[256];
    char cut[8];
    size_t length;

    CHECK_STATUS(unotify_listener_from_fd(-5, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    length = unotify_last_error(whole, sizeof whole);
    memset(cut, 'x', sizeof cut);
    CHECK_INT(unotify_last_error(cut, 6), length);
    CHECK(memcmp(cut, whole, 5) == 0);
    CHECK(memcmp(cut + 5, "\0xx", 3) == 0);
    CHECK_INT(unotify_last_error(cut, 0), length);
    CHECK_INT(unotify_last_error(NULL, 0), length);
}

static void *look_at_last_error(void *length)
{
    *(size_t *)length = unotify_last_error(NULL, 0);
    return NULL;
}

static void the_last_error_is_the_threads_own(void)
{
    pthread_t other;
    size_t length = 99;

    CHECK_STATUS(unotify_listener_from_fd(-5, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(pthread_create(&other, NULL, look_at_last_error, &length), 0);
    CHECK_INT(pthread_join(other, NULL), 0);
    CHECK_INT(length, 0);
}

static void features_are_the_same_each_time(void)
{
    CHECK_INT(unotify_features(), unotify_features());
}

int main(void)
{
    RUN(CASE(the_version_has_three_numbers), CASE(a_status_is_as_wide_as_the_abi_says),
        CASE(every_status_has_a_name_and_a_message), CASE(any_integer_has_a_name_and_a_message),
        CASE(the_last_error_is_empty_at_first), CASE(the_last_error_names_the_culprit),
        CASE(the_last_error_is_cut_to_the_room_for_it), CASE(the_last_error_is_the_threads_own),
        CASE(features_are_the_same_each_time));
}
