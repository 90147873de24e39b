/* What every test here uses: checks that say where they failed, and an alarm against hanging. */

#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unotify.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

/* The expression evaluates to that number. */
#define CHECK_INT(expression, expected) \
    check_int(__FILE__, __LINE__, #expression, (expression), (expected))

/* The call returns that status; anything but UNOTIFY_OK also sets errno and leaves a sentence. */
#define CHECK_STATUS(call, expected) \
    check_status(__FILE__, __LINE__, #call, (errno = 0, (call)), (expected))

#define OK(call) CHECK_STATUS(call, UNOTIFY_OK)

static inline void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", file, line, what, strerror(errno));
    _exit(1);
}

static inline void check_int(const char *file, int line, const char *what, int64_t got,
                             int64_t expected)
{
    if (got == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, (long long)got,
            (long long)expected);
    _exit(1);
}

static inline void check_status(const char *file, int line, const char *what, unotify_status got,
                                unotify_status expected)
{
    int error = errno;
    char sentence[512] = "";

    if (got != UNOTIFY_OK)
        unotify_last_error(sentence, sizeof sentence);
    if (got != expected) {
        fprintf(stderr, "%s:%d: %s is %s, not %s (%s; errno: %s)\n", file, line, what,
                unotify_status_name(got), unotify_status_name(expected), sentence, strerror(error));
        _exit(1);
    }
    if (got != UNOTIFY_OK && (error == 0 || sentence[0] == '\0')) {
        fprintf(stderr, "%s:%d: %s fails without errno or sentence\n", file, line, what);
        _exit(1);
    }
    errno = error;
}

/* The thread's last error is that sentence, or one with that in it. */
#define CHECK_SAID(sentence) check_said(__FILE__, __LINE__, (sentence), 1)
#define CHECK_SAID_OF(part) check_said(__FILE__, __LINE__, (part), 0)

static inline void check_said(const char *file, int line, const char *expected, int whole)
{
    int error = errno;
    char said[512] = "";

    unotify_last_error(said, sizeof said);
    if (whole ? strcmp(said, expected) != 0 : strstr(said, expected) == NULL) {
        fprintf(stderr, "%s:%d: it says `%s`, which %s `%s`\n", file, line, said,
                whole ? "is not" : "does not have", expected);
        _exit(1);
    }
    errno = error;
}

/* How much slower than the machines that the limits were chosen on this one is: an emulated one. */
static inline unsigned slowness(void)
{
    const char *text = getenv("UNOTIFY_TEST_SLOWNESS");
    unsigned long factor = text ? strtoul(text, NULL, 10) : 1;

    return factor > 1 ? (unsigned)factor : 1;
}

/* A limit on how long something takes, in whatever unit, as long as it is on such a machine. */
static inline int slowed(int limit)
{
    return limit * (int)slowness();
}

/*
 * Runs one test after the other. Whatever hangs is ended by the alarm. UNOTIFY_TEST_ONLY names
 * those that are to run, with spaces between; a question mark has their names told instead.
 */
typedef struct {
    const char *name;
    void (*run)(void);
} check_case;

#define CASE(function) { #function, function }

/* Whether a list with spaces between has the name. */
static inline int names(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = strstr(list, name); at; at = strstr(at + 1, name))
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return 1;
    return 0;
}

static inline int check_run(const check_case *cases, size_t n)
{
    const char *only = getenv("UNOTIFY_TEST_ONLY");
    int asks = only && strcmp(only, "?") == 0;
    int ran = !only;

    alarm(60 * slowness());
    for (size_t i = 0; i < n; i++) {
        if (only && !asks && !names(only, cases[i].name))
            continue;
        ran = 1;
        printf("%s\n", cases[i].name);
        if (asks)
            continue;
        fflush(stdout);
        cases[i].run();
    }
    return ran ? 0 : 1;
}

#define RUN(...)                                                    \
    do {                                                            \
        const check_case cases_[] = { __VA_ARGS__ };                \
        return check_run(cases_, sizeof cases_ / sizeof cases_[0]); \
    } while (0)

#endif
