/* Unloading the library: a signal that it has a handler for may still come. */

#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

/* The library is not linked, but loaded. */
static void *library;

static void *function(const char *name)
{
    void *found = dlsym(library, name);

    CHECK(found != NULL);
    return found;
}

#define FUNCTION(name) __typeof__(name) *name##_ = (__typeof__(name) *)(uintptr_t)function(#name)

/* Where the handler of a signal is; NULL where there is none. */
static void (*handler_of(int signal))(int)
{
    struct sigaction action;

    if (sigaction(signal, NULL, &action) != 0 || action.sa_handler == SIG_IGN)
        return SIG_DFL;
    return action.sa_handler;
}

/* On a thread of its own: what a thread keeps of the library until it ends keeps the library too. */
static void *run_and_stop(void *arg)
{
    unotify_supervisor_opts opts = { .size = sizeof opts };
    unotify_supervisor *s;
    FUNCTION(unotify_supervisor_new);
    FUNCTION(unotify_supervisor_start);
    FUNCTION(unotify_supervisor_stop);
    FUNCTION(unotify_supervisor_join);
    FUNCTION(unotify_supervisor_free);

    opts.flags = UNOTIFY_SUPERVISOR_KEEP_RUNNING;
    CHECK_INT(unotify_supervisor_new_(&opts, &s), UNOTIFY_OK);
    CHECK_INT(unotify_supervisor_start_(s), UNOTIFY_OK);
    usleep(50 * 1000);
    CHECK_INT(unotify_supervisor_stop_(s), UNOTIFY_OK);
    CHECK_INT(unotify_supervisor_join_(s, -1), UNOTIFY_ERR_STOPPED);
    unotify_supervisor_free_(s);
    return NULL;
}

/* It is a folder above this program. */
static void find_library(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 32);

    CHECK(length > 0);
    path[length] = '\0';
    strcpy(strrchr(path, '/'), "/../libunotify.so.0");
}

static void a_signal_after_unloading_is_handled(void)
{
    char path[PATH_MAX] = "";
    pthread_t thread;
    void (*before[_NSIG])(int);
    int handled = 0;

    find_library(path);
    for (int signal = 1; signal < _NSIG; signal++)
        before[signal] = handler_of(signal);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    CHECK(pthread_create(&thread, NULL, run_and_stop, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(dlclose(library) == 0);
    for (int signal = 1; signal < _NSIG; signal++) {
        if (handler_of(signal) != before[signal]) {
            handled++;
            CHECK(raise(signal) == 0);
        }
    }
    CHECK(handled > 0);
    /* It is still there. */
    CHECK(dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) == library);
}

int main(void)
{
    RUN(CASE(a_signal_after_unloading_is_handled));
}
