/* Makes one call of each kind that the examples answer, and says what came of it: PORT SOCKET. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}

static void say_file(const char *what, int fd)
{
    char buffer[16];

    say(what, fd < 0 ? -1 : read(fd, buffer, sizeof buffer));
    if (fd >= 0)
        close(fd);
}

static void say_connected(const char *what, const void *address, socklen_t length)
{
    int fd = socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM, 0);

    say(what, fd < 0 ? -1 : connect(fd, address, length));
    if (fd >= 0)
        close(fd);
}

/* What a server answers, as far as it comes at once. */
static void say_asked(const struct sockaddr_in *server)
{
    static const char question[] = "GET /it HTTP/1.0\r\n\r\n";
    char answer[256] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)server, sizeof *server) != 0)
        return say("ask", -1);
    say("ask", send(fd, question, sizeof question - 1, MSG_NOSIGNAL));
    recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
    printf("answered: %.12s\n", answer);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    FILE *file;

    if (argc != 3)
        return 2;
    printf("%zu bits, user %ld %ld, group %ld %ld\n", sizeof(void *) * 8, (long)getuid(),
           (long)geteuid(), (long)getgid(), (long)getegid());
    say_file("open", open("/etc/passwd", O_RDONLY));
    say_file("open, not there", open("/no/such/file", O_RDONLY));
    say_file("open a directory", open(".", O_RDONLY | O_DIRECTORY));
    say_file("open an empty name", open("", O_RDONLY));
    say_file("creat", creat("made", 0666));
    umask(077);
    say_file("open to make", open("made narrow", O_WRONLY | O_CREAT | O_EXCL, 0666));
    say_file("open to make again", open("made narrow", O_WRONLY | O_CREAT | O_EXCL, 0666));
    umask(022);
    say("mkfifo", mkfifo("fifo", 0666));
    say("mkfifo again", mkfifo("fifo", 0666));
    say("mknod", mknod("regular", S_IFREG | 0600, 0));
    file = fopen("appended", "a");
    say("fopen", file ? fprintf(file, "a line\n") : -1);
    say("fclose", file ? fclose(file) : -1);
    v4.sin_port = v6.sin6_port = htons((in_port_t)atoi(argv[1]));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr.s6_addr[15] = 1;
    say_connected("IPv4", &v4, sizeof v4);
    say_asked(&v4);
    say_connected("IPv6", &v6, sizeof v6);
    strncpy(local.sun_path, argv[2], sizeof local.sun_path - 1);
    say_connected("Unix", &local, sizeof local);
    strcpy(local.sun_path, "/no/such/socket");
    say_connected("Unix, not there", &local, sizeof local);
    return 3;
}
