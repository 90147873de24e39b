/* Threads that are cancelled while they are in the library. */

#define _GNU_SOURCE
#include "target.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int n = 0;

    CHECK(folder != NULL);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

/* What a thread is to do, and what came of it. */
typedef struct {
    unotify_listener *listener;
    unotify_supervisor *supervisor;
    unotify_notification *notification;
    int timeout_ms;
    int type;
    atomic_int status;
    atomic_int entered;
} job;

enum { UNDER_WAY = 1 };

/* How long it takes a thread to get from `entered` into the kernel. */
static void a_moment(void)
{
    usleep(100 * 1000);
}

static void *receive(void *arg)
{
    job *j = arg;

    j->entered = 1;
    j->status = unotify_listener_receive(j->listener, j->timeout_ms, &j->notification);
    pthread_testcancel();
    return NULL;
}

static void *run(void *arg)
{
    job *j = arg;

    j->entered = 1;
    j->status = unotify_supervisor_run(j->supervisor);
    pthread_testcancel();
    return NULL;
}

/* Starts a thread and cancels it in the middle of its call. */
static pthread_t cancelled(void *(*body)(void *), job *j)
{
    pthread_t thread;

    j->status = UNDER_WAY;
    j->entered = 0;
    CHECK(pthread_create(&thread, NULL, body, j) == 0);
    while (!j->entered)
        usleep(1000);
    a_moment();
    CHECK(pthread_cancel(thread) == 0);
    a_moment();
    CHECK_INT(j->status, UNDER_WAY);
    return thread;
}

/* The call is over, and then so is the thread. */
static void joined(pthread_t thread)
{
    void *result;

    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
}

static void receiving_ends_before_the_thread(int timeout_ms)
{
    int before = open_descriptors();
    job j = { .timeout_ms = timeout_ms };
    target t = target_start(&j.listener);
    pthread_t thread = cancelled(receive, &j);

    target_call(&t, 0, 0);
    joined(thread);
    CHECK_INT(j.status, UNOTIFY_OK);
    OK(unotify_notification_reply_value(j.notification, 5));
    CHECK_INT(target_result(&t), 5);
    unotify_notification_free(j.notification);
    target_end(&t);
    unotify_listener_free(j.listener);
    CHECK_INT(open_descriptors(), before);
}

static void a_receive_without_limit_is_not_torn(void)
{
    receiving_ends_before_the_thread(-1);
}

static void a_receive_with_a_limit_is_not_torn(void)
{
    receiving_ends_before_the_thread(20000);
}

static void a_receive_that_times_out_is_not_torn(void)
{
    job j = { .timeout_ms = 1500 };
    target t = target_start(&j.listener);

    joined(cancelled(receive, &j));
    CHECK_INT(j.status, UNOTIFY_ERR_TIMEOUT);
    CHECK(j.notification == NULL);
    target_end(&t);
    unotify_listener_free(j.listener);
}

static pthread_t of_handler;

static int cancel_myself(unotify_notification *n, void *data)
{
    of_handler = pthread_self();
    CHECK(pthread_cancel(of_handler) == 0);
    /* These are points at which a thread may end. */
    usleep(1000);
    pthread_testcancel();
    OK(unotify_notification_reply_value(n, 5));
    return UNOTIFY_HANDLED;
}

static void runs_end_before_the_thread(uint32_t max_workers)
{
    int before = open_descriptors();
    unotify_supervisor_opts opts = { .size = sizeof opts, .max_workers = max_workers };
    unotify_listener *listener;
    target t = target_start(&listener);
    job j = { 0 };
    pthread_t thread;

    OK(unotify_supervisor_new(&opts, &j.supervisor));
    OK(unotify_supervisor_on(j.supervisor, "getppid", 0, cancel_myself, NULL));
    OK(unotify_supervisor_add_listener(j.supervisor, listener, NULL));
    thread = cancelled(run, &j);
    for (int i = 0; i < 3; i++) {
        target_call(&t, 0, 0);
        CHECK_INT(target_result(&t), 5);
    }
    OK(unotify_supervisor_stop(j.supervisor));
    joined(thread);
    CHECK_INT(j.status, UNOTIFY_ERR_STOPPED);
    unotify_supervisor_free(j.supervisor);
    target_end(&t);
    CHECK_INT(open_descriptors(), before);
}

