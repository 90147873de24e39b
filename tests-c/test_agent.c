/* The agent: its socket, what it tells of a container, what it says of those it refuses. */

#define _GNU_SOURCE
#include "target.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/un.h>

static char directory[64], path[96];

/* A place for a socket. */
static void place(void)
{
    snprintf(directory, sizeof directory, "/tmp/unotify-agent-XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/agent.sock", directory);
}

/* Which has nothing in it any more. */
static void leave(void)
{
    CHECK(rmdir(directory) == 0);
}

static struct sockaddr_un address(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    return addr;
}

/* What a runtime does: it sends a state with `n` descriptors, and keeps the connection open. */
static int send_state(const char *state, const int *fds, size_t n)
{
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)state, strlen(state) };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct sockaddr_un addr = address();
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(s, (struct sockaddr *)&addr, sizeof addr) == 0);
    if (n) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n * sizeof *fds);
        CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(n * sizeof *fds);
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, n * sizeof *fds);
    }
    CHECK(sendmsg(s, &message, MSG_NOSIGNAL) == (ssize_t)iov.iov_len);
    return s;
}

static const char box[] =
    "{\"ociVersion\":\"1.0.2\",\"fds\":[\"null\",\"seccompFd\"],\"pid\":12,\"metadata\":\"meta\","
    "\"state\":{\"ociVersion\":\"1.0.2\",\"id\":\"box\",\"status\":\"running\",\"pid\":11,"
    "\"bundle\":\"/bundle\",\"annotations\":{\"one\":\"1\",\"two\":\"2\"}}}";

/* Sends a target's listener as that of a container. */
static int start_container(const unotify_listener *listener)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[2] = { null, unotify_listener_fd(listener) };
    int s = send_state(box, fds, 2);

    close(null);
    return s;
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

