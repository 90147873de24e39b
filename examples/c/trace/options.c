#define _GNU_SOURCE
#include "options.h"

#include "arguments.h"
#include "choice.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: trace [-cfy] [-e CALLS] [-o FILE] [-s SIZE] [--] PROGRAM [ARGUMENT...]\n";

static const char HELP[] =
    "Shows the system calls of a program and of all that it starts, on standard error.\n"
    "\n"
    "  -e CALLS    which: names with commas between them, the sets %file, %network and\n"
    "              %process, all, or ! and those that are not to be shown; ?NAME need not\n"
    "              exist. \"trace=\" may stand in front.\n"
    "  -c          count the calls instead, and show the table at the end\n"
    "  -o FILE     write to FILE\n"
    "  -s SIZE     show so many bytes of a string (32), at most 4096; paths are whole\n"
    "  -y          show what a descriptor is open on: 3</etc/passwd>\n"
    "  -f          nothing: threads and children are always followed\n"
    "  -h, --help, -V, --version\n"
    "\n"
    "A call is shown when it is made: [THREAD] NAME(ARGUMENTS). The kernel then carries it out,\n"
    "and nobody is told what came of it: so there are no results here, nor what a call wrote into\n"
    "the program's memory. Another thread may change memory that was shown before the kernel\n"
    "reads it.\n"
    "\n"
    "A signal that comes before a call was seen interrupts it, which then fails (EINTR) unless\n"
    "the signal's handler asks for a restart. So without -e all calls are shown, but for those\n"
    "that few programs expect to fail so:\n";

static const char MORE_HELP[] =
    "\n"
    "Programs get no rights by being executed (no_new_privs): sudo does not work in here.\n"
    "Ends when the last of them has, and like the program: with its exit status, or by the same\n"
    "signal. What a terminal or a shell does to it is for the program (^C, ^Z, SIGTERM). 127 if\n"
    "there is no such program and 126 if it may not be executed; 2 for a wrong option, and 1 if\n"
    "something else went wrong. When it cannot write it kills the program; what that has\n"
    "started gets ENOSYS for each call.\n";

/* A list with commas in it, as a paragraph. */
static void print_list(const char *list)
{
    size_t column = 0, length;

    for (; *list; list += length) {
        length = strcspn(list, ",") + 1;
        if (list[length - 1] == '\0')
            length--;
        if (column + length > 90) {
            putchar('\n');
            column = 0;
        }
        column += length;
        printf("%.*s", (int)length, list);
    }
    putchar('\n');
}

/* The status to exit with after printing to standard output. */
static int said_all(void)
{
    if (fflush(stdout) == 0)
        return 0;
    perror("trace: standard output");
    return 1;
}

static int usage(void)
{
    fputs(USAGE, stderr);
    return 2;
}

int read_options(int argc, char **argv, struct options *options)
{
    static const struct option LONG[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    char *end;
    int option;

    memset(options, 0, sizeof *options);
    options->string_limit = 32;
    while ((option = getopt_long(argc, argv, "+ce:fho:s:Vy", LONG, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->only_counts = 1;
            break;
        case 'e':
            options->chosen = optarg;
            break;
        case 'f':
            break;
        case 'o':
            options->file = optarg;
            break;
        case 's':
            options->string_limit = strtoul(optarg, &end, 10);
            if (end == optarg || *end || options->string_limit > STRING_MAX) {
                fprintf(stderr, "trace: -s: a number up to %d, not %s\n", STRING_MAX, optarg);
                return 2;
            }
            break;
        case 'h':
            printf("%s\n%s", USAGE, HELP);
            print_list(QUIET);
            fputs(MORE_HELP, stdout);
            return said_all();
        case 'V':
            printf("trace of libunotify %s\n", unotify_version());
            return said_all();
        case 'y':
            options->with_paths = 1;
            break;
        default:
            return usage();
        }
    }
    options->program = argv + optind;
    return optind < argc ? -1 : usage();
}
