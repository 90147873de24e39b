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

static void the_last_error_names(const char *culprit)
{
    char sentence[512];

    unotify_last_error(sentence, sizeof sentence);
    if (strstr(sentence, culprit) == NULL) {
        fprintf(stderr, "`%s` does not name `%s`\n", sentence, culprit);
        _exit(1);
    }
}

static void an_unknown_system_call_is_named(void)
{
    unotify_filter *f = new_filter();

    CHECK_STATUS(unotify_filter_notify(f, "opennat"), UNOTIFY_ERR_UNKNOWN_SYSCALL);
    the_last_error_names("opennat");
    unotify_filter_free(f);
}

static void an_unknown_architecture_is_named(void)
{
    uint32_t arch = 4711;
    unotify_filter *f = new_filter();

    CHECK_STATUS(unotify_arch_from_name("vax", &arch), UNOTIFY_ERR_UNKNOWN_ARCH);
    CHECK_INT(arch, 4711);
    the_last_error_names("vax");
    CHECK_STATUS(unotify_filter_add_arch(f, 12345), UNOTIFY_ERR_UNKNOWN_ARCH);
    unotify_filter_free(f);
}

static void a_bad_action_is_refused(void)
{
    unotify_filter *f = NULL;

    CHECK_STATUS(unotify_filter_new(0x12345678, &f), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(f == NULL);
    f = new_filter();
    CHECK_STATUS(unotify_filter_add_rule(f, 0x12345678, "getppid", NULL, 0),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_filter_free(f);
}

static void a_bad_comparison_is_refused(void)
{
    const unotify_arg_compare bad[] = {
        { .arg = 6, .op = UNOTIFY_COMPARE_EQUAL },
        { .arg = 0, .op = 0 },
        { .arg = 0, .op = 8 },
        { .arg = 0, .op = UNOTIFY_COMPARE_EQUAL, .mask = 1 },
    };
    const unotify_arg_compare twice[] = {
        { .arg = 1, .op = UNOTIFY_COMPARE_GREATER, .value = 1 },
        { .arg = 1, .op = UNOTIFY_COMPARE_LESS, .value = 9 },
    };
    unotify_filter *f = new_filter();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_STATUS(unotify_filter_add_rule(f, UNOTIFY_ACTION_NOTIFY, "read", &bad[i], 1),
                     UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_add_rule(f, UNOTIFY_ACTION_NOTIFY, "read", twice, 2),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_add_rule(f, UNOTIFY_ACTION_NOTIFY, "read", NULL, 1),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_filter_free(f);
}

static void the_program_is_exported_where_there_is_room(void)
{
    unotify_filter *f = new_filter();
    size_t needed = 0, less;
    char *program;

    OK(unotify_filter_notify(f, "getppid"));
    unotify_filter_export_bpf(f, NULL, &needed);
    CHECK(needed > 0 && needed % 8 == 0);
    program = malloc(needed);
    less = needed - 8;
    CHECK(unotify_filter_export_bpf(f, program, &less) != UNOTIFY_OK);
    CHECK_INT(errno, ERANGE);
    CHECK_INT((int64_t)less, (int64_t)needed);
    OK(unotify_filter_export_bpf(f, program, &needed));
    free(program);
    unotify_filter_free(f);
}

static void *load(void *with)
{
    unotify_listener *listener = NULL, *second = NULL;

    OK(unotify_filter_load(with, NULL, &listener));
    CHECK_STATUS(unotify_filter_load(with, NULL, &second), UNOTIFY_ERR_BUSY);
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
static void each_thread_loads_a_filter_of_its_own(void)
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
    volatile int *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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

static void garbage_is_refused(void)
{
    unotify_filter *f = new_filter();
    unotify_listener *listener = NULL;
    unotify_load_opts opts = { .size = sizeof opts, .flags = 1U << 31 };
    size_t len = 0;

    CHECK_STATUS(unotify_filter_new(UNOTIFY_ACTION_ALLOW, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_notify(NULL, "read"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_notify(f, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_notify(f, "\xff\xfe"), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_export_bpf(NULL, NULL, &len), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_export_bpf(f, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(unotify_filter_export_pfc(f, -1) != UNOTIFY_OK);
    CHECK_STATUS(unotify_filter_load(NULL, NULL, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    opts.size = 3;
    CHECK_STATUS(unotify_filter_load(f, &opts, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listener == NULL);
    unotify_filter_free(NULL);
    unotify_filter_free(f);
}

int main(void)
{
    RUN(CASE(an_unknown_system_call_is_named), CASE(an_unknown_architecture_is_named),
        CASE(a_bad_action_is_refused), CASE(a_bad_comparison_is_refused),
        CASE(the_program_is_exported_where_there_is_room),
        CASE(each_thread_loads_a_filter_of_its_own),
        CASE(without_no_new_privs_loading_takes_privileges),
        CASE(an_over_long_filter_is_refused),
        CASE(a_filter_that_notifies_nothing_goes_on_top_of_one_that_does),
        CASE(without_a_place_for_it_there_is_no_listener),
        CASE(a_filter_that_notifies_everything_is_loaded),
        CASE(loading_does_not_count_against_the_limit_of_file_sizes), CASE(garbage_is_refused));
}
