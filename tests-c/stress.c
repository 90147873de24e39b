/*
 * Everything at once: 16 workers; 32 targets that fork, die and get signals; handlers that are
 * fast, slow, silent, that free and that defer; a supervisor that is stopped and started again.
 * In the end no thread, no descriptor and no allocation is left. The argument is how many
 * milliseconds it goes on for.
 *
 * Each target is driven by a thread of its own here, which replaces it when it is dead. It makes
 * its calls in new threads and in children, and signals interrupt them.
 */

#define _GNU_SOURCE
#include "target.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { WORKERS = 16, TARGETS = 32, CALLS_AT_ONCE = 4 };

static atomic_int over;
static atomic_ulong answered, killed, stops;
static unotify_supervisor *supervisor;

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whatever becomes of an answer: the target may be gone. */
static void answer(unotify_notification *n, int64_t value)
{
    unotify_status status = unotify_notification_reply_value(n, value);

    CHECK(status == UNOTIFY_OK || status == UNOTIFY_ERR_GONE);
}

static void *answer_later(void *passed)
{
    unotify_notification *n = passed;

    usleep(500);
    answer(n, (int64_t)unotify_notification_request(n)->args[0]);
    unotify_notification_free(n);
    return NULL;
}

/* The first argument is the answer, the second what the handler is to be like. */
static int handle(unotify_notification *n, void *data)
{
    const unotify_request *request = unotify_notification_request(n);
    pthread_t thread;

    switch (request->args[1] % 16) {
    case 0:
        usleep(3000);
        break;
    case 1:
        return UNOTIFY_HANDLED;
    case 2:
        unotify_notification_free(n);
        return UNOTIFY_HANDLED;
    case 3:
        return UNOTIFY_NOT_HANDLED;
    case 4:
        if (pthread_create(&thread, NULL, answer_later, n) == 0) {
            pthread_detach(thread);
            return UNOTIFY_DEFERRED;
        }
        break;
    case 5:
        (void)unotify_notification_check_valid(n);
        break;
    default:
        break;
    }
    answer(n, (int64_t)request->args[0]);
    return UNOTIFY_HANDLED;
}

/* What the call returned is right for its handler. */
static void check_result(uint64_t kind, int64_t value, int64_t result)
{
    uint64_t way = kind % 16;

    atomic_fetch_add(&answered, 1);
    if (way >= 1 && way <= 3)
        CHECK_INT(result, -EPERM);
    else
        CHECK_INT(result, value);
}

/* One after the other is started, makes calls, gets signals and ends by itself or is killed. */
static void *live(void *number)
{
    unsigned seed = (unsigned)(uintptr_t)number;

    while (!atomic_load(&over)) {
        unotify_listener *listener;
        target t = target_start(&listener);
        int calls = rand_r(&seed) % 200;

        OK(unotify_supervisor_add_listener(supervisor, listener, NULL));
        for (int i = 0; i < calls && !atomic_load(&over); i++) {
            uint64_t kind = (uint64_t)rand_r(&seed) % 1024;

            target_call(&t, (uint64_t)i, kind | (kind % 5 == 0 ? TARGET_FORKS : 0));
            if (kind % 7 == 0)
                CHECK(kill(t.pid, SIGUSR1) == 0);
            check_result(kind, i, target_result(&t));
        }
        if (rand_r(&seed) % 2 == 0) {
            target_end(&t);
            continue;
        }
        for (int i = 0; i < CALLS_AT_ONCE; i++)
            target_call(&t, 1, (uint64_t)rand_r(&seed));
        if (seed % 3 == 0)
            usleep(300);
        target_kill(&t);
        atomic_fetch_add(&killed, 1);
    }
    return NULL;
}

/* Stops and starts until all is over. */
static void run_again_and_again(int64_t until)
{
    unsigned seed = 1;

    while (milliseconds() < until) {
        unotify_status status;
        int64_t stopped;

        OK(unotify_supervisor_start(supervisor));
        usleep((unsigned)rand_r(&seed) % 30000);
        stopped = milliseconds();
        OK(unotify_supervisor_stop(supervisor));
        status = unotify_supervisor_join(supervisor, -1);
        CHECK_INT(status, UNOTIFY_ERR_STOPPED);
        CHECK(milliseconds() - stopped < slowed(10000));
        atomic_fetch_add(&stops, 1);
    }
}

static void one_round(int64_t duration)
{
    unotify_supervisor_opts opts = { .size = sizeof opts };
    unotify_stats stats = { .size = sizeof stats };
    pthread_t threads[TARGETS];

    atomic_store(&over, 0);
    opts.max_workers = WORKERS;
    opts.fallback_error = EPERM;
    opts.flags = UNOTIFY_SUPERVISOR_KEEP_RUNNING;
    OK(unotify_supervisor_new(&opts, &supervisor));
    OK(unotify_supervisor_on(supervisor, "getppid", 0, handle, NULL));
    for (uintptr_t i = 0; i < TARGETS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, live, (void *)(i + 1)), 0);
    run_again_and_again(milliseconds() + duration);

    /* The targets need it to come to their end. */
    OK(unotify_supervisor_start(supervisor));
    atomic_store(&over, 1);
    for (int i = 0; i < TARGETS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    do {
        usleep(1000);
        OK(unotify_supervisor_stats(supervisor, &stats));
    } while (stats.listeners > 0 || stats.deferred_outstanding > 0);
    OK(unotify_supervisor_stop(supervisor));
    CHECK_STATUS(unotify_supervisor_join(supervisor, -1), UNOTIFY_ERR_STOPPED);
    OK(unotify_supervisor_stats(supervisor, &stats));
    CHECK_INT(stats.workers, 0);
    CHECK(stats.workers_max <= WORKERS + 1);
    unotify_supervisor_free(supervisor);
}

/* Threads that were joined or detached may be listed for a moment more. */
static void wait_until_alone(int threads)
{
    for (int i = 0; entries("/proc/self/task") > threads; i++) {
        CHECK(i < 1000);
        usleep(10000);
    }
}

int main(int argc, char **argv)
{
    int64_t duration = argc > 1 ? atoi(argv[1]) : 5000;
    int threads = 0, fds = 0;
    size_t bytes = 0;

    setvbuf(stdout, NULL, _IONBF, 0);
    alarm((120 + (unsigned)(duration / 1000) * 4) * slowness());
    for (int round = 0; round < 4; round++) {
        size_t now;

        one_round(duration / 4);
        /* The first round leaves what the C library keeps, and what a sanitizer needs. */
        if (round == 0) {
            usleep(200000);
            threads = entries("/proc/self/task");
            fds = entries("/proc/self/fd");
            bytes = mallinfo2().uordblks;
        }
        wait_until_alone(threads);
        CHECK_INT(entries("/proc/self/fd"), fds);
        now = mallinfo2().uordblks;
        printf("%lu calls, %lu targets killed, %lu stops, %zu bytes in use\n",
               atomic_load(&answered), atomic_load(&killed), atomic_load(&stops), now);
        /* The C library takes a little more; a leak of a byte a call is more than that. */
        CHECK(now < bytes + 8192);
    }
    CHECK(atomic_load(&answered) > 0 && atomic_load(&killed) > 0);
    return 0;
}
