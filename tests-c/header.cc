/* The header in C++: what scripts/check compiles in every version of it. */

struct unotify_request; /* Somebody's own header may declare it ahead. */
int syscall_of(const struct unotify_request *request);

#include <unotify.h>

#if !UNOTIFY_VERSION_AT_LEAST(0, 1)
#error "UNOTIFY_VERSION_AT_LEAST"
#endif

int syscall_of(const unotify_request *request)
{
    return request->syscall;
}

/* Options, where UNOTIFY_OPTS is for C alone. */
unotify_status load(const unotify_filter *filter, unotify_listener **listener)
{
    unotify_load_opts opts = {};

    opts.size = sizeof opts;
    opts.flags = UNOTIFY_LOAD_LOG;
    return unotify_filter_load(filter, &opts, listener);
}

unotify_status load_and_refuse(unotify_filter *filter, unotify_listener **listener)
{
    unotify_status status =
        unotify_filter_add_rule(filter, UNOTIFY_ACTION_ERRNO(1), "mount", nullptr, 0);

    return status == UNOTIFY_OK ? load(filter, listener) : status;
}