static void a_run_is_not_torn(void)
{
    runs_end_before_the_thread(1);
}

static void a_run_with_several_workers_is_not_torn(void)
{
    runs_end_before_the_thread(4);
}

static void a_thread_of_the_librarys_own_cannot_be_cancelled(void)
{
    unotify_supervisor_opts opts = { .size = sizeof opts };
    unotify_supervisor *s;
    unotify_listener *listener;
    target t = target_start(&listener);

    OK(unotify_supervisor_new(&opts, &s));
    OK(unotify_supervisor_on(s, "getppid", 0, cancel_myself, NULL));
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    OK(unotify_supervisor_start(s));
    for (int i = 0; i < 3; i++) {
        target_call(&t, 0, 0);
        CHECK_INT(target_result(&t), 5);
        CHECK(!pthread_equal(of_handler, pthread_self()));
    }
    target_end(&t);
    OK(unotify_supervisor_join(s, -1));
    unotify_supervisor_free(s);
}

/* Waits to be cancelled, and only then calls: the first point in there would end it. */
static void *answer_with_a_cancellation_pending(void *arg)
{
    job *j = arg;
    int before;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    CHECK(pthread_cancel(pthread_self()) == 0);
    CHECK(pthread_setcancelstate(before, NULL) == 0);
    OK(unotify_notification_reply_value(j->notification, 6));
    /* The last to hold the descriptor closes it, which is a point too. */
    unotify_listener_free(j->listener);
    unotify_notification_free(j->notification);
    unotify_supervisor_stop(j->supervisor);
    unotify_supervisor_free(j->supervisor);
    j->entered = 1;
    pthread_testcancel();
    return NULL;
}

static void a_pending_cancellation_waits_for_the_program(void)
{
    int before = open_descriptors();
    job j = { 0 };
    target t = target_start(&j.listener);
    pthread_t thread;

    OK(unotify_supervisor_new(NULL, &j.supervisor));
    target_call(&t, 0, 0);
    OK(unotify_listener_receive(j.listener, -1, &j.notification));
    CHECK(pthread_create(&thread, NULL, answer_with_a_cancellation_pending, &j) == 0);
    joined(thread);
    CHECK_INT(j.entered, 1);
    CHECK_INT(target_result(&t), 6);
    target_end(&t);
    CHECK_INT(open_descriptors(), before);
}

static int end_thread(unotify_notification *n, void *data)
{
    pthread_exit(NULL);
}

static void a_handler_that_ends_its_thread_ends_the_program(void)
{
    char said[256] = "";
    size_t length = 0;
    ssize_t got;
    int status, ends[2];
    pid_t program;

    CHECK(pipe(ends) == 0);
    program = fork();
    CHECK(program >= 0);
    if (program == 0) {
        struct rlimit none = { 0, 0 };
        unotify_listener *listener;
        unotify_supervisor *s;
        target t = target_start(&listener);

        CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
        CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        close(ends[1]);
        OK(unotify_supervisor_new(NULL, &s));
        OK(unotify_supervisor_on(s, "getppid", 0, end_thread, NULL));
        OK(unotify_supervisor_add_listener(s, listener, NULL));
        target_call(&t, 0, 0);
        OK(unotify_supervisor_run(s));
        _exit(0);
    }
    close(ends[1]);
    do {
        got = read(ends[0], said + length, sizeof said - 1 - length);
        CHECK(got >= 0);
        length += (size_t)got;
    } while (got > 0);
    close(ends[0]);
    CHECK(waitpid(program, &status, 0) == program);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#ifdef __x86_64__
    CHECK(strstr(said, "a handler must not end its thread") != NULL);
#endif
}

int main(void)
{
    RUN(CASE(a_receive_without_limit_is_not_torn), CASE(a_receive_with_a_limit_is_not_torn),
        CASE(a_receive_that_times_out_is_not_torn), CASE(a_run_is_not_torn),
        CASE(a_run_with_several_workers_is_not_torn),
        CASE(a_thread_of_the_librarys_own_cannot_be_cancelled),
        CASE(a_pending_cancellation_waits_for_the_program),
        CASE(a_handler_that_ends_its_thread_ends_the_program));
}
