/*
 * Shows the system calls of a program and of all it starts, and lets them go on: a small strace
 * that stops nothing and takes a fraction of its time. `trace --help` says how it is used.
 *
 * options.c reads what is asked for, choice.c makes the filter, known.c and calls.c say what a call
 * is, arguments.c, structures.c and names.c show it, and line.c writes it down:
 * cc -std=c99 *.c -o trace $(pkg-config --cflags --libs unotify)
 */
#define _GNU_SOURCE

#include "arguments.h"
#include "choice.h"
#include "known.h"
#include "line.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is asked for, and what has come of it. */
struct trace {
    struct options options;
    int fd;          /* where lines go */
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
    view.string_limit = trace->options.string_limit;
    view.with_paths = trace->options.with_paths;
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

    if (!trace->options.only_counts)
        show_call(trace, notification, known, arguments);
    switch (unotify_notification_reply_continue(notification)) {
    case UNOTIFY_OK:
        known->count++;
        break;
    case UNOTIFY_ERR_GONE:
        if (!trace->options.only_counts) {
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

/* What writing would be ended by becomes an error. A handler, as the program is to have the default
 * of each signal. */
static void survive_writing(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = ignore;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

/* Runs the program. -1 with its wait status, or the status to exit with when it did not run. */
static int run(struct trace *trace, const unotify_filter *filter, int *wstatus)
{
    char **program = trace->options.program;
    unotify_supervisor *supervisor;
    unotify_status status;
    int error;

    if (unotify_supervisor_new(NULL, &supervisor) ||
        unotify_supervisor_on_default(supervisor, show_and_continue, trace)) {
        complain("set up");
        return 1;
    }
    survive_writing();
    status = unotify_supervisor_stand_in_for(
        supervisor, filter, program[0], program, NULL,
        &UNOTIFY_OPTS(unotify_spawn_opts, .flags = UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH), wstatus);
    error = errno;
    if (status && status != UNOTIFY_ERR_HANDLER)
        complain(program[0]);
    unotify_supervisor_free(supervisor);
    if (status == UNOTIFY_OK)
        return -1;
    if (status == UNOTIFY_ERR_SYSTEM || status == UNOTIFY_ERR_PERMISSION)
        return error == ENOENT ? 127 : 126;
    return 1;
}

static int fails(const char *file)
{
    fprintf(stderr, "trace: %s: %s\n", file ? file : "standard error", strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    struct trace trace = { .fd = STDERR_FILENO };
    unotify_filter *filter;
    int wstatus, status = read_options(argc, argv, &trace.options);

    if (status >= 0)
        return status;
    filter = make_filter(trace.options.chosen);
    if (!filter)
        return 1;
    if (trace.options.file) { /* Not for the program: it closes on exec. */
        trace.fd = open(trace.options.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (trace.fd < 0)
            return fails(trace.options.file);
    }

    status = run(&trace, filter, &wstatus);
    unotify_filter_free(filter);
    if (trace.options.only_counts) {
        static struct line table;

        put_counts(&table);
        write_out(&trace, &table);
    }
    if (trace.fd != STDERR_FILENO && close(trace.fd) && !trace.write_error)
        trace.write_error = errno;
    errno = trace.write_error;
    if (errno)
        return fails(trace.options.file);
    if (status < 0)
        unotify_exit_like(wstatus);
    return status;
}
