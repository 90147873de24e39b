/* What a supervisor may do to a target, through the C functions. */

#define _GNU_SOURCE
#include "target.h"

#include <grp.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#define REFUSED(call) CHECK_STATUS(call, UNOTIFY_ERR_INVALID_ARGUMENT)

enum { UNTOUCHED = 0x5a };

/* Inherited by the target, at the same number: what it is asked about. */
static int shared[2];

static unotify_notification *ask(const target *t, unotify_listener *listener, uint64_t argument)
{
    unotify_notification *notification = NULL;

    target_call(t, argument, 0);
    OK(unotify_listener_receive(listener, slowed(10000), &notification));
    return notification;
}

static void done(const target *t, unotify_notification *n, unotify_listener *listener)
{
    OK(unotify_notification_reply_value(n, 7));
    CHECK_INT(target_result(t), 7);
    unotify_notification_free(n);
    unotify_listener_free(listener);
    target_end(t);
}

/* Functions for a helper. */
static int give_seven(void *data, int64_t *value, int *fd)
{
    *value = 7;
    return 0;
}

static int fail_so(void *data, int64_t *value, int *fd)
{
    return EXDEV;
}

static int wait_forever(void *data, int64_t *value, int *fd)
{
    pause(); /* with all signals blocked */
    return 0;
}

/* Every function there is, with a notification that answers `status`; nothing is put anywhere. */
static void everything_answers(unotify_notification *n, unotify_status status)
{
    char buf[64], expected[sizeof buf];
    uint64_t pointers[4] = { 1, 2, 3, 4 };
    gid_t groups[4] = { 12345 };
    size_t len = 12345;
    int fd = 12345;
    unotify_identity who = { .size = sizeof who, .tgid = 12345 };
    unotify_roots *roots;

    OK(unotify_roots_new(0, &roots));
    memset(buf, UNTOUCHED, sizeof buf);
    memset(expected, UNTOUCHED, sizeof expected);
    CHECK_STATUS(unotify_notification_read(n, 4096, buf, sizeof buf), status);
    CHECK_STATUS(unotify_notification_write(n, 4096, buf, sizeof buf), status);
    CHECK_STATUS(unotify_notification_read_string(n, 4096, buf, sizeof buf, &len), status);
    CHECK_STATUS(unotify_notification_read_pointers(n, 4096, pointers, 4, &len), status);
    CHECK_STATUS(unotify_notification_get_fd(n, 0, &fd), status);
    CHECK_STATUS(unotify_notification_open_pidfd(n, &fd), status);
    CHECK_STATUS(unotify_notification_open_root(n, &fd), status);
    CHECK_STATUS(unotify_notification_run_in(n, 0, 1000, give_seven, NULL, NULL, &fd), status);
    CHECK_STATUS(unotify_notification_add_fd(n, 0, -1, 0, &fd), status);
    CHECK_STATUS(unotify_notification_reply_fd(n, 0, 0), status);
    CHECK_STATUS(unotify_notification_open(n, AT_FDCWD, 4096, NULL, &fd), status);
    CHECK_STATUS(unotify_notification_open_parent(n, AT_FDCWD, 4096, buf, sizeof buf, &fd), status);
    CHECK_STATUS(unotify_notification_open_within(n, roots, AT_FDCWD, 4096, NULL, &fd), status);
    CHECK_STATUS(unotify_notification_reply_open_within(n, roots, AT_FDCWD, 4096, NULL), status);
    CHECK_STATUS(unotify_notification_reopen(n, 0, O_RDONLY, 0, &fd), status);
    CHECK_STATUS(unotify_notification_reply_open(n, 0, O_RDONLY, 0), status);
    CHECK_STATUS(unotify_notification_reply_interrupted(n, &fd), status);
    CHECK_STATUS(unotify_notification_reply_connect(n, 0, NULL, 0, -1), status);
    CHECK_STATUS(unotify_notification_open_socket(n, "\1\0/", 3, &fd), status);
    CHECK_STATUS(unotify_notification_create(n, 0, "name", O_WRONLY, 0600, &fd), status);
    CHECK_STATUS(unotify_notification_mkdir(n, 0, "name", 0700), status);
    CHECK_STATUS(unotify_notification_mknod(n, 0, "name", S_IFIFO | 0600, 0), status);
    CHECK_STATUS(unotify_notification_read_path(n, AT_FDCWD, 4096, buf, sizeof buf), status);
    CHECK_STATUS(unotify_notification_identity(n, &who), status);
    CHECK_STATUS(unotify_notification_groups(n, groups, 4, &len), status);
    CHECK_STATUS(unotify_notification_executable(n, buf, sizeof buf), status);
    CHECK_INT(memcmp(buf, expected, sizeof buf), 0);
    CHECK_INT((int64_t)pointers[0], 1);
    CHECK_INT(groups[0], 12345);
    CHECK_INT((int64_t)len, 12345);
    CHECK_INT(fd, 12345);
    CHECK_INT(who.tgid, 12345);
    unotify_roots_free(roots);
}

