/* Receives and runs that end from outside. */

#define _GNU_SOURCE
#include "target.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static unotify_listener *interrupted;
static atomic_int done;

static void nothing(int signal)
{
    (void)signal;
}

static void interrupt_it(int signal)
{
    (void)signal;
    unotify_listener_set_interrupted(interrupted, 1);
}

static void on_signal(int signal, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    CHECK_INT(sigaction(signal, &action, NULL), 0);
}

/* Sends SIGUSR1 to a thread until `done`. */
static void *pester(void *thread)
{
    while (!done) {
        usleep(5000);
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
    }
    return NULL;
}

static void *interrupt_soon(void *listener)
{
    usleep(50000);
    OK(unotify_listener_set_interrupted(listener, 1));
    return NULL;
}

static void another_thread_interrupts_a_receive_and_nothing_is_lost(void)
{
    static const int limits[] = { -1, 20000 };
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = NULL;

    for (int i = 0; i < 2; i++) {
        pthread_t thread;

        CHECK_INT(pthread_create(&thread, NULL, interrupt_soon, listener), 0);
        CHECK_STATUS(unotify_listener_receive(listener, limits[i], &n), UNOTIFY_ERR_STOPPED);
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK_STATUS(unotify_listener_receive(listener, -1, &n), UNOTIFY_ERR_STOPPED);
        OK(unotify_listener_set_interrupted(listener, 0));
    }
    target_call(&t, 5, 0);
    OK(unotify_listener_receive(listener, -1, &n));
    OK(unotify_notification_reply_value(n, 6));
    CHECK_INT(target_result(&t), 6);
    target_end(&t);
    unotify_notification_free(n);
    unotify_listener_free(listener);
}

static void a_signal_handler_interrupts_its_own_thread(void)
{
    target t = target_start(&interrupted);
    unotify_notification *n = NULL;
    pthread_t self = pthread_self(), thread;

    done = 0;
    on_signal(SIGUSR1, interrupt_it);
    CHECK_INT(pthread_create(&thread, NULL, pester, &self), 0);
    CHECK_STATUS(unotify_listener_receive(interrupted, -1, &n), UNOTIFY_ERR_STOPPED);
    done = 1;
    CHECK_INT(pthread_join(thread, NULL), 0);
    on_signal(SIGUSR1, nothing);
    target_end(&t);
    unotify_notification_free(n);
    unotify_listener_free(interrupted);
}

static void a_signal_ends_a_receive_that_asks_for_it(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = NULL;
    pthread_t self = pthread_self(), thread;

    done = 0;
    on_signal(SIGUSR1, nothing);
    CHECK_INT(pthread_create(&thread, NULL, pester, &self), 0);
    CHECK_STATUS(unotify_listener_receive_with(listener, -1, UNOTIFY_RECEIVE_RETURN_ON_SIGNAL, &n),
                 UNOTIFY_ERR_INTERRUPTED);
    CHECK_INT(errno, EINTR);
    CHECK_STATUS(unotify_listener_receive_with(listener, 100, 0, &n), UNOTIFY_ERR_TIMEOUT);
    done = 1;
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_STATUS(unotify_listener_receive_with(listener, 0, 2, &n), UNOTIFY_ERR_INVALID_ARGUMENT);
    target_call(&t, 5, 0);
    OK(unotify_listener_receive_with(listener, -1, 0, &n));
    OK(unotify_notification_reply_value(n, 6));
    CHECK_INT(target_result(&t), 6);
    target_end(&t);
    unotify_notification_free(n);
    unotify_listener_free(listener);
}

static void a_signal_ends_a_run_that_asks_for_it(void)
{
    unotify_supervisor_opts opts;
    unotify_supervisor *s;
    unotify_listener *listener;
    target t = target_start(&listener);
    pthread_t self = pthread_self(), thread;

    memset(&opts, 0, sizeof opts);
    opts.size = sizeof opts;
    opts.flags = UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL;
    OK(unotify_supervisor_new(&opts, &s));
    OK(unotify_supervisor_add_listener(s, listener, NULL));
    done = 0;
    on_signal(SIGUSR1, nothing);
    CHECK_INT(pthread_create(&thread, NULL, pester, &self), 0);
    CHECK_STATUS(unotify_supervisor_run(s), UNOTIFY_ERR_INTERRUPTED);
    done = 1;
    CHECK_INT(pthread_join(thread, NULL), 0);
    unotify_supervisor_free(s);
    target_end(&t);
}

static void no_listener_is_an_error(void)
{
    unotify_notification *n = NULL;

    CHECK_STATUS(unotify_listener_set_interrupted(NULL, 1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_receive_with(NULL, 0, 0, &n), UNOTIFY_ERR_INVALID_ARGUMENT);
}

int main(void)
{
    RUN(CASE(another_thread_interrupts_a_receive_and_nothing_is_lost),
        CASE(a_signal_handler_interrupts_its_own_thread),
        CASE(a_signal_ends_a_receive_that_asks_for_it), CASE(a_signal_ends_a_run_that_asks_for_it),
        CASE(no_listener_is_an_error));
}
