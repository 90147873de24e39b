/*
 * Mounts file systems in memory for containers that may not mount.
 *
 *     container-agent SOCKET
 *
 * An agent for runc, crun and youki: a container's profile notifies mount(2) and names SOCKET,
 *
 *     "listenerPath": "SOCKET",
 *     "syscalls": [{ "names": ["mount"], "action": "SCMP_ACT_NOTIFY" }]
 *
 * and `mount -t tmpfs` works in it, without devices and set-user-id programs and up to 16 MB. What is
 * not a new tmpfs is left to the kernel, which decides with the container's own rights. Says which
 * containers come and go. Runs until SIGINT or SIGTERM; containers whose agent is gone get ENOSYS.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <unotify.h>

static const char USAGE[] = "usage: container-agent SOCKET\n"
                            "       container-agent --help | --version\n";

/* Flags that a program may ask for, and that change nothing here. */
enum { HARMLESS = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_RELATIME | MS_SILENT };

static unotify_agent *agent;

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "container-agent: %s: %s\n", what, sentence);
    return 1;
}

/* In the container's namespaces, in a process of its own: nothing but system calls. */
static int mount_tmpfs(void *data, int64_t *value, int *fd)
{
    const int *directory = data;

    (void)value, (void)fd;
    if (fchdir(*directory) || mount("tmpfs", ".", "tmpfs", MS_NOSUID | MS_NODEV, "size=16m"))
        return errno;
    return 0;
}

static int on_mount(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;
    unotify_open_how how = { .size = sizeof how, .flags = O_PATH | O_DIRECTORY };
    char kind[16] = "";
    int directory, error = 0;

    (void)data;
    /* The answer fails only if the target is gone, and then nobody waits for it. */
    if ((args[3] & ~(uint64_t)HARMLESS) != 0 ||
        unotify_notification_read_string(n, args[2], kind, sizeof kind, NULL) != UNOTIFY_OK ||
        strcmp(kind, "tmpfs") != 0) {
        unotify_notification_reply_continue(n);
        return UNOTIFY_HANDLED;
    }
    /* The directory itself, whatever its name leads to by now. */
    if (unotify_notification_open(n, AT_FDCWD, args[1], &how, &directory) != UNOTIFY_OK) {
        error = errno;
    } else {
        if (unotify_notification_run_in(n, UNOTIFY_NAMESPACE_USER | UNOTIFY_NAMESPACE_MOUNT, 5000,
                                        mount_tmpfs, &directory, NULL, NULL) != UNOTIFY_OK)
            error = errno;
        close(directory);
    }
    if (error)
        unotify_notification_reply_error(n, error);
    else
        unotify_notification_reply_value(n, 0);
    return UNOTIFY_HANDLED;
}

/* The container is what is kept for its listener. */
static int on_container(unotify_container *container, void *data, void **listener_data)
{
    (void)data, (void)listener_data;
    printf("+ %s %s\n", unotify_container_id(container), unotify_container_metadata(container));
    fflush(stdout);
    return 0;
}

static void on_close(void *listener_data, void *data)
{
    (void)data;
    printf("- %s\n", unotify_container_id(listener_data));
    fflush(stdout);
    unotify_container_free(listener_data);
}

static void log_refused(const char *sentence, void *data)
{
    (void)data;
    fprintf(stderr, "container-agent: %s\n", sentence);
}

static void on_signal(int sig)
{
    (void)sig;
    unotify_agent_interrupt(agent);
}

int main(int argc, char **argv)
{
    unotify_agent_opts opts = { .size = sizeof opts, .log = log_refused };
    unotify_supervisor_opts run = { .size = sizeof run, .flags = UNOTIFY_SUPERVISOR_KEEP_RUNNING };
    unotify_supervisor *supervisor;
    struct sigaction action;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("container-agent of libunotify %s\n", unotify_version()) < 0;
    if (argc != 2) {
        fputs(USAGE, stderr);
        return 2;
    }
    if (unotify_supervisor_new(&run, &supervisor) ||
        unotify_supervisor_on(supervisor, "mount", UNOTIFY_HANDLER_BLOCKING, on_mount, NULL) ||
        unotify_supervisor_on_close(supervisor, on_close, NULL) ||
        unotify_agent_new(argv[1], &opts, &agent))
        return fail(argv[1]);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    if (unotify_agent_serve(agent, supervisor, on_container, NULL)) /* until on_signal() */
        return fail("serve");
    unotify_supervisor_free(supervisor);
    unotify_agent_free(agent);
    return 0;
}
