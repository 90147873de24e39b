/*
 * Tries to connect to a port of this machine in each way that the kernel has for this architecture,
 * where nobody listens. Exits with 0 if each was refused before it was tried.
 *
 *     connect_anyhow PORT
 */
#define _GNU_SOURCE

#include <errno.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int tried;

static void say(const char *way, long result)
{
    printf("%s: %s\n", way, result < 0 ? strerror(errno) : "it works");
    tried += result >= 0 || errno == ECONNREFUSED;
}

static int new_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

#ifdef SYS_socketcall
static void say_socketcall(const char *way, long call, const void *second, long third, long fourth,
                           const void *fifth, long sixth)
{
    long args[6] = { new_socket(), (long)second, third, fourth, (long)fifth, sixth };

    say(way, syscall(SYS_socketcall, call, args));
}
#endif

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    char byte[1] = "x";
    struct iovec piece = { byte, sizeof byte };
    struct mmsghdr message = { .msg_hdr = { &to, sizeof to, &piece, 1, NULL, 0, 0 } };
    const long fast = MSG_FASTOPEN | MSG_NOSIGNAL;

    if (argc != 2)
        return 2;
    to.sin_port = htons((in_port_t)atoi(argv[1]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
#ifdef SYS_connect
    say("connect", syscall(SYS_connect, new_socket(), &to, sizeof to));
    say("sendto", syscall(SYS_sendto, new_socket(), byte, 1L, fast, &to, sizeof to));
    say("sendmsg", syscall(SYS_sendmsg, new_socket(), &message.msg_hdr, fast));
    say("sendmmsg", syscall(SYS_sendmmsg, new_socket(), &message, 1L, fast));
#endif
#ifdef SYS_socketcall
    say_socketcall("connect by socketcall", SYS_CONNECT, &to, sizeof to, 0, NULL, 0);
    say_socketcall("send by socketcall", SYS_SEND, byte, 1, fast, NULL, 0);
    say_socketcall("sendto by socketcall", SYS_SENDTO, byte, 1, fast, &to, sizeof to);
    say_socketcall("sendmsg by socketcall", SYS_SENDMSG, &message.msg_hdr, fast, 0, NULL, 0);
    say_socketcall("sendmmsg by socketcall", SYS_SENDMMSG, &message, 1, fast, NULL, 0);
#endif
    return tried ? 1 : 0;
}
