/* Shows a call's arguments: numbers, names, and what the target has in its memory. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "calls.h"
#include "line.h"

#include <unotify.h>

/* The most that -s may be. */
enum { STRING_MAX = 4096 };

/* A call that is being shown. */
struct view {
    unotify_notification *notification;
    const uint64_t *arguments;
    int is_narrow;       /* The target's words have 32 bits. */
    size_t string_limit; /* So much of a string is shown, but for paths. */
    int with_paths;      /* Descriptors are shown with the path of what they are open on. */
    struct line *line;
};

/* Puts the arguments of a call, with commas between them. */
void put_arguments(const struct view *view, const struct call *call);

/* Copies `count` words of the target's into `words`. 1, or 0 when they cannot be read. */
int read_words(const struct view *view, uint64_t address, uint64_t *words, size_t count);

#endif
