/* Filters: rules, what is refused and how it is named, the program, loading. */

#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static unotify_filter *new_filter(void)
{
    unotify_filter *f;

    OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &f));
    return f;
}

static unotify_status rule(unotify_filter *f, uint32_t action, const char *call)
{
    return unotify_filter_add_rule(f, action, call, NULL, 0);
}

static void a_rule_for_an_unknown_system_call_is_refused(void)
{
    unotify_filter *f = new_filter();

    CHECK_STATUS(rule(f, UNOTIFY_ACTION_LOG, "opennat"), UNOTIFY_ERR_UNKNOWN_SYSCALL);
    CHECK_SAID_OF("unknown system call `opennat` on ");
    CHECK_STATUS(unotify_filter_notify(f, "opennat"), UNOTIFY_ERR_UNKNOWN_SYSCALL);
    CHECK_SAID_OF("unknown system call `opennat` on ");
    unotify_filter_free(f);
}

static void an_unknown_architecture_is_refused(void)
{
    const uint32_t unknown[] = { 77, 12345 };
    unotify_filter *f = new_filter();

    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        CHECK_STATUS(unotify_filter_add_arch(f, unknown[i]), UNOTIFY_ERR_UNKNOWN_ARCH);
    unotify_filter_free(f);
}

static void an_architecture_after_a_rule_is_refused(void)
{
    unotify_filter *f = new_filter();
    uint32_t foreign;

#ifdef __x86_64__
    OK(unotify_arch_from_name("x86", &foreign));
#else
    OK(unotify_arch_from_name("x86_64", &foreign));
#endif
    OK(rule(f, UNOTIFY_ACTION_LOG, "getpid"));
    OK(unotify_filter_add_arch(f, 0)); /* the native one is there */
    CHECK_STATUS(unotify_filter_add_arch(f, foreign), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("comes after a rule: the rules so far would not hold for its calls");
    unotify_filter_free(f);
    f = new_filter();
    OK(unotify_filter_add_arch(f, foreign));
    OK(rule(f, UNOTIFY_ACTION_LOG, "getpid"));
    unotify_filter_free(f);
}

static void a_value_that_is_no_action_is_refused(void)
{
    const uint32_t bad[] = { 1, 0x00010000, UNOTIFY_ACTION_ALLOW | 1, 0xffffffff, 0x12345678 };
    unotify_filter *f = new_filter(), *none = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char sentence[64];

        snprintf(sentence, sizeof sentence, "unknown action 0x%x", (unsigned)bad[i]);
        CHECK_STATUS(rule(f, bad[i], "getpid"), UNOTIFY_ERR_INVALID_ARGUMENT);
        CHECK_SAID(sentence);
        CHECK_STATUS(unotify_filter_new(bad[i], &none), UNOTIFY_ERR_INVALID_ARGUMENT);
        CHECK_SAID(sentence);
        CHECK(none == NULL);
    }
    unotify_filter_free(f);
}

static void every_action_is_taken(void)
{
    const uint32_t actions[] = {
        UNOTIFY_ACTION_KILL_PROCESS, UNOTIFY_ACTION_KILL_THREAD, UNOTIFY_ACTION_TRAP,
        UNOTIFY_ACTION_NOTIFY,       UNOTIFY_ACTION_LOG,         unotify_action_errno(EPERM),
    };

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        unotify_filter *f = new_filter();

        OK(rule(f, actions[i], "getpid"));
        unotify_filter_free(f);
    }
}

