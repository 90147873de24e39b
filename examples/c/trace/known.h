/* The calls by number: what each is called, how it is shown, and how often it came. */
#ifndef KNOWN_H
#define KNOWN_H

#include "calls.h"
#include "line.h"

#include <unotify.h>

struct known {
    char name[64];
    const struct call *call;
    uint64_t count;
};

/* Whether the words of this architecture have 32 bits. */
int is_narrow(uint32_t arch);

/* The call with this number. Never NULL; the caller may count in it. */
struct known *known_by_number(uint32_t arch, int number);

/* The call that socketcall(2) makes for this first argument; NULL if there is none. */
struct known *known_socket_call(uint64_t number);

/* Puts a table of how often each call came, with the most frequent first. */
void put_counts(struct line *line);

#endif
