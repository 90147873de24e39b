/*
 * Connects to one address: exits with 0, or with the error number.
 *
 *     connect_to 4|6 ADDRESS PORT      over TCP
 *     connect_to fast ADDRESS PORT     by sending with MSG_FASTOPEN
 *     connect_to unix PATH
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    struct sockaddr_in v4 = { 0 };
    struct sockaddr_in6 v6 = { 0 };
    struct sockaddr_un local = { 0 };
    const struct sockaddr *to = (const struct sockaddr *)&v4;
    socklen_t size = sizeof v4;
    int fd, result;

    if (argc < 3)
        return 2;
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    local.sun_family = AF_UNIX;
    if (argc > 3)
        v4.sin_port = v6.sin6_port = htons((in_port_t)atoi(argv[3]));
    if (strcmp(argv[1], "6") == 0) {
        inet_pton(AF_INET6, argv[2], &v6.sin6_addr);
        to = (const struct sockaddr *)&v6;
        size = sizeof v6;
    } else if (strcmp(argv[1], "unix") == 0) {
        strncpy(local.sun_path, argv[2], sizeof local.sun_path - 1);
        to = (const struct sockaddr *)&local;
        size = sizeof local;
    } else {
        inet_pton(AF_INET, argv[2], &v4.sin_addr);
    }
    fd = socket(to->sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    if (strcmp(argv[1], "fast") == 0)
        result = (int)sendto(fd, "x", 1, MSG_FASTOPEN, to, size);
    else
        result = connect(fd, to, size);
    return result < 0 ? errno : 0;
}