static void a_container_is_what_its_runtime_says(void)
{
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener, *again;
    target t = target_start(&listener);
    struct stat found;
    int s, fd;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    CHECK(stat(path, &found) == 0);
    CHECK_INT(found.st_mode & 07777, 0600);
    s = start_container(listener);
    unotify_listener_free(listener);
    OK(unotify_agent_accept(agent, slowed(20000), &container));
    CHECK(strcmp(unotify_container_id(container), "box") == 0);
    CHECK(strcmp(unotify_container_bundle(container), "/bundle") == 0);
    CHECK(strcmp(unotify_container_status(container), "running") == 0);
    CHECK(strcmp(unotify_container_metadata(container), "meta") == 0);
    CHECK(strcmp(unotify_container_version(container), "1.0.2") == 0);
    CHECK(strcmp(unotify_container_annotation(container, "two"), "2") == 0);
    CHECK(unotify_container_annotation(container, "three") == NULL);
    CHECK(strcmp(unotify_container_annotation_key(container, 0), "one") == 0);
    CHECK(strcmp(unotify_container_annotation_key(container, 1), "two") == 0);
    CHECK(unotify_container_annotation_key(container, 2) == NULL);
    CHECK_INT(unotify_container_pid(container), 12);
    CHECK_INT(unotify_container_init_pid(container), 11);
    CHECK((fd = unotify_container_fd(container, "null")) >= 0);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK_INT(unotify_container_fd(container, "other"), -1);
    OK(unotify_container_take_listener(container, &listener));
    CHECK_STATUS(unotify_container_take_listener(container, &again), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_container_free(container);
    serve(&t, listener, 7);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    unotify_listener_free(listener);
    CHECK(fcntl(fd, F_GETFD) == -1);
    target_end(&t);
    close(s);
    unotify_agent_free(agent);
    leave();
}

static void a_container_that_is_freed_is_let_go_of(void)
{
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener;
    target t = target_start(&listener);
    int s;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    s = start_container(listener);
    unotify_listener_free(listener);
    OK(unotify_agent_accept(agent, slowed(20000), &container));
    target_call(&t, 0, 0);
    unotify_container_free(container);
    CHECK_INT(target_result(&t), -ENOSYS);
    target_end(&t);
    close(s);
    unotify_agent_free(agent);
    leave();
}

static void log_one(const char *sentence, void *data)
{
    snprintf(data, 256, "%s", sentence);
}

static void a_peer_that_is_refused_is_logged(void)
{
    char said[256] = "";
    unotify_agent *agent;
    unotify_container *container;
    unotify_agent_opts opts = { .size = sizeof opts, .log = log_one, .log_data = said };
    int s;

    place();
    OK(unotify_agent_new(path, &opts, &agent));
    s = send_state(box, NULL, 0);
    CHECK_STATUS(unotify_agent_accept(agent, 0, &container), UNOTIFY_ERR_TIMEOUT);
    CHECK(strstr(said, "names 2 descriptors, and 0 came") != NULL);
    close(s);
    unotify_agent_free(agent);
    leave();
}

static void options_are_heeded(void)
{
    char said[256] = "";
    uid_t nobody = 65534;
    unotify_agent *agent;
    unotify_container *container;
    unotify_agent_opts opts = { .size = sizeof opts, .log = log_one, .log_data = said };
    struct stat found;
    int s;

    place();
    opts.mode = 0640;
    opts.max_message = 100;
    opts.time_limit_ms = 50;
    OK(unotify_agent_new(path, &opts, &agent));
    CHECK(stat(path, &found) == 0);
    CHECK_INT(found.st_mode & 07777, 0640);
    s = send_state(box, NULL, 0);
    CHECK_STATUS(unotify_agent_accept(agent, 0, &container), UNOTIFY_ERR_TIMEOUT);
    CHECK(strstr(said, "longer than 100 bytes") != NULL);
    close(s);
    s = send_state("{", NULL, 0);
    CHECK_STATUS(unotify_agent_accept(agent, 500, &container), UNOTIFY_ERR_TIMEOUT);
    CHECK(strstr(said, "longer than 50ms") != NULL);
    close(s);
    unotify_agent_free(agent);
    opts.users = &nobody;
    opts.n_users = 1;
    OK(unotify_agent_new(path, &opts, &agent));
    s = send_state("{", NULL, 0);
    CHECK_STATUS(unotify_agent_accept(agent, 0, &container), UNOTIFY_ERR_TIMEOUT);
    CHECK(geteuid() == nobody || strstr(said, "is not listened to") != NULL);
    close(s);
    unotify_agent_free(agent);

    opts.users = NULL;
    CHECK_STATUS(unotify_agent_new(path, &opts, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    opts.n_users = 0;
    opts.time_limit_ms = -1;
    CHECK_STATUS(unotify_agent_new(path, &opts, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    opts.time_limit_ms = 0;
    opts.mode = 010000;
    CHECK_STATUS(unotify_agent_new(path, &opts, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    opts.mode = 0;
    opts.max_fds = 254;
    CHECK_STATUS(unotify_agent_new(path, &opts, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    leave();
}

static void two_agents_do_not_share_a_socket(void)
{
    unotify_agent *agent, *other;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    CHECK_STATUS(unotify_agent_new(path, NULL, &other), UNOTIFY_ERR_BUSY);
    CHECK_INT(errno, EADDRINUSE);
    unotify_agent_free(agent);
    leave();
}

static void a_socket_from_elsewhere_stays_its_owners(void)
{
    struct sockaddr_un addr;
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener;
    target t = target_start(&listener);
    int s, own, null = open("/dev/null", O_RDONLY);

    place();
    addr = address();
    CHECK((own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
    CHECK(bind(own, (struct sockaddr *)&addr, sizeof addr) == 0);
    CHECK_STATUS(unotify_agent_from_socket(own, NULL, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(listen(own, 16) == 0);
    CHECK_STATUS(unotify_agent_from_socket(null, NULL, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_from_socket(-2, NULL, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(errno, EBADF);
    unsetenv("LISTEN_PID");
    CHECK_STATUS(unotify_agent_from_socket(-1, NULL, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    OK(unotify_agent_from_socket(own, NULL, &agent));
    s = start_container(listener);
    unotify_listener_free(listener);
    OK(unotify_agent_accept(agent, slowed(20000), &container));
    OK(unotify_container_take_listener(container, &listener));
    unotify_container_free(container);
    serve(&t, listener, 3);
    unotify_listener_free(listener);
    target_end(&t);
    close(s);
    unotify_agent_free(agent);
    CHECK(fcntl(own, F_GETFD) == FD_CLOEXEC);
    close(own);
    close(null);
    CHECK(unlink(path) == 0);
    leave();
}

static void an_accept_can_be_interrupted(void)
{
    unotify_agent *agent;
    unotify_container *container;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    OK(unotify_agent_interrupt(agent));
    CHECK_STATUS(unotify_agent_accept(agent, -1, &container), UNOTIFY_ERR_STOPPED);
    CHECK_STATUS(unotify_agent_accept(agent, 0, &container), UNOTIFY_ERR_TIMEOUT);
    unotify_agent_free(agent);
    leave();
}

static void its_descriptor_tells_that_something_came(void)
{
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener;
    target t = target_start(&listener);
    struct pollfd entry = { .events = POLLIN };
    int s;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    CHECK((entry.fd = unotify_agent_fd(agent)) >= 0);
    CHECK_INT(poll(&entry, 1, 0), 0);
    s = start_container(listener);
    CHECK_INT(poll(&entry, 1, slowed(20000)), 1);
    OK(unotify_agent_accept(agent, 0, &container));
    unotify_container_free(container);
    serve(&t, listener, 1);
    unotify_listener_free(listener);
    target_end(&t);
    close(s);
    unotify_agent_free(agent);
    leave();
}

/* Which container a call came from: it returns the container's pid. */
static int tell_pid(unotify_notification *call, void *data)
{
    unotify_container *container = unotify_notification_listener_data(call);

    (void)unotify_notification_reply_value(call, unotify_container_pid(container));
    return UNOTIFY_HANDLED;
}

typedef struct {
    unotify_agent *agent;
    unotify_supervisor *supervisor;
    int come, gone, refuse;
} room;

static int container_came(unotify_container *container, void *data, void **listener_data)
{
    room *r = data;

    CHECK(*listener_data == container);
    r->come++;
    if (r->refuse)
        unotify_container_free(container);
    return r->refuse;
}

static void container_went(void *listener_data, void *data)
{
    room *r = data;

    unotify_container_free(listener_data);
    r->gone++;
}

static void room_of(room *r, unotify_agent *agent)
{
    unotify_supervisor_opts opts = { .size = sizeof opts,
                                     .flags = UNOTIFY_SUPERVISOR_KEEP_RUNNING };

    memset(r, 0, sizeof *r);
    r->agent = agent;
    OK(unotify_supervisor_new(&opts, &r->supervisor));
    OK(unotify_supervisor_on(r->supervisor, "getppid", 0, tell_pid, NULL));
    OK(unotify_supervisor_on_close(r->supervisor, container_went, r));
}

static void *serve_room(void *data)
{
    room *r = data;

    OK(unotify_agent_serve(r->agent, r->supervisor, container_came, r));
    return NULL;
}

/* On a thread: an agent and its supervisor, by way of a socket. */
typedef struct {
    room *room;
    int socket;
} hand;

static void *hand_room_over(void *data)
{
    hand *h = data;

    OK(unotify_agent_hand_over(h->room->agent, h->room->supervisor, h->socket));
    return NULL;
}

static void containers_are_served_and_handed_over(void)
{
    unotify_agent *agent;
    unotify_listener *listener;
    target t = target_start(&listener);
    room old, new;
    pthread_t thread;
    int s, ends[2];

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    room_of(&old, agent);
    s = start_container(listener);
    unotify_listener_free(listener);
    CHECK(pthread_create(&thread, NULL, serve_room, &old) == 0);
    target_call(&t, 0, 0);
    CHECK_INT(target_result(&t), 12);
    OK(unotify_agent_interrupt(agent));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_INT(old.come, 1);
    CHECK_INT(old.gone, 0);

    /* Here both are of one process. */
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    target_call(&t, 0, 0);
    {
        hand h = { &old, ends[0] };

        CHECK(pthread_create(&thread, NULL, hand_room_over, &h) == 0);
        OK(unotify_agent_take_over(ends[1], NULL, &agent));
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK_INT(old.gone, 1);
    CHECK_STATUS(unotify_agent_serve(old.agent, old.supervisor, container_came, &old),
                 UNOTIFY_ERR_CLOSED);
    unotify_supervisor_free(old.supervisor);
    unotify_agent_free(old.agent);

    room_of(&new, agent);
    CHECK(pthread_create(&thread, NULL, serve_room, &new) == 0);
    CHECK_INT(target_result(&t), 12);
    target_end(&t);
    while (__atomic_load_n(&new.gone, __ATOMIC_SEQ_CST) == 0)
        usleep(1000);
    OK(unotify_agent_interrupt(agent));
    CHECK(pthread_join(thread, NULL) == 0);
    unotify_supervisor_free(new.supervisor);
    unotify_agent_free(agent);
    close(s);
    close(ends[0]);
    close(ends[1]);
    leave();
}

static void a_container_that_is_not_wanted_is_let_go_of(void)
{
    unotify_agent *agent;
    unotify_listener *listener;
    target t = target_start(&listener);
    room r;
    pthread_t thread;
    int s;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    room_of(&r, agent);
    r.refuse = 1;
    s = start_container(listener);
    unotify_listener_free(listener);
    CHECK(pthread_create(&thread, NULL, serve_room, &r) == 0);
    target_call(&t, 0, 0);
    CHECK_INT(target_result(&t), -ENOSYS);
    OK(unotify_agent_interrupt(agent));
    CHECK(pthread_join(thread, NULL) == 0);
    target_end(&t);
    unotify_supervisor_free(r.supervisor);
    CHECK_INT(r.gone, 0);
    room_of(&r, agent);
    OK(unotify_supervisor_stop(r.supervisor));
    CHECK_STATUS(unotify_agent_serve(agent, r.supervisor, container_came, &r), UNOTIFY_ERR_STOPPED);
    unotify_supervisor_free(r.supervisor);
    unotify_agent_free(agent);
    close(s);
    leave();
}

static void a_container_that_was_handed_over_says_so(void)
{
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener;
    target t = target_start(&listener);
    room old = { 0 };
    pthread_t thread;
    int s, ends[2];

    place();
    OK(unotify_agent_new(path, NULL, &old.agent));
    /* It looks at both when it is asked for one. */
    close(start_container(listener));
    s = start_container(listener);
    unotify_listener_free(listener);
    OK(unotify_agent_accept(old.agent, slowed(20000), &container));
    CHECK_INT(unotify_container_was_handed_over(container), 0);
    unotify_container_free(container);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    {
        hand h = { &old, ends[0] };

        CHECK(pthread_create(&thread, NULL, hand_room_over, &h) == 0);
        OK(unotify_agent_take_over(ends[1], NULL, &agent));
        CHECK(pthread_join(thread, NULL) == 0);
    }
    unotify_agent_free(old.agent);
    OK(unotify_agent_accept(agent, slowed(20000), &container));
    CHECK_INT(unotify_container_was_handed_over(container), 1);
    unotify_container_free(container);
    unotify_agent_free(agent);
    target_end(&t);
    close(s);
    close(ends[0]);
    close(ends[1]);
    leave();
}

static void a_listener_that_is_put_back_comes_again(void)
{
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener, *own;
    target t = target_start(&own);
    int s;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    s = start_container(own);
    CHECK_STATUS(unotify_agent_put_back(agent, own), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("agent");
    unotify_listener_free(own);
    OK(unotify_agent_accept(agent, slowed(20000), &container));
    OK(unotify_container_take_listener(container, &listener));
    unotify_container_free(container);
    OK(unotify_agent_put_back(agent, listener));
    OK(unotify_agent_accept(agent, slowed(20000), &container));
    CHECK(strcmp(unotify_container_id(container), "box") == 0);
    OK(unotify_container_take_listener(container, &listener));
    CHECK_STATUS(unotify_agent_put_back(NULL, listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_put_back(agent, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    unotify_listener_free(listener);
    unotify_container_free(container);
    unotify_agent_free(agent);
    target_end(&t);
    close(s);
    leave();
}

static void what_cannot_be_handed_over_stays(void)
{
    unotify_agent *agent, *other;
    unotify_supervisor *ends_by_itself;
    room r;
    int ends[2];

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    room_of(&r, agent);
    OK(unotify_supervisor_new(NULL, &ends_by_itself));
    CHECK_STATUS(unotify_agent_serve(agent, ends_by_itself, container_came, &r),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID_OF("keep_running");
    CHECK_STATUS(unotify_agent_serve(agent, r.supervisor, NULL, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_serve(agent, NULL, container_came, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_serve(NULL, r.supervisor, container_came, NULL),
                 UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_hand_over(NULL, NULL, 0), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_hand_over(agent, NULL, -1), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_take_over(-1, NULL, &other), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_STATUS(unotify_agent_take_over(ends[0], NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    close(ends[1]);
    CHECK_STATUS(unotify_agent_hand_over(agent, r.supervisor, ends[0]), UNOTIFY_ERR_CLOSED);
    CHECK_STATUS(unotify_agent_take_over(ends[0], NULL, &other), UNOTIFY_ERR_CLOSED);
    CHECK_INT(unotify_container_was_handed_over(NULL), 0);
    close(ends[0]);
    unotify_supervisor_free(ends_by_itself);
    unotify_supervisor_free(r.supervisor);
    unotify_agent_free(agent);
    leave();
}

static void null_is_refused(void)
{
    unotify_agent *agent;
    unotify_container *container;
    unotify_listener *listener;

    place();
    OK(unotify_agent_new(path, NULL, &agent));
    CHECK_STATUS(unotify_agent_new(NULL, NULL, &agent), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_new(path, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_from_socket(0, NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_accept(NULL, 0, &container), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_accept(agent, 0, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_accept(agent, -2, &container), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_agent_interrupt(NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_container_take_listener(NULL, &listener), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(unotify_agent_fd(NULL), -1);
    CHECK(unotify_container_id(NULL) == NULL);
    CHECK(unotify_container_bundle(NULL) == NULL);
    CHECK(unotify_container_status(NULL) == NULL);
    CHECK(unotify_container_metadata(NULL) == NULL);
    CHECK(unotify_container_version(NULL) == NULL);
    CHECK(unotify_container_annotation(NULL, "a") == NULL);
    CHECK(unotify_container_annotation_key(NULL, 0) == NULL);
    CHECK_INT(unotify_container_pid(NULL), -1);
    CHECK_INT(unotify_container_init_pid(NULL), -1);
    CHECK_INT(unotify_container_fd(NULL, "a"), -1);
    unotify_agent_free(NULL);
    unotify_container_free(NULL);
    unotify_agent_free(agent);
    leave();
}

int main(void)
{
    RUN(CASE(a_container_is_what_its_runtime_says), CASE(a_container_that_is_freed_is_let_go_of),
        CASE(a_peer_that_is_refused_is_logged), CASE(options_are_heeded),
        CASE(two_agents_do_not_share_a_socket), CASE(a_socket_from_elsewhere_stays_its_owners),
        CASE(an_accept_can_be_interrupted), CASE(its_descriptor_tells_that_something_came),
        CASE(containers_are_served_and_handed_over),
        CASE(a_container_that_is_not_wanted_is_let_go_of),
        CASE(a_container_that_was_handed_over_says_so),
        CASE(a_listener_that_is_put_back_comes_again), CASE(what_cannot_be_handed_over_stays),
        CASE(null_is_refused));
}