static void an_error_number_beyond_libseccomps_is_refused_and_named(void)
{
    unotify_filter *f = new_filter();

    OK(rule(f, unotify_action_errno(4094), "getpid"));
    CHECK_STATUS(rule(f, unotify_action_errno(4095), "getppid"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("error number 4095: libseccomp takes 0 to 4094");
    unotify_filter_free(f);
}

static void a_rule_that_says_what_the_filter_does_anyway_is_refused(void)
{
    unotify_filter *f = new_filter();

    CHECK_STATUS(rule(f, UNOTIFY_ACTION_ALLOW, "getpid"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("default action");
    unotify_filter_free(f);
}

/* Each is the second of two conditions; the first one is good, and about argument 0. */
static void a_bad_comparison_is_refused_and_named(void)
{
    static const struct {
        unotify_arg_compare compare;
        const char *sentence;
    } bad[] = {
        { { .arg = 6, .op = UNOTIFY_COMPARE_EQUAL },
          "comparison with argument 6: a system call has arguments 0 to 5" },
        { { .arg = UINT32_MAX, .op = UNOTIFY_COMPARE_EQUAL },
          "comparison with argument 4294967295: a system call has arguments 0 to 5" },
        { { .arg = 0, .op = UNOTIFY_COMPARE_LESS, .value = 9 },
          "two comparisons with argument 0: a rule takes one for each argument" },
        { { .arg = 1, .op = 0 }, "`cmp[1].op` is 0, which is no comparison" },
        { { .arg = 1, .op = 8 }, "`cmp[1].op` is 8, which is no comparison" },
        { { .arg = 1, .op = UNOTIFY_COMPARE_EQUAL, .mask = 3 },
          "`cmp[1].mask` is 0x3, but only UNOTIFY_COMPARE_MASKED_EQUAL has a mask" },
        { { .arg = 1, .op = UNOTIFY_COMPARE_MASKED_EQUAL, .value = 5, .mask = 3 },
          "`cmp[1].value` 0x5 has bits outside its mask 0x3, so it never holds" },
    };
    unotify_filter *f = new_filter();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const unotify_arg_compare both[] = { { .op = UNOTIFY_COMPARE_EQUAL }, bad[i].compare };

        CHECK_STATUS(unotify_filter_add_rule(f, UNOTIFY_ACTION_NOTIFY, "read", both, 2),
                     UNOTIFY_ERR_INVALID_ARGUMENT);
        CHECK_INT(errno, EINVAL);
        CHECK_SAID(bad[i].sentence);
    }
    CHECK_STATUS(unotify_filter_add_rule(f, UNOTIFY_ACTION_NOTIFY, "read", NULL, 1),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`cmp` is null and its length is 1");
    unotify_filter_free(f);
}

static void every_comparison_is_taken(void)
{
    unotify_filter *f = new_filter();

    for (uint32_t op = UNOTIFY_COMPARE_NOT_EQUAL; op <= UNOTIFY_COMPARE_MASKED_EQUAL; op++) {
        unotify_arg_compare one = { .arg = op % 6, .op = op, .value = 1 };

        one.mask = op == UNOTIFY_COMPARE_MASKED_EQUAL ? 3 : 0;
        OK(unotify_filter_add_rule(f, UNOTIFY_ACTION_LOG, "openat", &one, 1));
    }
    unotify_filter_free(f);
}

/* As many bytes as are in it, all of them zero. */
static int all_zero(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0)
            return 0;
    }
    return 1;
}

static void the_program_is_exported_where_there_is_room(void)
{
    unotify_filter *f = new_filter();
    size_t needed = 0, less;
    char *program;

    OK(unotify_filter_notify(f, "getppid"));
    OK(unotify_filter_export_bpf(f, NULL, &needed));
    CHECK(needed > 0 && needed % 8 == 0);
    program = calloc(1, needed);
    less = needed - 1;
    CHECK_STATUS(unotify_filter_export_bpf(f, program, &less), UNOTIFY_ERR_TOO_LONG);
    CHECK_INT(errno, ERANGE);
    CHECK_INT((int64_t)less, (int64_t)needed);
    CHECK(all_zero(program, needed));
    OK(unotify_filter_export_bpf(f, program, &less));
    CHECK(!all_zero(program, needed));
    free(program);
    unotify_filter_free(f);
}

static void a_call_of_a_foreign_architecture_kills_the_process(void)
{
    uint32_t words[512];
    size_t len = sizeof words, kills = 0;
    unotify_filter *f = new_filter();

    OK(unotify_filter_export_bpf(f, words, &len));
    for (size_t i = 0; i < len / sizeof words[0]; i++)
        kills += words[i] == UNOTIFY_ACTION_KILL_PROCESS;
    CHECK(kills > 0);
    unotify_filter_free(f);
}

static void the_text_form_is_written_to_a_descriptor(void)
{
    char text[4096] = "";
    int ends[2];
    unotify_filter *f = new_filter();

    CHECK(pipe(ends) == 0);
    OK(unotify_filter_notify(f, "getppid"));
    OK(unotify_filter_export_pfc(f, ends[1]));
    CHECK(read(ends[0], text, sizeof text - 1) > 0);
    CHECK(strstr(text, "getppid") != NULL);
    close(ends[0]);
    close(ends[1]);
    unotify_filter_free(f);
}

static void the_text_form_cannot_be_written_to_a_closed_descriptor(void)
{
    unotify_filter *f = new_filter();

    CHECK_STATUS(unotify_filter_export_pfc(f, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
    CHECK_STATUS(unotify_filter_export_pfc(f, 1 << 20), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
    unotify_filter_free(f);
}

static void *load(void *with)
{
    unotify_listener *listener = NULL, *second = NULL;

    OK(unotify_filter_load(with, NULL, &listener));
    CHECK(listener != NULL);
    CHECK_STATUS(unotify_filter_load(with, NULL, &second), UNOTIFY_ERR_BUSY);
    CHECK_INT(errno, EBUSY);
    CHECK(second == NULL);
    CHECK_INT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    return listener;
}

static void *call_once(void *with)
{
    unotify_listener **mine = with;
    unotify_filter *f = new_filter();

    OK(unotify_filter_notify(f, "getppid"));
    *mine = load(f);
    unotify_filter_free(f);
    return (void *)syscall(SYS_getppid, 7);
}

/* The thread's listener comes before its call; both are answered here. */
static void each_thread_that_loads_a_filter_gets_a_listener_and_no_second_one(void)
{
    unotify_listener *volatile listeners[3] = { NULL };
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, call_once, (void *)&listeners[i]), 0);
    for (int i = 0; i < 3; i++) {
        unotify_notification *n = NULL;
        void *result;

        while (listeners[i] == NULL)
            usleep(1000);
        OK(unotify_listener_receive(listeners[i], slowed(10000), &n));
        CHECK_INT((int64_t)unotify_notification_request(n)->args[0], 7);
        OK(unotify_notification_reply_value(n, 100 + i));
        unotify_notification_free(n);
        CHECK_INT(pthread_join(threads[i], &result), 0);
        CHECK_INT((intptr_t)result, 100 + i);
        unotify_listener_free(listeners[i]);
    }
}

static void without_no_new_privs_loading_takes_privileges(void)
{
    pid_t child;
    int status;

    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
        puts("skipped: this process cannot do without no_new_privs any more");
        return;
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unotify_load_opts opts = { .size = sizeof opts, .flags = UNOTIFY_LOAD_KEEP_PRIVS };
        unotify_listener *listener = NULL;
        unotify_filter *f = new_filter();

        OK(unotify_filter_notify(f, "getppid"));
        CHECK(geteuid() != 0 || setuid(65534) == 0);
        CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_PERMISSION);
        CHECK_INT(errno, EACCES);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void an_over_long_filter_is_refused(void)
{
    unotify_filter *f = new_filter();
    unotify_listener *listener = NULL;
    unotify_status status = UNOTIFY_OK;

    for (uint64_t i = 0; i < 1500 && status == UNOTIFY_OK; i++) {
        unotify_arg_compare one = { .arg = 0, .op = UNOTIFY_COMPARE_EQUAL, .value = i << 32 | i };

        status = unotify_filter_add_rule(f, UNOTIFY_ACTION_NOTIFY, "getppid", &one, 1);
    }
    CHECK_INT(status, UNOTIFY_OK);
    status = unotify_filter_load(f, NULL, &listener);
    CHECK_INT(status, UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listener == NULL);
    unotify_filter_free(f);
}

/* What a thread of its own can find out about loading: a filter cannot be taken off again. */
static void *load_without_listeners(void *unused)
{
    unotify_filter *notifies = new_filter(), *forbids = new_filter();
    unotify_listener *listener = NULL, *none = NULL;

    (void)unused;
    OK(unotify_filter_notify(notifies, "getpgid"));
    OK(unotify_filter_add_rule(forbids, unotify_action_errno(EXDEV), "getppid", NULL, 0));
    OK(unotify_filter_load(notifies, NULL, &listener));
    CHECK(listener != NULL);
    none = listener;
    OK(unotify_filter_load(forbids, NULL, &none));
    CHECK(none == NULL);
    errno = 0;
    CHECK_INT(syscall(SYS_getppid), -1);
    CHECK_INT(errno, EXDEV);
    unotify_filter_free(notifies);
    unotify_filter_free(forbids);
    unotify_listener_free(listener);
    return NULL;
}

static void a_filter_that_notifies_nothing_goes_on_top_of_one_that_does(void)
{
    pthread_t thread;

    CHECK_INT(pthread_create(&thread, NULL, load_without_listeners, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

static void *load_to_nowhere(void *unused)
{
    unotify_filter *f = new_filter();

    (void)unused;
    OK(unotify_filter_notify(f, "getppid"));
    OK(unotify_filter_load(f, NULL, NULL));
    OK(unotify_filter_load(f, NULL, NULL));
    unotify_filter_free(f);
    errno = 0;
    CHECK_INT(syscall(SYS_getppid), -1);
    CHECK_INT(errno, ENOSYS);
    return NULL;
}

static void without_a_place_for_it_there_is_no_listener(void)
{
    pthread_t thread;

    CHECK_INT(pthread_create(&thread, NULL, load_to_nowhere, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

/* The child can make no call after it has loaded: it tells through memory, and its listener is
   taken from outside. */
static void a_filter_that_notifies_everything_is_loaded(void)
{
    volatile int *told =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unotify_listener *listener = NULL;
    pid_t child;
    int status;

    CHECK((const void *)told != MAP_FAILED);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unotify_filter *f;

        OK(unotify_filter_new(UNOTIFY_ACTION_NOTIFY, &f));
        OK(unotify_filter_load(f, NULL, &listener));
        told[1] = unotify_listener_fd(listener);
        told[0] = 1;
        for (;;)
            ;
    }
    for (int i = 0; i < 2000 && told[0] == 0; i++)
        usleep(5000);
    if (told[0] != 0)
        OK(unotify_listener_from_pid(child, told[1], &listener));
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(listener != NULL);
    unotify_listener_free(listener);
    munmap((void *)(uintptr_t)told, 4096);
}

static void loading_does_not_count_against_the_limit_of_file_sizes(void)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit none = { 0, 0 };
        unotify_listener *listener = NULL;
        unotify_filter *f = new_filter();

        CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
        OK(unotify_filter_notify(f, "getppid"));
        OK(unotify_filter_load(f, NULL, &listener));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void options_of_a_load_are_checked(void)
{
    unotify_filter *f = new_filter();
    unotify_listener *listener = NULL;
    unotify_load_opts opts = { .size = sizeof opts, .flags = 0x100 };

    CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`unotify_load_opts.flags` has unknown bits 0x100");
    opts.flags = 1U << 31;
    CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    opts.flags = 0;
    opts.reserved = 1;
    CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    opts.reserved = 0;
    for (opts.size = 0; opts.size < sizeof opts.size; opts.size += 3)
        CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listener == NULL);
    unotify_filter_free(f);
}

static void null_is_told_by_name(void)
{
    unotify_filter *f = new_filter();
    unotify_listener *listener = NULL;
    size_t len = 0;

    CHECK_STATUS(unotify_filter_new(UNOTIFY_ACTION_ALLOW, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`out` is null");
    CHECK_STATUS(unotify_filter_add_arch(NULL, 0), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`filter` is null");
    CHECK_STATUS(rule(NULL, UNOTIFY_ACTION_LOG, "read"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(rule(f, UNOTIFY_ACTION_LOG, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`syscall` is null");
    CHECK_STATUS(unotify_filter_notify(NULL, "read"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_notify(f, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`syscall` is null");
    CHECK_STATUS(unotify_filter_export_bpf(NULL, NULL, &len), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_export_bpf(f, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_export_pfc(NULL, 1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_load(NULL, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_load(NULL, NULL, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listener == NULL);
    unotify_filter_free(NULL);
    unotify_filter_free(f);
}

static void a_name_that_is_no_text_is_refused(void)
{
    unotify_filter *f = new_filter();

    CHECK_STATUS(unotify_filter_notify(f, "\xff\xfe"), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_filter_free(f);
}

/* Whether the program that the filter makes is longer than that of another. */
static int is_longer(const unotify_filter *f, const unotify_filter *than)
{
    size_t length, other;

    OK(unotify_filter_export_bpf(f, NULL, &length));
    OK(unotify_filter_export_bpf(than, NULL, &other));
    return length > other;
}

static void every_family_is_taken(void)
{
    unotify_filter *empty = new_filter();
    const char *name;
    size_t n = 0;

    while ((name = unotify_family_name(n)) != NULL) {
        unotify_filter *f = new_filter();

        OK(unotify_filter_notify_family(f, name));
        CHECK(is_longer(f, empty));
        unotify_filter_free(f);
        n++;
    }
    CHECK(n > 20);
    CHECK(strcmp(unotify_family_name(0), "open") == 0);
    CHECK(unotify_family_name(SIZE_MAX) == NULL);
    unotify_filter_free(empty);
}

static void an_architecture_may_come_after_a_family(void)
{
    const uint32_t arm = 0x40000028;
    unotify_filter *f = new_filter();

    OK(unotify_filter_notify_family(f, "open"));
    OK(unotify_filter_add_arch(f, arm));
    OK(unotify_filter_notify_family(f, "connect"));
    OK(unotify_filter_notify(f, "getpid"));
    CHECK_STATUS(unotify_filter_add_arch(f, arm + 0x80000000), UNOTIFY_ERR_UNKNOWN_ARCH);
    unotify_filter_free(f);
}

static void an_unknown_family_is_refused_and_adds_nothing(void)
{
    unotify_filter *f = new_filter(), *empty = new_filter();

    CHECK_STATUS(unotify_filter_notify_family(f, "opne"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("unknown family of system calls `opne`");
    CHECK_STATUS(unotify_filter_notify_family(f, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_notify_family(NULL, "open"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(!is_longer(f, empty));
    OK(unotify_filter_add_arch(f, unotify_arch_native()));
    unotify_filter_free(f);
    unotify_filter_free(empty);
}

static void the_architecture_of_32_bit_programs_can_be_added(void)
{
    unotify_filter *f = new_filter(), *plain = new_filter();

    /* Elsewhere it is the native one, which is there. */
    OK(unotify_filter_add_arch(f, unotify_arch_compat()));
    CHECK(is_longer(f, plain) == (unotify_arch_compat() != unotify_arch_native()));
    unotify_filter_free(f);
    unotify_filter_free(plain);
}

int main(void)
{
    RUN(CASE(a_rule_for_an_unknown_system_call_is_refused),
        CASE(an_unknown_architecture_is_refused), CASE(an_architecture_after_a_rule_is_refused),
        CASE(a_value_that_is_no_action_is_refused), CASE(every_action_is_taken),
        CASE(an_error_number_beyond_libseccomps_is_refused_and_named),
        CASE(a_rule_that_says_what_the_filter_does_anyway_is_refused),
        CASE(a_bad_comparison_is_refused_and_named), CASE(every_comparison_is_taken),
        CASE(the_program_is_exported_where_there_is_room),
        CASE(a_call_of_a_foreign_architecture_kills_the_process),
        CASE(the_text_form_is_written_to_a_descriptor),
        CASE(the_text_form_cannot_be_written_to_a_closed_descriptor),
        CASE(each_thread_that_loads_a_filter_gets_a_listener_and_no_second_one),
        CASE(without_no_new_privs_loading_takes_privileges), CASE(an_over_long_filter_is_refused),
        CASE(a_filter_that_notifies_nothing_goes_on_top_of_one_that_does),
        CASE(without_a_place_for_it_there_is_no_listener),
        CASE(a_filter_that_notifies_everything_is_loaded),
        CASE(loading_does_not_count_against_the_limit_of_file_sizes),
        CASE(options_of_a_load_are_checked), CASE(null_is_told_by_name),
        CASE(a_name_that_is_no_text_is_refused), CASE(every_family_is_taken),
        CASE(an_architecture_may_come_after_a_family),
        CASE(an_unknown_family_is_refused_and_adds_nothing),
        CASE(the_architecture_of_32_bit_programs_can_be_added));
}