static void a_killed_target_is_gone_to_every_function(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);

    target_kill(&t);
    everything_answers(n, UNOTIFY_ERR_GONE);
    unotify_notification_free(n);
    unotify_listener_free(listener);
}

static void an_answered_notification_is_answered_to_every_function(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);

    OK(unotify_notification_reply_value(n, 7));
    CHECK_INT(target_result(&t), 7);
    everything_answers(n, UNOTIFY_ERR_ANSWERED);
    unotify_notification_free(n);
    unotify_listener_free(listener);
    target_end(&t);
}

static void null_is_refused_by_every_function(void)
{
    everything_answers(NULL, UNOTIFY_ERR_INVALID_ARGUMENT);
}

static void null_results_and_garbage_are_refused_and_the_target_goes_on_waiting(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    unotify_identity who = { .size = 1 };
    unotify_open_how how = { .size = 1 };
    char buf[16];
    size_t len = 0;
    int fd = -5;

    REFUSED(unotify_notification_read(n, 4096, NULL, 1));
    REFUSED(unotify_notification_write(n, 4096, NULL, 1));
    REFUSED(unotify_notification_read_string(n, 4096, NULL, 1, NULL));
    REFUSED(unotify_notification_read_pointers(n, 4096, NULL, 1, NULL));
    REFUSED(unotify_notification_get_fd(n, 0, NULL));
    REFUSED(unotify_notification_open_pidfd(n, NULL));
    REFUSED(unotify_notification_open_root(n, NULL));
    REFUSED(unotify_notification_run_in(n, 8, 1000, give_seven, NULL, NULL, NULL));
    REFUSED(unotify_notification_run_in(n, 0, 0, give_seven, NULL, NULL, NULL));
    REFUSED(unotify_notification_run_in(n, 0, -1, give_seven, NULL, NULL, NULL));
    REFUSED(unotify_notification_run_in(n, 0, 1000, NULL, NULL, NULL, NULL));
    REFUSED(unotify_notification_open(n, AT_FDCWD, 0, NULL, NULL));
    REFUSED(unotify_notification_open_within(n, NULL, AT_FDCWD, 4096, NULL, &fd));
    REFUSED(unotify_notification_reply_open_within(n, NULL, AT_FDCWD, 4096, NULL));
    REFUSED(unotify_notification_open_parent(n, AT_FDCWD, 0, buf, sizeof buf, NULL));
    REFUSED(unotify_notification_open_parent(n, AT_FDCWD, 0, NULL, 1, &fd));
    REFUSED(unotify_notification_read_path(n, AT_FDCWD, 0, NULL, 1));
    REFUSED(unotify_notification_reopen(n, 0, O_RDONLY, 0, NULL));
    REFUSED(unotify_notification_reopen(n, -1, O_RDONLY, 0, &fd));
    REFUSED(unotify_notification_reopen(n, INT32_MAX, O_RDONLY, 0, &fd));
    CHECK_INT(errno, EBADF);
    REFUSED(unotify_notification_reopen(n, 0, O_RDONLY, UINT64_MAX, &fd));
    REFUSED(unotify_notification_reply_open(n, -1, O_RDONLY, 0));
    REFUSED(unotify_notification_reply_open(n, INT32_MAX, O_RDONLY, 0));
    CHECK_INT(errno, EBADF);
    REFUSED(unotify_notification_reply_interrupted(n, NULL));
    REFUSED(unotify_notification_create(n, 0, "name", O_WRONLY, 0600, NULL));
    REFUSED(unotify_notification_create(n, 0, NULL, O_WRONLY, 0600, &fd));
    REFUSED(unotify_notification_create(n, 0, "a/b", O_WRONLY, 0600, &fd));
    REFUSED(unotify_notification_create(n, -1, "name", O_WRONLY, 0600, &fd));
    REFUSED(unotify_notification_mkdir(n, 0, NULL, 0700));
    REFUSED(unotify_notification_mkdir(n, 0, "..", 0700));
    REFUSED(unotify_notification_mkdir(n, -1, "name", 0700));
    REFUSED(unotify_notification_mknod(n, 0, NULL, S_IFIFO, 0));
    REFUSED(unotify_notification_mknod(n, 0, "", S_IFIFO, 0));
    REFUSED(unotify_notification_mknod(n, -1, "name", S_IFIFO, 0));
    REFUSED(unotify_notification_identity(n, NULL));
    REFUSED(unotify_notification_identity(n, &who));
    REFUSED(unotify_notification_groups(n, NULL, 1, &len));
    REFUSED(unotify_notification_groups(n, NULL, 0, NULL));
    REFUSED(unotify_notification_executable(n, NULL, 1));
    REFUSED(unotify_notification_add_fd(n, -1, -1, 0, NULL));
    REFUSED(unotify_notification_add_fd(n, 0, -2, 0, NULL));
    REFUSED(unotify_notification_add_fd(n, 0, -1, 1, NULL));
    REFUSED(unotify_notification_reply_fd(n, -1, 0));
    REFUSED(unotify_notification_reply_fd(n, INT32_MAX, 0));
    REFUSED(unotify_notification_reply_fd(n, 0, 1));
    REFUSED(unotify_notification_open(n, AT_FDCWD, 0, &how, &fd));
    how.size = sizeof how;
    how.at_flags = 1;
    REFUSED(unotify_notification_open(n, AT_FDCWD, 0, &how, &fd));
    how.at_flags = 0;
    how.mode = UINT64_MAX;
    REFUSED(unotify_notification_open(n, AT_FDCWD, 0, &how, &fd));
    for (int garbage = -3; garbage < 0; garbage++)
        REFUSED(unotify_notification_get_fd(n, garbage, &fd));
    REFUSED(unotify_notification_get_fd(n, INT32_MAX, &fd));
    CHECK_INT(errno, EBADF);
    CHECK_INT(fd, -5);
    CHECK_STATUS(unotify_notification_read(n, UINT64_MAX, buf, sizeof buf), UNOTIFY_ERR_FAULT);
    CHECK_INT(errno, EFAULT);
    CHECK_STATUS(unotify_notification_executable(n, buf, 1), UNOTIFY_ERR_TOO_LONG);
    done(&t, n, listener);
}

