/*
 * Makes a node: exits with 0, or with the error number.
 *
 *     make_node [-r ROOT] [-u USER] PATH f|r|c|b [MAJOR MINOR]
 *
 * with that root directory (from inside of which PATH counts) and as that user and group.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    dev_t device = 0;
    mode_t mode;
    int option;

    while ((option = getopt(argc, argv, "+r:u:")) != -1) {
        unsigned id = (unsigned)atoi(optarg);

        if (option == 'r' && (chroot(optarg) != 0 || chdir("/") != 0))
            return 200;
        if (option == 'u' &&
            (setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0))
            return 201;
    }
    if (argc - optind < 2)
        return 202;
    switch (argv[optind + 1][0]) {
    case 'f':
        mode = S_IFIFO;
        break;
    case 'c':
        mode = S_IFCHR;
        break;
    case 'b':
        mode = S_IFBLK;
        break;
    default:
        mode = S_IFREG;
    }
    if (argc - optind > 3)
        device = makedev((unsigned)atoi(argv[optind + 2]), (unsigned)atoi(argv[optind + 3]));
    return mknod(argv[optind], mode | 0640, device) == 0 ? 0 : errno;
}
