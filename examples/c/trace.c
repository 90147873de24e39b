/*
 * Shows the chosen system calls of a program and of all it starts, and lets them go on.
 *
 *     trace [-e NAME,NAME...] [-o FILE] -- PROGRAM [ARGUMENT...]
 *
 * Children and threads inherit the filter, so they are followed without further ado. Ends when the
 * last of them has, and like the program.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unotify.h>

/* Traced unless -e says otherwise. Calls that the architecture does not have are left out. */
static const char DEFAULT[] = "execve,execveat,open,openat,openat2,connect,bind,"
                              "unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,kill";

/*
 * How the arguments are shown: d number, D directory descriptor, x flags, o mode, p address,
 * s string. What is not here is shown as six numbers.
 */
static const struct {
    const char *name, *arguments;
} FORMS[] = {
    { "access", "so" },       { "bind", "dpd" },       { "clone", "xpppp" },
    { "close", "d" },         { "chdir", "s" },        { "connect", "dpd" },
    { "execve", "spp" },      { "execveat", "Dsppx" }, { "exit_group", "d" },
    { "faccessat2", "Dsox" }, { "getcwd", "pd" },      { "getdents64", "dpd" },
    { "getuid", "" },         { "ioctl", "dxp" },      { "kill", "dd" },
    { "mkdir", "so" },        { "mkdirat", "Dso" },    { "newfstatat", "Dspx" },
    { "open", "sx" },         { "openat", "Dsx" },     { "openat2", "Dspd" },
    { "pipe2", "px" },        { "read", "dpd" },       { "readlink", "spd" },
    { "rename", "ss" },       { "renameat", "DsDs" },  { "renameat2", "DsDsx" },
    { "rmdir", "s" },         { "socket", "ddd" },     { "stat", "sp" },
    { "statx", "Dsxxp" },     { "unlink", "s" },       { "unlinkat", "Dsx" },
    { "vfork", "" },          { "wait4", "dpxp" },     { "write", "dpd" },
};

static FILE *output;

static void complain(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "trace: %s: %s\n", what, sentence);
}

static const char *arguments_of(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof FORMS / sizeof *FORMS; i++)
        if (strcmp(FORMS[i].name, name) == 0)
            return FORMS[i].arguments;
    return "xxxxxx";
}

static void show_argument(char form, uint64_t value)
{
    if (form == 'd' || (form == 'D' && (int32_t)value != AT_FDCWD))
        fprintf(output, "%ld", (long)(int32_t)value);
    else if (form == 'D')
        fputs("AT_FDCWD", output);
    else if (form == 'o')
        fprintf(output, "0%llo", (unsigned long long)value);
    else if (form != 'x' && value == 0)
        fputs("NULL", output);
    else
        fprintf(output, "0x%llx", (unsigned long long)value);
}

static void show_call(const unotify_request *request)
{
    char name[64];
    const char *forms;
    int i;

    if (unotify_syscall_name(request->arch, request->syscall, name, sizeof name))
        snprintf(name, sizeof name, "syscall_%ld", (long)request->syscall);
    forms = arguments_of(name);
    fprintf(output, "[%ld] %s(", (long)request->pid, name);
    for (i = 0; forms[i]; i++) {
        if (i > 0)
            fputs(", ", output);
        show_argument(forms[i], request->args[i]);
    }
}

/* A filter that notifies the calls of a list of names. Takes the list apart. */
static unotify_filter *make_filter(char *names, int all_must_exist)
{
    /* Programs of the 32-bit sibling would be killed if the filter did not know of it. */
    const char *sibling = strcmp(unotify_arch_name(0), "x86_64") == 0    ? "x86"
                          : strcmp(unotify_arch_name(0), "aarch64") == 0 ? "arm"
                                                                         : NULL;
    unotify_filter *filter;
    unotify_status status;
    uint32_t arch;
    char *name;

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter)) {
        complain("filter");
        return NULL;
    }
    if (sibling &&
        (unotify_arch_from_name(sibling, &arch) || unotify_filter_add_arch(filter, arch)))
        complain(sibling);
    for (name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        status = unotify_filter_notify(filter, name);
        if (status && (all_must_exist || status != UNOTIFY_ERR_UNKNOWN_SYSCALL)) {
            complain("-e");
            unotify_filter_free(filter);
            return NULL;
        }
    }
    return filter;
}

static int32_t show_and_continue(unotify_notification *notification, void *data)
{
    unotify_status answer;

    (void)data;
    show_call(unotify_notification_request(notification));
    answer = unotify_notification_reply_continue(notification);
    if (answer == UNOTIFY_OK)
        fputs(") -> continue\n", output);
    else if (answer == UNOTIFY_ERR_GONE)
        fputs(") -> gone\n", output);
    else
        fprintf(output, ") -> %s\n", unotify_status_message(answer));
    return UNOTIFY_HANDLED;
}

static const char USAGE[] = "usage: trace [-e NAME,NAME...] [-o FILE] -- PROGRAM [ARGUMENT...]\n"
                            "       trace --help | --version\n";

static int usage(void)
{
    fputs(USAGE, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    char standard[sizeof DEFAULT], *names = NULL;
    unotify_filter *filter;
    unotify_supervisor *supervisor;
    int option, fd, wstatus;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("trace of libunotify %s\n", unotify_version()) < 0;
    output = stderr;
    while ((option = getopt(argc, argv, "+e:o:")) != -1) {
        switch (option) {
        case 'e':
            names = optarg;
            break;
        case 'o': /* Not for the program: it closes on exec. */
            fd = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
            if (fd < 0 || !(output = fdopen(fd, "w"))) {
                fprintf(stderr, "trace: %s: %s\n", optarg, strerror(errno));
                return 1;
            }
            break;
        default:
            return usage();
        }
    }
    if (optind >= argc)
        return usage();
    setvbuf(output, NULL, _IOLBF, 0);

    strcpy(standard, DEFAULT);
    filter = make_filter(names ? names : standard, names != NULL);
    if (!filter)
        return 1;
    if (unotify_supervisor_new(NULL, &supervisor) ||
        unotify_supervisor_on_default(supervisor, show_and_continue, NULL)) {
        complain("set up");
        return 1;
    }
    if (unotify_supervisor_stand_in_for(
            supervisor, filter, argv[optind], argv + optind, NULL,
            &UNOTIFY_OPTS(unotify_spawn_opts, .flags = UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH),
            &wstatus)) {
        int error = errno;

        complain(argv[optind]);
        return error == ENOENT ? 127 : 126;
    }
    unotify_supervisor_free(supervisor);
    unotify_filter_free(filter);
    unotify_exit_like(wstatus);
}