static mode_t own_umask(void)
{
    mode_t now = umask(0);

    umask(now);
    return now;
}

static void the_identity_is_the_targets(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    unotify_identity who = { .size = sizeof who };

    /* The call comes from a thread that does not lead its group. */
    OK(unotify_notification_identity(n, &who));
    CHECK_INT(who.tgid, t.pid);
    CHECK(unotify_notification_request(n)->pid != t.pid);
    CHECK_INT(who.uid, getuid());
    CHECK_INT(who.euid, geteuid());
    CHECK_INT(who.gid, getgid());
    CHECK_INT(who.egid, getegid());
    CHECK_INT(who.umask, own_umask());
    CHECK_INT(who.same_user_namespace, 1);
    CHECK_INT(who.capabilities & 1, getuid() == 0);
    done(&t, n, listener);
}

static void the_groups_are_the_targets(void)
{
    const gid_t some[] = { 7, 20, 4000000000 };
    gid_t before[64], found[64] = { 0 };
    int count = getgroups(64, before);
    int may = count >= 0 && setgroups(3, some) == 0; /* as root, so that they are known */
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    size_t len = 12345;

    OK(unotify_notification_groups(n, found, 64, &len));
    if (may) {
        CHECK_INT(len, 3);
        CHECK_INT(memcmp(found, some, sizeof some), 0);
        CHECK_STATUS(unotify_notification_groups(n, found, 2, &len), UNOTIFY_ERR_TOO_LONG);
        CHECK_INT(len, 3);
        CHECK_INT(setgroups(count, before), 0);
    } else {
        CHECK_INT(len, count);
    }
    done(&t, n, listener);
}

static void an_older_callers_identity_is_filled_as_far_as_it_goes(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    unotify_identity who = { .size = offsetof(unotify_identity, uid), .uid = 12345 };

    OK(unotify_notification_identity(n, &who));
    CHECK_INT(who.tgid, t.pid);
    CHECK_INT(who.uid, 12345);
    done(&t, n, listener);
}

static void the_executable_is_the_targets(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    char *expected = realpath(target_program(), NULL), path[4096];

    OK(unotify_notification_executable(n, path, sizeof path));
    CHECK(expected != NULL && strcmp(path, expected) == 0);
    free(expected);
    done(&t, n, listener);
}

