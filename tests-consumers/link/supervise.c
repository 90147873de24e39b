/* A program outside the tree: answers the getppid(2) of a child and looks at what came of it. */

#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unotify.h>

enum { ANSWER = 4242 };

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "%s: %s\n", what, sentence);
    return 1;
}

/* Loads a filter, hands its listener over and makes the call. */
static int child(int channel)
{
    unotify_filter *filter;
    unotify_listener *listener;

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_notify(filter, "getppid") || unotify_filter_load(filter, NULL, &listener) ||
        unotify_listener_to_socket(listener, channel))
        return fail("child");
    unotify_listener_free(listener);
    unotify_filter_free(filter);
    return getppid() == ANSWER ? 0 : 2;
}

int main(void)
{
    unotify_listener *listener;
    unotify_notification *notification = NULL;
    unotify_status status;
    int channel[2], child_status;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0 || (pid = fork()) < 0)
        return 1;
    if (pid == 0)
        _exit(child(channel[1]));
    close(channel[1]);
    if (unotify_listener_from_socket(channel[0], &listener))
        return fail("unotify_listener_from_socket");
    while ((status = unotify_listener_receive(listener, -1, &notification)) == UNOTIFY_OK)
        if (unotify_notification_reply_value(notification, ANSWER))
            return fail("unotify_notification_reply_value");
    unotify_notification_free(notification);
    unotify_listener_free(listener);
    waitpid(pid, &child_status, 0);
    printf("libunotify %s: %s, child status %d\n", unotify_version(), unotify_status_name(status),
           child_status);
    return status == UNOTIFY_ERR_CLOSED && child_status == 0 ? 0 : 1;
}
