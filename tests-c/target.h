/*
 * A target to supervise: the program target.c, which runs natively whatever the test itself runs
 * under (valgrind does not know seccomp(2)). It makes the calls it is told to over a socket.
 */

#ifndef TARGET_H
#define TARGET_H

#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The call that notifies. Its arguments mean nothing to the kernel, so they may be anything. */
#define TARGET_CALL __NR_getppid

/* In the second argument: the call is made by a child. */
#define TARGET_FORKS (UINT64_C(1) << 63)

/* What it has in its memory, and where. */
typedef struct {
    char path[32];        /* "/dev/null" */
    char text[32];        /* "some text", which is no file's name */
    uint64_t pointers[4]; /* the addresses of both, and 0 */
} target_memory;

#define TARGET_MEMORY UINT64_C(0x10000000)
#define TARGET_AT(member) (TARGET_MEMORY + offsetof(target_memory, member))

typedef struct {
    pid_t pid;
    int socket;
} target;

extern char **environ;

/* The path of target.c's program. */
static inline const char *target_program(void)
{
    const char *path = getenv("UNOTIFY_TEST_TARGET");

    return path ? path : "tests-c/target";
}

/* Starts one. Its listener comes next over `socket`. */
static inline target target_spawn(void)
{
    int ends[2];
    char number[16];
    char *argv[] = { (char *)(uintptr_t)target_program(), number, NULL };
    target t;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(fcntl(ends[1], F_SETFD, 0) == 0);
    snprintf(number, sizeof number, "%d", ends[1]);
    CHECK_INT(posix_spawn(&t.pid, argv[0], NULL, NULL, argv, environ), 0);
    close(ends[1]);
    t.socket = ends[0];
    return t;
}

/* Starts one and receives its listener. */
static inline target target_start(unotify_listener **listener)
{
    target t = target_spawn();

    OK(unotify_listener_from_socket(t.socket, listener));
    return t;
}

/* Tells it to make the call, each time in a new thread, and does not wait. */
static inline void target_call(const target *t, uint64_t arg0, uint64_t arg1)
{
    uint64_t args[2] = { arg0, arg1 };

    CHECK(send(t->socket, args, sizeof args, MSG_NOSIGNAL) == sizeof args);
}

/* What a call has returned: a value, or an error number made negative. */
static inline int64_t target_result(const target *t)
{
    int64_t result;

    CHECK(recv(t->socket, &result, sizeof result, 0) == sizeof result);
    return result;
}

/* Waits for it to die. */
static inline int target_wait(const target *t)
{
    int status;

    CHECK(waitpid(t->pid, &status, 0) == t->pid);
    return status;
}

/* Lets it end, which it does by itself when nobody talks to it any more. */
static inline void target_end(const target *t)
{
    close(t->socket);
    CHECK_INT(target_wait(t), 0);
}

static inline void target_kill(const target *t)
{
    CHECK(kill(t->pid, SIGKILL) == 0);
    CHECK_INT(target_wait(t), SIGKILL);
    close(t->socket);
}

#endif
