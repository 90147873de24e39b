/* Which calls are traced, as -e says. */
#ifndef CHOICE_H
#define CHOICE_H

#include <unotify.h>

/* Makes a filter that notifies the chosen calls, or those of the default if `chosen` is NULL. NULL
 * when that cannot be, which was said on standard error then. */
unotify_filter *make_filter(const char *chosen);

/* The calls that are left out by default, as a list. */
extern const char QUIET[];

#endif
