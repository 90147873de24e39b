/*
 * The target that target.h starts: loads a filter by hand that notifies getppid(2), sends the
 * listener over the socket it was given, then makes that call whenever it is told to.
 */

#define _GNU_SOURCE
#include "target.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static int channel;
static sigset_t sigusr1;

static void fill_memory(void)
{
    void *at = (void *)(uintptr_t)TARGET_MEMORY;
    target_memory *memory = mmap(at, sizeof *memory, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    CHECK((void *)memory == at);
    strcpy(memory->path, "/dev/null");
    strcpy(memory->text, "some text");
    memory->pointers[0] = TARGET_AT(path);
    memory->pointers[1] = TARGET_AT(text);
}

static int load_filter(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TARGET_CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof program / sizeof program[0], program };

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        &filter);
}

static void send_descriptor(int fd)
{
    char byte = 'L';
    struct iovec data = { &byte, 1 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { 0 };
    struct cmsghdr *header;

    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    CHECK(sendmsg(channel, &message, 0) == 1);
}

static void call_and_tell(const uint64_t *args)
{
    long value = syscall(TARGET_CALL, args[0], args[1]);
    int64_t result = value == -1 ? -errno : value;

    (void)!send(channel, &result, sizeof result, MSG_NOSIGNAL);
}

static void *make_call(void *passed)
{
    uint64_t *args = passed;

    CHECK(pthread_sigmask(SIG_UNBLOCK, &sigusr1, NULL) == 0);
    if (args[1] & TARGET_FORKS) {
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            call_and_tell(args);
            _exit(0);
        }
        CHECK(waitpid(child, NULL, 0) == child);
    } else {
        call_and_tell(args);
    }
    free(args);
    return NULL;
}

/* SIGUSR1 interrupts the calls, which are made again then. */
static void do_nothing(int signal)
{
}

int main(int argc, char **argv)
{
    int listener;
    uint64_t args[2];

    CHECK(argc == 2);
    channel = atoi(argv[1]);
    signal(SIGUSR1, do_nothing);
    sigemptyset(&sigusr1);
    sigaddset(&sigusr1, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &sigusr1, NULL) == 0);
    fill_memory();
    listener = load_filter();
    CHECK(listener >= 0);
    send_descriptor(listener);
    close(listener);

    while (recv(channel, args, sizeof args, 0) == sizeof args) {
        pthread_t thread;
        uint64_t *passed = malloc(sizeof args);

        CHECK(passed != NULL);
        memcpy(passed, args, sizeof args);
        CHECK(pthread_create(&thread, NULL, make_call, passed) == 0);
        CHECK(pthread_detach(thread) == 0);
    }
    _exit(0);
}
