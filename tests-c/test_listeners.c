/* Listeners: where they come from, who owns the descriptor, several of them, several threads. */

#define _GNU_SOURCE
#include "target.h"

#include <poll.h>
#include <pthread.h>

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static int count_open(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += is_open(fd);
    return n;
}

/* One call, answered with `value`. */
static void serve(const target *t, unotify_listener *listener, int64_t value)
{
    unotify_notification *notification = NULL;

    target_call(t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    OK(unotify_notification_reply_value(notification, value));
    CHECK_INT(target_result(t), value);
    unotify_notification_free(notification);
}

static void two_listeners_do_not_mix(void)
{
    unotify_listener *one, *two;
    unotify_notification *from_one = NULL, *from_two = NULL;
    target first = target_start(&one);
    target second = target_start(&two);

    target_call(&first, 1, 0);
    target_call(&second, 2, 0);
    OK(unotify_listener_receive(two, -1, &from_two));
    OK(unotify_listener_receive(one, -1, &from_one));
    CHECK_INT(unotify_notification_request(from_one)->args[0], 1);
    CHECK_INT(unotify_notification_request(from_two)->args[0], 2);
    OK(unotify_notification_reply_value(from_one, 10));
    OK(unotify_notification_reply_value(from_two, 20));
    CHECK_INT(target_result(&first), 10);
    CHECK_INT(target_result(&second), 20);
    unotify_notification_free(from_one);
    unotify_notification_free(from_two);
    target_end(&first);
    serve(&second, two, 30);
    target_end(&second);
    unotify_listener_free(one);
    unotify_listener_free(two);
}

static void one_handle_receives_from_two_listeners(void)
{
    unotify_listener *one, *two;
    unotify_notification *notification = NULL;
    target first = target_start(&one);
    target second = target_start(&two);

    target_call(&first, 1, 0);
    target_call(&second, 2, 0);
    OK(unotify_listener_receive(one, -1, &notification));
    OK(unotify_notification_reply_value(notification, 10));
    OK(unotify_listener_receive(two, -1, &notification));
    CHECK_INT(unotify_notification_request(notification)->args[0], 2);
    OK(unotify_notification_reply_value(notification, 20));
    CHECK_INT(target_result(&first), 10);
    CHECK_INT(target_result(&second), 20);
    unotify_notification_free(notification);
    target_end(&first);
    target_end(&second);
    unotify_listener_free(one);
    unotify_listener_free(two);
}

static void what_is_no_listener_is_refused_and_stays_open(void)
{
    unotify_listener *listener = NULL;
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK_STATUS(unotify_listener_from_fd(ends[0], &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listener == NULL);
    CHECK(is_open(ends[0]));
    close(ends[0]);
    close(ends[1]);
    CHECK_STATUS(unotify_listener_from_fd(ends[0], &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
    CHECK_STATUS(unotify_listener_from_fd(-1, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
}

static void a_descriptor_is_given_back_and_taken_again(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    int fd = unotify_listener_fd(listener);

    CHECK(fd >= 0);
    CHECK_INT(unotify_listener_into_fd(listener), fd);
    CHECK(is_open(fd));
    OK(unotify_listener_from_fd(fd, &listener));
    CHECK_INT(unotify_listener_fd(listener), fd);
    serve(&t, listener, 4);
    unotify_listener_free(listener);
    CHECK(!is_open(fd));
    target_end(&t);
}

static void a_released_descriptor_works_while_notifications_live(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);
    int fd;

    target_call(&t, 0, 0);
    OK(unotify_listener_receive(listener, -1, &notification));
    fd = unotify_listener_into_fd(listener);
    CHECK(fd >= 0);
    OK(unotify_notification_reply_value(notification, 6));
    CHECK_INT(target_result(&t), 6);
    unotify_notification_free(notification);
    OK(unotify_listener_from_fd(fd, &listener));
    serve(&t, listener, 7);
    unotify_listener_free(listener);
    target_end(&t);
}

static void the_descriptor_tells_by_poll_what_there_is(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    target t = target_start(&listener);
    struct pollfd ready = { unotify_listener_fd(listener), POLLIN, 0 };

    CHECK_INT(poll(&ready, 1, 0), 0);
    target_call(&t, 0, 0);
    CHECK_INT(poll(&ready, 1, slowed(10000)), 1);
    CHECK(ready.revents & POLLIN);
    OK(unotify_listener_receive(listener, 0, &notification));
    OK(unotify_notification_reply_value(notification, 0));
    CHECK_INT(target_result(&t), 0);
    unotify_notification_free(notification);
    target_end(&t);
    CHECK_INT(poll(&ready, 1, slowed(10000)), 1);
    CHECK(ready.revents & POLLHUP);
    unotify_listener_free(listener);
}

static void a_listener_travels_over_a_socket(void)
{
    unotify_listener *listener, *copy;
    target t = target_start(&listener);
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    OK(unotify_listener_to_socket(listener, ends[0]));
    unotify_listener_free(listener);
    OK(unotify_listener_from_socket(ends[1], &copy));
    serve(&t, copy, 9);
    unotify_listener_free(copy);
    close(ends[0]);
    close(ends[1]);
    target_end(&t);
}

static void a_closed_socket_is_closed(void)
{
    unotify_listener *listener, *none = NULL;
    target t = target_start(&listener);
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    close(ends[1]);
    CHECK_STATUS(unotify_listener_to_socket(listener, ends[0]), UNOTIFY_ERR_CLOSED);
    CHECK_STATUS(unotify_listener_from_socket(ends[0], &none), UNOTIFY_ERR_CLOSED);
    CHECK(none == NULL);
    close(ends[0]);
    unotify_listener_free(listener);
    target_end(&t);
}

static void what_is_no_socket_is_refused(void)
{
    unotify_listener *listener, *none = NULL;
    target t = target_start(&listener);
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK_STATUS(unotify_listener_to_socket(listener, ends[1]), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_from_socket(ends[0], &none), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_to_socket(listener, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_from_socket(-1, &none), UNOTIFY_ERR_INVALID_ARGUMENT);
    close(ends[0]);
    close(ends[1]);
    unotify_listener_free(listener);
    target_end(&t);
}

static void a_message_without_a_descriptor_is_refused(void)
{
    unotify_listener *none = NULL;
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(write(ends[0], "x", 1) == 1);
    CHECK_STATUS(unotify_listener_from_socket(ends[1], &none), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(none == NULL);
    close(ends[0]);
    close(ends[1]);
}

static void synchronous_wake_up_is_switched(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_status off = unotify_listener_set_sync_wake_up(listener, 0);

    CHECK(off == UNOTIFY_OK || off == UNOTIFY_ERR_UNSUPPORTED);
    serve(&t, listener, 1);
    if (off == UNOTIFY_OK)
        OK(unotify_listener_set_sync_wake_up(listener, 1));
    else
        CHECK_INT(unotify_listener_set_sync_wake_up(listener, 1), off);
    serve(&t, listener, 2);
    unotify_listener_free(listener);
    target_end(&t);
}

static void *answer_with_its_argument(void *shared)
{
    unotify_notification *notification = NULL;
    unotify_status status;
    intptr_t answered = 0;

    while ((status = unotify_listener_receive(shared, -1, &notification)) == UNOTIFY_OK) {
        int64_t value = (int64_t)unotify_notification_request(notification)->args[0];

        OK(unotify_notification_reply_value(notification, value));
        answered++;
    }
    CHECK_INT(status, UNOTIFY_ERR_CLOSED);
    unotify_notification_free(notification);
    return (void *)answered;
}

static void threads_share_a_listener(void)
{
    enum { THREADS = 4, CALLS = 200, AT_ONCE = 20 };
    unotify_listener *listener;
    target t = target_start(&listener);
    pthread_t threads[THREADS];
    intptr_t answered = 0;
    int64_t sum = 0;

    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, answer_with_its_argument, listener), 0);
    for (uint64_t i = 0; i < CALLS; i++) {
        target_call(&t, i, 0);
        if (i >= AT_ONCE)
            sum += target_result(&t);
    }
    for (int i = 0; i < AT_ONCE; i++)
        sum += target_result(&t);
    CHECK_INT(sum, CALLS * (CALLS - 1) / 2);
    target_end(&t);
    for (int i = 0; i < THREADS; i++) {
        void *by_this_one;

        CHECK_INT(pthread_join(threads[i], &by_this_one), 0);
        answered += (intptr_t)by_this_one;
    }
    CHECK_INT(answered, CALLS);
    unotify_listener_free(listener);
}

static void no_descriptor_is_left_behind(void)
{
    int before = count_open();

    for (int i = 0; i < 50; i++) {
        unotify_listener *listener;
        target t = target_start(&listener);

        serve(&t, listener, i);
        target_end(&t);
        unotify_listener_free(listener);
    }
    CHECK_INT(count_open(), before);
}

static void send_two(int socket, int first, int second)
{
    char byte = 'L';
    int fds[2] = { first, second };
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    union {
        char bytes[CMSG_SPACE(sizeof fds)];
        struct cmsghdr aligned;
    } control = { .bytes = { 0 } };
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    CHECK_INT(sendmsg(socket, &message, 0), 1);
}

static void descriptors_beside_the_listener_are_closed(void)
{
    unotify_listener *listener, *received;
    target t = target_start(&listener);
    int ends[2], before;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    before = count_open();
    send_two(ends[0], unotify_listener_fd(listener), 0);
    OK(unotify_listener_from_socket(ends[1], &received));
    unotify_listener_free(received);
    send_two(ends[0], 0, 0);
    CHECK_STATUS(unotify_listener_from_socket(ends[1], &received), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(count_open(), before);
    close(ends[0]);
    close(ends[1]);
    target_end(&t);
    unotify_listener_free(listener);
}

/* The caller's own child: its listener ends before it is waited for, its status is the caller's. */
static void a_watched_child_ends_its_listener(void)
{
    unotify_listener *listener;
    unotify_notification *n = NULL;
    target t = target_start(&listener);
    int pidfd = (int)syscall(__NR_pidfd_open, t.pid, 0), status;

    if (pidfd < 0 && errno == ENOSYS) {
        puts("skipped: valgrind does not know pidfd_open");
        target_end(&t);
        unotify_listener_free(listener);
        return;
    }
    CHECK(pidfd >= 0);
    OK(unotify_listener_watch_child(listener, pidfd));
    CHECK_STATUS(unotify_listener_watch_child(listener, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_watch_child(listener, t.socket), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_listener_watch_child(NULL, pidfd), UNOTIFY_ERR_INVALID_ARGUMENT);
    close(pidfd);
    serve(&t, listener, 30);
    CHECK(kill(t.pid, SIGKILL) == 0);
    CHECK_STATUS(unotify_listener_receive(listener, -1, &n), UNOTIFY_ERR_CLOSED);
    CHECK_STATUS(unotify_listener_receive(listener, 10000, &n), UNOTIFY_ERR_CLOSED);
    CHECK_INT(waitpid(t.pid, &status, 0), t.pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_STATUS(unotify_listener_receive(listener, 10000, &n), UNOTIFY_ERR_CLOSED);
    close(t.socket);
    unotify_notification_free(n);
    unotify_listener_free(listener);
}

int main(void)
{
    RUN(CASE(two_listeners_do_not_mix), CASE(one_handle_receives_from_two_listeners),
        CASE(what_is_no_listener_is_refused_and_stays_open),
        CASE(a_descriptor_is_given_back_and_taken_again),
        CASE(a_released_descriptor_works_while_notifications_live),
        CASE(the_descriptor_tells_by_poll_what_there_is), CASE(a_listener_travels_over_a_socket),
        CASE(a_closed_socket_is_closed), CASE(what_is_no_socket_is_refused),
        CASE(a_message_without_a_descriptor_is_refused), CASE(synchronous_wake_up_is_switched),
        CASE(descriptors_beside_the_listener_are_closed), CASE(a_watched_child_ends_its_listener),
        CASE(threads_share_a_listener), CASE(no_descriptor_is_left_behind));
}
