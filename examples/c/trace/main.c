/*
 * Shows the system calls of a program and of all it starts, and lets them go on: a small strace
 * that stops nothing and takes a fraction of its time. `trace --help` says how it is used.
 *
 * choice.c makes the filter, known.c and calls.c say what a call is, arguments.c, structures.c and
 * names.c show it, and line.c writes it down.
 */
#define _GNU_SOURCE

#include "arguments.h"
#include "choice.h"
#include "known.h"
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: trace [-cf] [-e CALLS] [-o FILE] [-s SIZE] [--] PROGRAM [ARGUMENT...]\n";

static const char HELP[] =
    "Shows the system calls of a program and of all that it starts, on standard error.\n"
    "\n"
    "  -e CALLS    which: names with commas between them, the sets %file, %network and\n"
    "              %process, all, or ! and those that are not to be shown; ?NAME need not\n"
    "              exist. \"trace=\" may stand in front.\n"
    "  -c          count the calls instead, and show the table at the end\n"
    "  -o FILE     write to FILE\n"
    "  -s SIZE     show so many bytes of a string (32), at most 4096; paths are whole\n"
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
    "Ends when the last of them has, with the program's exit status, or 128 and the number of\n"
    "the signal that ended it; 127 if there is no such program and 126 if it may not be\n"
    "executed; 2 for a wrong option, and 1 if something else went wrong. When it cannot write\n"
    "it kills the program; what that has started gets ENOSYS for each call.\n";

/* What is asked for, and what has come of it. */
struct trace {
    int fd;
    const char *file; /* NULL for standard error */
    int only_counts;
    size_t string_limit;
    int write_error; /* an error number */
};

static void complain(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "trace: %s: %s\n", what, sentence);
}

static void write_out(struct trace *trace, const struct line *line)
{
    if (!trace->write_error && write_line(trace->fd, line))
        trace->write_error = errno;
}

static void begin_line(struct line *line, pid_t thread, const char *name)
{
    line->length = 0;
    put_char(line, '[');
    put_number(line, thread);
    put(line, "] ");
    put(line, name);
}

static void show_call(struct trace *trace, unotify_notification *notification,
                      const struct known *known, const uint64_t *arguments)
{
    const unotify_request *request = unotify_notification_request(notification);
    struct line line; /* Not shared: a read of memory can last, and another handler run. */
    struct view view;

    view.notification = notification;
    view.arguments = arguments;
    view.is_narrow = is_narrow(request->arch);
    view.string_limit = trace->string_limit;
    view.line = &line;
    begin_line(&line, request->pid, known->name);
    put_char(&line, '(');
    put_arguments(&view, known->call);
    put_char(&line, ')');
    end_line(&line);
    write_out(trace, &line);
}

/* On i386 calls on sockets come by socketcall(2), with their arguments in memory. */
static struct known *find_call(unotify_notification *notification, uint64_t *arguments)
{
    const unotify_request *request = unotify_notification_request(notification);
    struct known *known = known_by_number(request->arch, request->syscall), *socket_call;
    struct view view;

    memcpy(arguments, request->args, sizeof request->args);
    if (strcmp(known->name, "socketcall") == 0 &&
        (socket_call = known_socket_call(arguments[0])) != NULL) {
        memset(&view, 0, sizeof view);
        view.notification = notification;
        view.is_narrow = 1;
        if (read_words(&view, request->args[1], arguments, 6))
            return socket_call;
    }
    return known;
}

static int show_and_continue(unotify_notification *notification, void *data)
{
    struct trace *trace = data;
    uint64_t arguments[6];
    struct known *known = find_call(notification, arguments);
    struct line line;

    if (!trace->only_counts)
        show_call(trace, notification, known, arguments);
    switch (unotify_notification_reply_continue(notification)) {
    case UNOTIFY_OK:
        known->count++;
        break;
    case UNOTIFY_ERR_GONE:
        if (!trace->only_counts) {
            begin_line(&line, unotify_notification_request(notification)->pid, known->name);
            put(&line, ": interrupted before it began");
            end_line(&line);
            write_out(trace, &line);
        }
        break;
    default:
        complain(known->name);
        return UNOTIFY_FAILED;
    }
    return trace->write_error ? UNOTIFY_FAILED : UNOTIFY_HANDLED;
}

static void ignore(int signal)
{
    (void)signal;
}

/* The terminal's signals are for the program, which has its own dispositions. What writing would
 * be ended by becomes an error. */
static void leave_signals_to_program(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = ignore;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

/* Runs the program. Gives the status to exit with. */
static int run(struct trace *trace, const unotify_filter *filter, char **argv)
{
    unotify_supervisor *supervisor;
    unotify_status status;
    int error, wstatus = 0;

    if (unotify_supervisor_new(NULL, &supervisor) ||
        unotify_supervisor_on_default(supervisor, show_and_continue, trace)) {
        complain("set up");
        return 1;
    }
    leave_signals_to_program();
    status =
        unotify_supervisor_run_program(supervisor, filter, argv[0], argv, NULL, NULL, &wstatus);
    error = errno;
    if (status && status != UNOTIFY_ERR_HANDLER)
        complain(argv[0]);
    unotify_supervisor_free(supervisor);
    if (status == UNOTIFY_ERR_SYSTEM || status == UNOTIFY_ERR_PERMISSION)
        return error == ENOENT ? 127 : 126;
    if (status)
        return 1;
    return WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
}

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

int main(int argc, char **argv)
{
    static const struct option LONG[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct trace trace = { .fd = STDERR_FILENO, .file = NULL, .string_limit = 32 };
    const char *chosen = NULL;
    unotify_filter *filter;
    char *end;
    int option, status;

    while ((option = getopt_long(argc, argv, "+ce:fho:s:V", LONG, NULL)) != -1) {
        switch (option) {
        case 'c':
            trace.only_counts = 1;
            break;
        case 'e':
            chosen = optarg;
            break;
        case 'f':
            break;
        case 'o':
            trace.file = optarg;
            break;
        case 's':
            trace.string_limit = strtoul(optarg, &end, 10);
            if (end == optarg || *end || trace.string_limit > STRING_MAX) {
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
        default:
            fputs(USAGE, stderr);
            return 2;
        }
    }
    if (optind >= argc) {
        fputs(USAGE, stderr);
        return 2;
    }
    filter = make_filter(chosen);
    if (!filter)
        return 1;
    if (trace.file) { /* Not for the program: it closes on exec. */
        trace.fd = open(trace.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (trace.fd < 0) {
            fprintf(stderr, "trace: %s: %s\n", trace.file, strerror(errno));
            return 1;
        }
    }

    status = run(&trace, filter, argv + optind);
    unotify_filter_free(filter);
    if (trace.only_counts) {
        static struct line table;

        put_counts(&table);
        write_out(&trace, &table);
    }
    if (trace.fd != STDERR_FILENO && close(trace.fd) && !trace.write_error)
        trace.write_error = errno;
    if (trace.write_error) {
        fprintf(stderr, "trace: %s: %s\n", trace.file ? trace.file : "standard error",
                strerror(trace.write_error));
        return 1;
    }
    return status;
}
