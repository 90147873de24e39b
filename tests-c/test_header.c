/* What the header itself offers: macros, structures that can be declared ahead, sized structures. */

/* Declared before the header is seen, as somebody's own header would. */
struct unotify_request;
struct unotify_load_opts;
struct unotify_stats;
static int is_the_call(const struct unotify_request *request);

#include "target.h"

static int is_the_call(const struct unotify_request *request)
{
    return request->syscall == TARGET_CALL;
}

static void structures_can_be_declared_ahead(void)
{
    const unotify_request request = { .syscall = TARGET_CALL };

    CHECK(is_the_call(&request));
}

static void the_version_is_the_librarys(void)
{
    char version[64];

    snprintf(version, sizeof version, "%d.%d.%d", UNOTIFY_VERSION_MAJOR, UNOTIFY_VERSION_MINOR,
             UNOTIFY_VERSION_PATCH);
    CHECK_INT(strcmp(version, unotify_version()), 0);
}

#if !UNOTIFY_VERSION_AT_LEAST(UNOTIFY_VERSION_MAJOR, UNOTIFY_VERSION_MINOR) || \
    !UNOTIFY_VERSION_AT_LEAST(0, 1) || UNOTIFY_VERSION_AT_LEAST(1000, 0)
#error "UNOTIFY_VERSION_AT_LEAST"
#endif

static void a_later_version_is_not_at_hand(void)
{
    CHECK(!UNOTIFY_VERSION_AT_LEAST(UNOTIFY_VERSION_MAJOR, UNOTIFY_VERSION_MINOR + 1));
    CHECK(!UNOTIFY_VERSION_AT_LEAST(UNOTIFY_VERSION_MAJOR + 1, 0));
}

static void options_are_written_where_they_are_used(void)
{
    const unotify_supervisor_opts *opts =
        &UNOTIFY_OPTS(unotify_supervisor_opts, .max_workers = 2, .fallback_error = EACCES);
    unotify_supervisor *supervisor = NULL;

    CHECK_INT((int64_t)opts->size, sizeof *opts);
    CHECK_INT(opts->max_workers, 2);
    CHECK_INT(opts->fallback_error, EACCES);
    CHECK_INT(opts->flags | opts->wake_up, 0);
    OK(unotify_supervisor_new(&UNOTIFY_OPTS(unotify_supervisor_opts, .max_workers = 2),
                              &supervisor));
    unotify_supervisor_free(supervisor);
    CHECK_STATUS(unotify_supervisor_new(&UNOTIFY_OPTS(unotify_supervisor_opts, .max_workers = 2000),
                                        &supervisor),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
}

static void the_macro_for_an_error_is_the_function(void)
{
    static const uint32_t in_a_table[] = { UNOTIFY_ACTION_ERRNO(EPERM) };

    CHECK_INT(in_a_table[0], unotify_action_errno(EPERM));
    CHECK_INT(UNOTIFY_ACTION_ERRNO(0), unotify_action_errno(0));
    CHECK_INT(UNOTIFY_ACTION_ERRNO(4095), unotify_action_errno(4095));
}

/* A structure of another version's program, between bytes that are nobody's. */
typedef union {
    size_t size;
    unsigned char bytes[512];
    unotify_stats stats;
    unotify_identity identity;
} aged;

static aged aged_by(size_t size)
{
    aged structure;

    memset(&structure, 0xa5, sizeof structure);
    structure.size = size;
    return structure;
}

static void check_filled(const aged *structure, size_t size, size_t known)
{
    CHECK_INT((int64_t)structure->size, (int64_t)size);
    for (size_t i = known; i < size; i++)
        CHECK_INT(structure->bytes[i], 0);
    for (size_t i = size; i < sizeof structure->bytes; i++)
        CHECK_INT(structure->bytes[i], 0xa5);
}

static void statistics_fill_a_structure_of_any_age(void)
{
    unotify_supervisor *supervisor;
    const size_t sizes[] = { 2 * sizeof(uint64_t), sizeof(unotify_stats), 400 };
    const size_t wrong[] = { 0, sizeof(size_t) - 1, sizeof(size_t), 4097 };

    OK(unotify_supervisor_new(NULL, &supervisor));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        aged structure = aged_by(sizes[i]);

        OK(unotify_supervisor_stats(supervisor, &structure.stats));
        check_filled(&structure, sizes[i], sizeof(unotify_stats));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        aged structure = aged_by(wrong[i]);

        CHECK_STATUS(unotify_supervisor_stats(supervisor, &structure.stats),
                     UNOTIFY_ERR_INVALID_ARGUMENT);
        CHECK_INT(structure.bytes[sizeof(size_t)], 0xa5);
    }
    CHECK_STATUS(unotify_supervisor_stats(supervisor, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_supervisor_free(supervisor);
}

static void an_identity_fills_a_structure_of_any_age(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = NULL;
    const size_t sizes[] = { 2 * sizeof(size_t), sizeof(unotify_identity), 400 };

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, slowed(10000), &n));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        aged structure = aged_by(sizes[i]);

        OK(unotify_notification_identity(n, &structure.identity));
        check_filled(&structure, sizes[i], sizeof(unotify_identity));
        CHECK_INT(structure.identity.tgid, t.pid);
    }
    OK(unotify_notification_reply_value(n, 7));
    CHECK_INT(target_result(&t), 7);
    unotify_notification_free(n);
    unotify_listener_free(listener);
    target_end(&t);
}

int main(void)
{
    RUN(CASE(structures_can_be_declared_ahead), CASE(the_version_is_the_librarys),
        CASE(a_later_version_is_not_at_hand), CASE(options_are_written_where_they_are_used),
        CASE(the_macro_for_an_error_is_the_function), CASE(statistics_fill_a_structure_of_any_age),
        CASE(an_identity_fills_a_structure_of_any_age));
}
