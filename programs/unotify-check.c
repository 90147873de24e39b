/*
 * Says whether programs can be supervised here, and what of it does not work and why.
 *
 *     unotify-check [--json]
 *     unotify-check --help | --version
 *
 * It tries: loads filters, receives and answers calls, and reads the memory of a child of its own and
 * exchanges descriptors with it. So it tells what the kernel would do from what a container's seccomp
 * profile, AppArmor or Yama lets it do. Exits with 0 if programs can be supervised, be it without this
 * or that, with 1 if not, and with 2 if it was called wrongly.
 */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unotify.h>

enum { EACH_WAIT_MS = 5000, ALL_S = 60 };

static const char USAGE[] = "usage: unotify-check [--json]\n"
                            "       unotify-check --help | --version\n";

static int json;

/* What keeps a process from looking into others, or from making a call, where it can be read. */
static const struct {
    const char *name, *file, *field;
} CIRCUMSTANCES[] = {
    { "seccomp", "/proc/self/status", "Seccomp:" }, /* 2: a filter is on this process */
    { "no_new_privs", "/proc/self/status", "NoNewPrivs:" },
    { "capabilities", "/proc/self/status", "CapEff:" },
    { "ptrace_scope", "/proc/sys/kernel/yama/ptrace_scope", NULL },
    { "apparmor", "/proc/self/attr/apparmor/current", NULL },
    { "security_label", "/proc/self/attr/current", NULL },
};

enum { N_CIRCUMSTANCES = sizeof CIRCUMSTANCES / sizeof *CIRCUMSTANCES };

static void put_string(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;

    putchar('"');
    for (; *c; c++)
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f) /* as if it were Latin-1: what is read may be anything */
            printf("\\u%04x", *c);
        else
            putchar(*c);
    putchar('"');
}

/* A line of a file, or what stands behind a field's name; NULL if there is none. */
static const char *read_line(const char *file, const char *field, char *line, int size)
{
    FILE *stream = fopen(file, "re");
    const char *found = NULL;

    if (!stream)
        return NULL;
    while (!found && fgets(line, size, stream)) {
        line[strcspn(line, "\n")] = '\0';
        if (!field)
            found = line;
        else if (strncmp(line, field, strlen(field)) == 0)
            found = line + strlen(field) + strspn(line + strlen(field), " \t");
    }
    fclose(stream);
    return found && *found ? found : NULL;
}

static void show_circumstances(void)
{
    char line[512];
    const char *value;
    int i, shown = 0;

    fputs(json ? ",\n  \"circumstances\": {" : "\n", stdout);
    for (i = 0; i < N_CIRCUMSTANCES; i++) {
        value = read_line(CIRCUMSTANCES[i].file, CIRCUMSTANCES[i].field, line, sizeof line);
        if (!value)
            continue;
        if (json) {
            fputs(shown++ ? ", " : " ", stdout);
            put_string(CIRCUMSTANCES[i].name);
            fputs(": ", stdout);
            put_string(value);
        } else {
            printf("        %-15s %s\n", CIRCUMSTANCES[i].name, value);
        }
    }
    if (json)
        fputs(" }\n}\n", stdout);
}

static void show_part(const unotify_probe_part *part, size_t index)
{
    const char *outcome = part->outcome == UNOTIFY_PROBE_WORKS   ? "works"
                          : part->outcome == UNOTIFY_PROBE_FAILS ? "fails"
                                                                 : "not tried";

    if (json) {
        fputs(index ? ",\n    { \"name\": " : "\n    { \"name\": ", stdout);
        put_string(part->name);
        printf(", \"basic\": %s, \"outcome\": ", part->is_basic ? "true" : "false");
        put_string(outcome);
        printf(", \"errno\": %d, \"detail\": ", part->errnum);
        put_string(part->detail);
        fputs(" }", stdout);
    } else {
        printf("%-9s %-15s %s\n",
               part->outcome == UNOTIFY_PROBE_WORKS   ? "ok"
               : part->outcome == UNOTIFY_PROBE_FAILS ? "FAILS"
                                                      : "-",
               part->name, part->detail);
    }
}

/* Its exit status. */
static int check(void)
{
    char sentence[256];
    struct utsname system;
    unotify_probe *probe;
    unotify_probe_part part;
    size_t index;
    int works;

    if (uname(&system) != 0)
        strcpy(system.release, "unknown");
    if (unotify_probe_new(EACH_WAIT_MS, &probe)) {
        unotify_last_error(sentence, sizeof sentence);
        fprintf(stderr, "unotify-check: %s\n", sentence);
        return 1;
    }
    works = unotify_probe_basics_work(probe);
    if (json) {
        fputs("{\n  \"version\": ", stdout);
        put_string(unotify_version());
        fputs(", \"kernel\": ", stdout);
        put_string(system.release);
        printf(", \"basics_work\": %s,\n  \"parts\": [", works ? "true" : "false");
    } else {
        printf("libunotify %s on Linux %s\n\n", unotify_version(), system.release);
    }
    memset(&part, 0, sizeof part);
    part.size = sizeof part;
    for (index = 0; unotify_probe_get(probe, index, &part) == UNOTIFY_OK; index++)
        show_part(&part, index);
    if (json)
        fputs("\n  ]", stdout);
    show_circumstances();
    if (!json)
        printf("\nPrograms can%s be supervised here.\n", works ? "" : "not");
    unotify_probe_free(probe);
    return fflush(stdout) == 0 && works ? 0 : 1;
}

int main(int argc, char **argv)
{
    pid_t child;
    int wstatus;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("unotify-check of libunotify %s\n", unotify_version()) < 0;
    if (argc == 2 && strcmp(argv[1], "--json") == 0) {
        json = 1;
    } else if (argc != 1) {
        fputs(USAGE, stderr);
        return 2;
    }
    /* In a copy: there are filters that kill who makes a call that they do not like. */
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left to tell */
        alarm(ALL_S);
        _exit(check());
    }
    while (child > 0 && waitpid(child, &wstatus, 0) < 0)
        ;
    if (child > 0 && WIFEXITED(wstatus))
        return WEXITSTATUS(wstatus);
    if (json)
        fputs("{ \"basics_work\": false, \"parts\": [], \"error\": ", stdout);
    if (child < 0)
        fputs(json ? "\"cannot fork\" }\n" : "unotify-check: cannot fork\n",
              json ? stdout : stderr);
    else
        fprintf(json ? stdout : stderr,
                json ? "\"killed by signal %d%s\" }\n" : "unotify-check: killed by signal %d%s\n",
                WTERMSIG(wstatus),
                WTERMSIG(wstatus) == SIGSYS ? ": a seccomp filter on this process (a container's "
                                              "profile?) forbids a call that it takes"
                : WTERMSIG(wstatus) == SIGALRM ? ": it takes too long"
                                               : "");
    return 1;
}