static void its_root_directory_is_opened(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    struct stat root, opened;
    int fd = -1;

    OK(unotify_notification_open_root(n, &fd));
    CHECK(stat("/", &root) == 0 && fstat(fd, &opened) == 0);
    CHECK(root.st_dev == opened.st_dev && root.st_ino == opened.st_ino);
    close(fd);
    done(&t, n, listener);
}

static int read_from(void *data, int64_t *value, int *fd)
{
    const int *ends = data;

    CHECK(*value == 0 && *fd == -1);
    *value = getppid();
    *fd = ends[1];
    return 0;
}

static void a_function_is_run_where_the_target_is(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    int64_t value = -1;
    int ends[2], fd = -1;
    char byte = 0;

    CHECK(pipe(ends) == 0);
    OK(unotify_notification_run_in(n, UNOTIFY_NAMESPACE_NET, 10000, read_from, ends, &value, &fd));
    CHECK_INT(value, getpid());
    CHECK(fd >= 0 && fd != ends[1] && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(write(fd, "x", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'x');
    close(fd);
    close(ends[0]);
    close(ends[1]);

    /* Nothing has to be wanted. */
    fd = 0;
    OK(unotify_notification_run_in(n, UNOTIFY_NAMESPACE_USER, 10000, give_seven, NULL, NULL, &fd));
    CHECK_INT(fd, -1);
    OK(unotify_notification_run_in(n, 0, 10000, give_seven, NULL, &value, NULL));
    CHECK_INT(value, 7);
    CHECK_STATUS(unotify_notification_run_in(n, 0, 10000, fail_so, NULL, &value, &fd),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, EXDEV);
    CHECK_STATUS(unotify_notification_run_in(n, 0, 10, wait_forever, NULL, &value, &fd),
                 UNOTIFY_ERR_TIMEOUT);
    done(&t, n, listener);
}

static void the_targets_socket_is_connected_on_its_behalf(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                       peer;
    socklen_t size = sizeof at;
    unotify_listener *listener;
    unotify_notification *n;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), theirs;
    target t;

    CHECK(bind(server, (struct sockaddr *)&at, sizeof at) == 0 && listen(server, 1) == 0);
    CHECK(getsockname(server, (struct sockaddr *)&at, &size) == 0);
    shared[0] = socket(AF_INET, SOCK_STREAM, 0);
    t = target_start(&listener);
    n = ask(&t, listener, 0);

    OK(unotify_notification_get_fd(n, shared[0], &theirs));
    CHECK(fcntl(theirs, F_GETFD) == FD_CLOEXEC);
    CHECK(connect(theirs, (struct sockaddr *)&at, sizeof at) == 0);
    size = sizeof peer;
    CHECK(getpeername(shared[0], (struct sockaddr *)&peer, &size) == 0);
    CHECK_INT(peer.sin_port, at.sin_port);
    close(theirs);
    close(shared[0]);
    close(server);
    done(&t, n, listener);
}

static void a_descriptor_is_installed_and_returned(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    int ends[2], number = -1, copy;
    struct stat mine, theirs;

    CHECK(pipe(ends) == 0 && fstat(ends[0], &mine) == 0);
    OK(unotify_notification_add_fd(n, ends[0], 100, O_CLOEXEC, &number));
    CHECK_INT(number, 100);
    OK(unotify_notification_add_fd(n, ends[0], -1, 0, NULL));
    OK(unotify_notification_get_fd(n, 100, &copy));
    CHECK(fstat(copy, &theirs) == 0 && theirs.st_ino == mine.st_ino);
    close(copy);
    OK(unotify_notification_reply_fd(n, ends[0], O_CLOEXEC));
    number = (int)target_result(&t);
    CHECK(number > 2);
    CHECK_STATUS(unotify_notification_reply_value(n, 0), UNOTIFY_ERR_ANSWERED);
    unotify_notification_free(n);

    n = ask(&t, listener, 0);
    OK(unotify_notification_get_fd(n, number, &copy));
    CHECK(fstat(copy, &theirs) == 0 && theirs.st_ino == mine.st_ino);
    close(copy);
    close(ends[0]);
    close(ends[1]);
    done(&t, n, listener);
}

static void what_was_opened_by_path_is_opened_for_good(void)
{
    unotify_listener *listener;
    static const char path[] = "/dev/null";
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    int found = open(path, O_PATH | O_CLOEXEC), again = -1;
    char sentence[256];

    CHECK(found >= 0);
    /* The kernel cannot give away what was only found. */
    REFUSED(unotify_notification_reply_fd(n, found, 0));
    CHECK(unotify_last_error(sentence, sizeof sentence) > 0 && strstr(sentence, "O_PATH"));
    OK(unotify_notification_reopen(n, found, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &again));
    CHECK((fcntl(again, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_PATH)) == O_RDWR);
    CHECK_INT(fcntl(again, F_GETFD), FD_CLOEXEC);
    close(again);
    close(found);
    done(&t, n, listener);
}

static void the_supervisors_own_proc_is_not_opened_for_good(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    int found = open("/proc/self/mem", O_PATH | O_CLOEXEC), fd = -5;

    CHECK(found >= 0);
    CHECK_STATUS(unotify_notification_reopen(n, found, O_RDWR, 0, &fd), UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ELOOP);
    CHECK_INT(fd, -5);
    close(found);
    done(&t, n, listener);
}

static void a_pidfd_stands_for_the_process(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    int pidfd = -1;

    OK(unotify_notification_open_pidfd(n, &pidfd));
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0);
    CHECK_INT(target_wait(&t), SIGKILL);
    close(t.socket);
    close(pidfd);
    CHECK_STATUS(unotify_notification_check_valid(n), UNOTIFY_ERR_GONE);
    unotify_notification_free(n);
    unotify_listener_free(listener);
}

