/*
 * Opens a path over and over while a second thread makes it mean something else.
 *
 *     race_open link|memory DIRECTORY SECRET TRIES
 *
 * DIRECTORY holds the file `public`, which begins with a p; SECRET is a file elsewhere. With `link`
 * DIRECTORY/link is a symbolic link that leads to one or the other by turns; with `memory` it is
 * the bytes of the path that change. Fails if what is opened ever begins with anything but a p, or if
 * one of the outcomes was never seen, for then there was no race.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char link_path[PATH_MAX], other_path[PATH_MAX];
static char good[PATH_MAX], bad[PATH_MAX], shared[PATH_MAX];
static volatile int over;

static void *swap_links(void *unused)
{
    while (!over)
        if (renameat2(AT_FDCWD, link_path, AT_FDCWD, other_path, RENAME_EXCHANGE) != 0)
            abort();
    return unused;
}

/* Byte by byte, so that a path of both is seen as well. */
static void overwrite(const char *path)
{
    volatile char *to = shared;

    do
        *to++ = *path;
    while (*path++);
}

static void *swap_bytes(void *unused)
{
    while (!over) {
        overwrite(bad);
        usleep(1);
        overwrite(good);
        usleep(1);
    }
    return unused;
}

int main(int argc, char **argv)
{
    long tries, i, opened = 0, refused = 0;
    int by_link;
    pthread_t thread;

    if (argc != 5)
        return 2;
    by_link = strcmp(argv[1], "link") == 0;
    snprintf(good, sizeof good, "%s/public", argv[2]);
    snprintf(bad, sizeof bad, "%s", argv[3]);
    snprintf(link_path, sizeof link_path, "%.4000s/link", argv[2]);
    snprintf(other_path, sizeof other_path, "%.4000s/other", argv[2]);
    snprintf(shared, sizeof shared, "%s", by_link ? link_path : good);
    unlink(link_path);
    unlink(other_path);
    if (symlink(good, link_path) != 0 || symlink(bad, other_path) != 0 ||
        pthread_create(&thread, NULL, by_link ? swap_links : swap_bytes, NULL) != 0) {
        perror("race_open");
        return 1;
    }
    tries = atol(argv[4]);
    for (i = 0; i < tries; i++) {
        int fd = open(shared, O_RDONLY | O_CLOEXEC);
        char first = 0;

        if (fd < 0) {
            /* With bytes of both, the path leads nowhere. */
            if (errno != EACCES && (by_link || errno != ENOENT)) {
                perror(shared);
                return 1;
            }
            refused++;
            continue;
        }
        if (read(fd, &first, 1) != 1 || first != 'p') {
            fprintf(stderr, "got through after %ld tries\n", i);
            return 1;
        }
        close(fd);
        opened++;
    }
    over = 1;
    pthread_join(thread, NULL);
    printf("%ld opened, %ld refused\n", opened, refused);
    return opened == 0 || refused == 0;
}
