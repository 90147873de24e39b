/*
 * Connects over and over while a second thread changes the port in the address.
 *
 *     race_connect GOOD BAD TRIES
 *
 * Listens on both ports itself. Fails if anything ever connects to BAD, or if one of the outcomes
 * was never seen, for then there was no race. 77 when the ports are taken.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in shared;
static in_port_t good, bad;

static void *swap_ports(void *unused)
{
    for (;;) {
        *(volatile in_port_t *)&shared.sin_port = bad;
        *(volatile in_port_t *)&shared.sin_port = good;
    }
    return unused;
}

static int listen_on(in_port_t port, int flags)
{
    struct sockaddr_in at = shared;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    at.sin_port = port;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 64) != 0)
        exit(errno == EADDRINUSE ? 77 : 1);
    return fd;
}

static void *accept_all(void *listener)
{
    for (;;)
        close(accept(*(int *)listener, NULL, NULL));
    return NULL;
}

int main(int argc, char **argv)
{
    const struct linger at_once = { 1, 0 }; /* so that no port is kept waiting */
    long i, connected = 0, refused = 0;
    int good_end, bad_end;
    pthread_t thread;

    if (argc != 4)
        return 2;
    good = htons((in_port_t)atoi(argv[1]));
    bad = htons((in_port_t)atoi(argv[2]));
    shared.sin_family = AF_INET;
    shared.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    good_end = listen_on(good, 0);
    bad_end = listen_on(bad, SOCK_NONBLOCK);
    pthread_create(&thread, NULL, accept_all, &good_end);
    pthread_create(&thread, NULL, swap_ports, NULL);

    for (i = 0; i < atol(argv[3]); i++) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        if (connect(fd, (struct sockaddr *)&shared, sizeof shared) == 0) {
            connected++;
            if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_port != good) {
                fprintf(stderr, "connected after %ld tries\n", i);
                return 1;
            }
        } else if (errno == EACCES) {
            refused++;
        } else {
            perror("connect");
            return 1;
        }
        close(fd);
    }
    if (accept(bad_end, NULL, NULL) >= 0 || errno != EAGAIN) {
        fputs("somebody has connected\n", stderr);
        return 1;
    }
    printf("%ld connected, %ld refused\n", connected, refused);
    return connected == 0 || refused == 0;
}