/* What is in the target's memory, by other means than the library. */
static target_memory memory_of(const target *t)
{
    target_memory memory;
    char path[32];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/mem", (int)t->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(pread(fd, &memory, sizeof memory, (off_t)TARGET_MEMORY) == sizeof memory);
    close(fd);
    return memory;
}

static void memory_is_read(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    char text[] = "##############";

    OK(unotify_notification_read(n, TARGET_AT(text), text, 9));
    CHECK(strcmp(text, "some text#####") == 0);
    done(&t, n, listener);
}

static void memory_is_written(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);

    OK(unotify_notification_write(n, TARGET_AT(text) + 5, "word", 3));
    CHECK(strcmp(memory_of(&t).text, "some wort") == 0);
    CHECK_STATUS(unotify_notification_write(n, 4096, "word", 4), UNOTIFY_ERR_FAULT);
    done(&t, n, listener);
}

static void a_string_is_read_where_there_is_room(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    char text[16] = "before";
    size_t len = 77;

    CHECK_STATUS(unotify_notification_read_string(n, TARGET_AT(text), text, 9, &len),
                 UNOTIFY_ERR_TOO_LONG);
    CHECK(strcmp(text, "before") == 0);
    CHECK_INT(len, 77);
    OK(unotify_notification_read_string(n, TARGET_AT(text), text, 10, &len));
    CHECK(strcmp(text, "some text") == 0);
    CHECK_INT(len, 9);
    OK(unotify_notification_read_string(n, TARGET_AT(path), text, sizeof text, NULL));
    CHECK(strcmp(text, "/dev/null") == 0);
    done(&t, n, listener);
}

static void an_array_of_pointers_is_read_where_there_is_room(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    uint64_t pointers[3] = { 1, 2, 3 };
    size_t count = 77;

    CHECK_STATUS(unotify_notification_read_pointers(n, TARGET_AT(pointers), pointers, 1, &count),
                 UNOTIFY_ERR_TOO_LONG);
    CHECK_INT(count, 77);
    CHECK_INT((int64_t)pointers[0], 1);
    OK(unotify_notification_read_pointers(n, TARGET_AT(pointers), pointers, 3, &count));
    CHECK_INT(count, 2);
    CHECK_INT((int64_t)pointers[0], (int64_t)TARGET_AT(path));
    CHECK_INT((int64_t)pointers[1], (int64_t)TARGET_AT(text));
    CHECK_INT((int64_t)pointers[2], 3);
    done(&t, n, listener);
}

static int is_null_device(int fd)
{
    struct stat opened, null;

    CHECK(fstat(fd, &opened) == 0 && stat("/dev/null", &null) == 0);
    return S_ISCHR(opened.st_mode) && opened.st_rdev == null.st_rdev;
}

