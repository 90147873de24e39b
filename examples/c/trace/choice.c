#include "choice.h"

#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A signal can interrupt a call before the supervisor has received it, and programs do not expect
 * that of these (docs/limits.md). They say little to the reader, too. */
const char QUIET[] = "brk,clone,clone3,close,dup2,dup3,fcntl,fcntl64,fork,futex,futex_time64,"
                     "mmap,mmap2,mprotect,mremap,munmap,rt_sigaction,rt_sigprocmask,rt_sigreturn,"
                     "sigaction,sigaltstack,signal,sigprocmask,sigreturn,vfork";

/* Even "all" is without these: a program whose signal handler cannot return crashes. */
static const char NEVER[] = "rt_sigreturn,sigreturn";

static int fails(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "trace: %s: %s\n", what, sentence);
    return -1;
}

/* Does the action for a call. That no architecture has it is an error only if it must exist. */
static int add_call(unotify_filter *filter, uint32_t action, const char *name, int must_exist)
{
    unotify_status status = unotify_filter_add_rule(filter, action, name, NULL, 0);

    if (status == UNOTIFY_ERR_UNKNOWN_SYSCALL && !must_exist)
        return 0;
    return status ? fails("-e") : 0;
}

static int add_set(unotify_filter *filter, uint32_t action, const char *name)
{
    int set = strcmp(name, "file") == 0      ? FILES
              : strcmp(name, "network") == 0 ? NETWORK
              : strcmp(name, "process") == 0 ? PROCESS
                                             : 0;
    size_t i;

    if (set == 0) {
        fprintf(stderr, "trace: -e: there is no set %%%s, but %%file, %%network and %%process\n",
                name);
        return -1;
    }
    for (i = 0; i < N_CALLS; i++)
        if ((CALLS[i].sets & set) && add_call(filter, action, CALLS[i].name, 0))
            return -1;
    return 0;
}

/* Does the action for the names and sets of a list. */
static int add_list(unotify_filter *filter, uint32_t action, const char *list, int must_exist)
{
    while (*list) {
        size_t length = strcspn(list, ",");
        char name[64];

        snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), list);
        list += length + (list[length] == ',');
        if (name[0] == '%'   ? add_set(filter, action, name + 1)
            : name[0] == '?' ? add_call(filter, action, name + 1, 0)
            : name[0]        ? add_call(filter, action, name, must_exist)
                             : 0)
            return -1;
    }
    return 0;
}

/* A filter that does this for every call, also of 32-bit programs. */
static unotify_filter *new_filter(uint32_t default_action)
{
    unotify_filter *filter;

    if (unotify_filter_new(default_action, &filter)) {
        fails("filter");
        return NULL;
    }
    if (unotify_filter_add_arch(filter, unotify_arch_compat())) {
        fails("architecture");
        unotify_filter_free(filter);
        return NULL;
    }
    return filter;
}

unotify_filter *make_filter(const char *chosen)
{
    int all_but = !chosen, must_exist = chosen != NULL;
    const char *list = chosen ? chosen : QUIET;
    unotify_filter *filter;

    if (strncmp(list, "trace=", 6) == 0)
        list += 6;
    if (strcmp(list, "all") == 0) {
        list = NEVER;
        all_but = 1;
        must_exist = 0;
    } else if (list[0] == '!') {
        list++;
        all_but = 1;
    }
    filter = new_filter(all_but ? UNOTIFY_ACTION_NOTIFY : UNOTIFY_ACTION_ALLOW);
    if (filter && (add_list(filter, all_but ? UNOTIFY_ACTION_ALLOW : UNOTIFY_ACTION_NOTIFY, list,
                            must_exist) ||
                   (all_but && add_list(filter, UNOTIFY_ACTION_ALLOW, NEVER, 0)))) {
        unotify_filter_free(filter);
        return NULL;
    }
    return filter;
}