static void what_the_target_names_is_opened(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    unotify_open_how how = { .size = sizeof how, .flags = O_RDWR };
    int fd = -1;

    OK(unotify_notification_open(n, AT_FDCWD, TARGET_AT(path), NULL, &fd));
    CHECK(is_null_device(fd));
    CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    OK(unotify_notification_open(n, AT_FDCWD, TARGET_AT(path), &how, &fd));
    CHECK(is_null_device(fd));
    CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    close(fd);
    fd = 77;
    CHECK_STATUS(unotify_notification_open(n, AT_FDCWD, TARGET_AT(text), NULL, &fd),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(fd, 77);
    done(&t, n, listener);
}

static void what_the_target_names_is_opened_within_the_roots_that_allow_it(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    unotify_open_how how = { .size = sizeof how, .flags = O_RDWR };
    unotify_roots *roots, *others;
    int fd = 77;

    OK(unotify_roots_new(0, &roots));
    OK(unotify_roots_add(roots, "/dev", UNOTIFY_RIGHT_READ));
    OK(unotify_notification_open_within(n, roots, AT_FDCWD, TARGET_AT(path), NULL, &fd));
    CHECK(is_null_device(fd));
    CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    fd = 77;
    CHECK_STATUS(unotify_notification_open_within(n, roots, AT_FDCWD, TARGET_AT(path), &how, &fd),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, EACCES);
    CHECK_INT(fd, 77);
    OK(unotify_roots_add(roots, "/dev/null", UNOTIFY_RIGHT_WRITE | UNOTIFY_RIGHT_CREATE));
    OK(unotify_notification_open_within(n, roots, AT_FDCWD, TARGET_AT(path), &how, &fd));
    CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    close(fd);
    OK(unotify_roots_new(UNOTIFY_ROOTS_SAME_PATHS, &others));
    OK(unotify_roots_add(others, "/etc", UNOTIFY_RIGHT_READ));
    CHECK_STATUS(unotify_notification_open_within(n, others, AT_FDCWD, TARGET_AT(path), NULL, &fd),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, EACCES);
    CHECK_STATUS(unotify_notification_reply_open_within(n, others, AT_FDCWD, TARGET_AT(path), NULL),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, EACCES);
    OK(unotify_notification_reply_open_within(n, roots, AT_FDCWD, TARGET_AT(path), NULL));
    CHECK(target_result(&t) > 2);
    unotify_notification_free(n);
    unotify_roots_free(others);
    unotify_roots_free(roots);
    unotify_listener_free(listener);
    target_end(&t);
}

static void roots_that_cannot_be_are_refused(void)
{
    unotify_roots *roots = NULL;

    REFUSED(unotify_roots_new(2, &roots));
    REFUSED(unotify_roots_new(0, NULL));
    CHECK(!roots);
    OK(unotify_roots_new(0, &roots));
    REFUSED(unotify_roots_add(NULL, "/", UNOTIFY_RIGHT_READ));
    REFUSED(unotify_roots_add(roots, NULL, UNOTIFY_RIGHT_READ));
    REFUSED(unotify_roots_add(roots, "/", 0));
    REFUSED(unotify_roots_add(roots, "/", 8));
    CHECK_STATUS(unotify_roots_add(roots, "/does/not/exist", UNOTIFY_RIGHT_READ),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ENOENT);
    unotify_roots_free(roots);
    unotify_roots_free(NULL);
}

static void the_parent_of_what_the_target_names_is_opened(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    char name[8] = "before";
    struct stat opened, dev;
    int fd = 77;

    CHECK_STATUS(unotify_notification_open_parent(n, AT_FDCWD, TARGET_AT(path), name, 4, &fd),
                 UNOTIFY_ERR_TOO_LONG);
    CHECK_INT(fd, 77);
    CHECK(strcmp(name, "before") == 0);
    OK(unotify_notification_open_parent(n, AT_FDCWD, TARGET_AT(path), name, 5, &fd));
    CHECK(strcmp(name, "null") == 0);
    CHECK(fstat(fd, &opened) == 0 && stat("/dev", &dev) == 0);
    CHECK(opened.st_ino == dev.st_ino && opened.st_dev == dev.st_dev);
    close(fd);
    done(&t, n, listener);
}

/* A directory of this test's own. */
static int make_directory(char path[32])
{
    int fd;

    strcpy(path, "/tmp/unotify-target-XXXXXX");
    CHECK(mkdtemp(path) != NULL);
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void what_is_made_has_the_targets_umask(void)
{
    unotify_listener *listener;
    mode_t before = umask(077);
    target t = target_start(&listener);
    unotify_notification *n;
    static const char *const names[] = { "file", "directory", "fifo" };
    static const mode_t modes[] = { S_IFREG | 0600, S_IFDIR | 0700, S_IFIFO | 0600 };
    char path[32];
    int fd = -1, directory;
    struct stat made;

    umask(0);
    directory = make_directory(path);
    n = ask(&t, listener, 0);
    OK(unotify_notification_create(n, directory, "file", O_RDWR | O_CLOEXEC, 0666, &fd));
    CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    fd = 77;
    CHECK_STATUS(unotify_notification_create(n, directory, "file", O_RDWR, 0666, &fd),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, EEXIST);
    CHECK_INT(fd, 77);
    OK(unotify_notification_mkdir(n, directory, "directory", 0777));
    OK(unotify_notification_mknod(n, directory, "fifo", S_IFIFO | 0666, 0));
    done(&t, n, listener);
    CHECK_INT(own_umask(), 0);
    umask(before);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(fstatat(directory, names[i], &made, AT_SYMLINK_NOFOLLOW) == 0);
        CHECK_INT(made.st_mode, modes[i]);
        CHECK(unlinkat(directory, names[i], S_ISDIR(made.st_mode) ? AT_REMOVEDIR : 0) == 0);
    }
    close(directory);
    CHECK(rmdir(path) == 0);
}

static void a_fifo_is_waited_for_by_nobody_but_its_target(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    char path[32];
    int directory = make_directory(path), fifo, writer = -1;

    CHECK(mkfifoat(directory, "fifo", 0600) == 0);
    fifo = openat(directory, "fifo", O_PATH | O_CLOEXEC);
    CHECK(fifo >= 0);
    CHECK_STATUS(unotify_notification_reply_open(n, fifo, O_WRONLY | O_NONBLOCK, 0),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ENXIO);
    OK(unotify_notification_reply_open(n, fifo, O_RDONLY | O_CLOEXEC, 0));
    REFUSED(unotify_notification_reply_value(n, 7));
    unotify_notification_free(n);
    while ((writer = openat(directory, "fifo", O_WRONLY | O_NONBLOCK)) < 0)
        CHECK_INT(errno, ENXIO);
    CHECK(target_result(&t) > 0);
    close(writer);
    close(fifo);
    unotify_listener_free(listener);
    target_end(&t);
    CHECK(unlinkat(directory, "fifo", 0) == 0);
    close(directory);
    CHECK(rmdir(path) == 0);
}

static void a_socket_is_connected_and_its_target_answered(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/tmp/unotify-XXXXXX" };
    int directory = mkstemp(at.sun_path), near = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), file, number;
    socklen_t length = sizeof at;
    unotify_listener *listener;
    unotify_notification *n;
    target t;

    /* A name that nobody else has. */
    CHECK(directory >= 0 && close(directory) == 0 && unlink(at.sun_path) == 0);
    CHECK(bind(far, (const struct sockaddr *)&at, sizeof at) == 0 && listen(far, 1) == 0);
    t = target_start(&listener);
    n = ask(&t, listener, 0);
    OK(unotify_notification_add_fd(n, near, -1, 0, &number));
    OK(unotify_notification_open_socket(n, &at, sizeof at, &file));
    CHECK(unlink(at.sun_path) == 0);
    CHECK_STATUS(unotify_notification_reply_connect(n, number, &at, sizeof at, -1),
                 UNOTIFY_ERR_SYSTEM);
    CHECK_INT(errno, ENOENT);
    OK(unotify_notification_reply_connect(n, number, &at, sizeof at, file));
    CHECK_INT(target_result(&t), 0);
    CHECK(close(accept(far, NULL, NULL)) == 0);
    CHECK(getpeername(near, (struct sockaddr *)&at, &length) == 0);
    unotify_notification_free(n);

    /* What comes of it is the answer. */
    n = ask(&t, listener, 0);
    OK(unotify_notification_reply_connect(n, number, &at, sizeof at, file));
    CHECK_INT(target_result(&t), -EISCONN);
    unotify_notification_free(n);

    n = ask(&t, listener, 0);
    CHECK_STATUS(unotify_notification_reply_connect(n, 12345, &at, sizeof at, file),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
    CHECK_STATUS(unotify_notification_reply_connect(n, number, &at, 1000, -1),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_reply_connect(n, number, NULL, 1, -1),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_reply_connect(n, number, &at, sizeof at, -2),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_open_socket(n, NULL, 0, &file), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_notification_open_socket(n, &at, sizeof at, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    close(file);
    close(near);
    close(far);
    done(&t, n, listener);
}

static void a_call_is_not_interrupted_while_no_signal_waits(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    int interrupted = 77;

    OK(unotify_notification_reply_interrupted(n, &interrupted));
    CHECK_INT(interrupted, 0);
    done(&t, n, listener);
}

static void do_nothing(int signal)
{
}

/* A target whose received calls no signal interrupts, as unotify_filter_load() makes them. */
static pid_t start_killable(unotify_listener **listener)
{
    int ends[2];
    pid_t child;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct sigaction action = { .sa_handler = do_nothing };
        unotify_filter *filter;
        unotify_listener *own;
        long result;

        CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
        OK(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter));
        OK(unotify_filter_notify(filter, "getppid"));
        OK(unotify_filter_load(filter, NULL, &own));
        OK(unotify_listener_to_socket(own, ends[1]));
        result = syscall(TARGET_CALL);
        _exit(!(result == -1 && errno == EINTR));
    }
    OK(unotify_listener_from_socket(ends[0], listener));
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void a_call_is_interrupted_by_a_signal_that_waits(void)
{
    unotify_listener *listener;
    pid_t child = start_killable(&listener);
    unotify_notification *n = NULL;
    int interrupted = 77, status;

    OK(unotify_listener_receive(listener, slowed(10000), &n));
    CHECK(kill(child, SIGUSR1) == 0);
    if (unotify_features() & UNOTIFY_FEATURE_WAIT_KILLABLE) {
        OK(unotify_notification_reply_interrupted(n, &interrupted));
        CHECK_INT(interrupted, 1);
        CHECK_STATUS(unotify_notification_check_valid(n), UNOTIFY_ERR_ANSWERED);
    } else { /* The kernel may have done it. */
        unotify_notification_reply_interrupted(n, &interrupted);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    unotify_notification_free(n);
    unotify_listener_free(listener);
}

static void the_path_is_absolute(void)
{
    unotify_listener *listener;
    target t = target_start(&listener);
    unotify_notification *n = ask(&t, listener, 0);
    char path[4096] = "before", expected[4096], *directory = getcwd(NULL, 0);

    CHECK_STATUS(unotify_notification_read_path(n, AT_FDCWD, TARGET_AT(path), path, 9),
                 UNOTIFY_ERR_TOO_LONG);
    CHECK(strcmp(path, "before") == 0);
    OK(unotify_notification_read_path(n, AT_FDCWD, TARGET_AT(path), path, 10));
    CHECK(strcmp(path, "/dev/null") == 0);
    snprintf(expected, sizeof expected, "%s/some text", directory);
    OK(unotify_notification_read_path(n, AT_FDCWD, TARGET_AT(text), path, sizeof path));
    CHECK(strcmp(path, expected) == 0);
    free(directory);
    done(&t, n, listener);
}

int main(void)
{
    RUN(CASE(a_killed_target_is_gone_to_every_function),
        CASE(an_answered_notification_is_answered_to_every_function),
        CASE(null_is_refused_by_every_function),
        CASE(null_results_and_garbage_are_refused_and_the_target_goes_on_waiting),
        CASE(the_identity_is_the_targets), CASE(the_groups_are_the_targets),
        CASE(an_older_callers_identity_is_filled_as_far_as_it_goes),
        CASE(the_executable_is_the_targets), CASE(the_targets_socket_is_connected_on_its_behalf),
        CASE(a_descriptor_is_installed_and_returned),
        CASE(what_was_opened_by_path_is_opened_for_good),
        CASE(the_supervisors_own_proc_is_not_opened_for_good), CASE(a_pidfd_stands_for_the_process),
        CASE(memory_is_read), CASE(memory_is_written), CASE(a_string_is_read_where_there_is_room),
        CASE(an_array_of_pointers_is_read_where_there_is_room),
        CASE(what_the_target_names_is_opened), CASE(the_parent_of_what_the_target_names_is_opened),
        CASE(what_the_target_names_is_opened_within_the_roots_that_allow_it),
        CASE(roots_that_cannot_be_are_refused), CASE(what_is_made_has_the_targets_umask),
        CASE(a_fifo_is_waited_for_by_nobody_but_its_target),
        CASE(a_socket_is_connected_and_its_target_answered),
        CASE(a_call_is_not_interrupted_while_no_signal_waits),
        CASE(a_call_is_interrupted_by_a_signal_that_waits), CASE(the_path_is_absolute),
        CASE(its_root_directory_is_opened), CASE(a_function_is_run_where_the_target_is));
}
