/* The names of flags and other numbers. */
#ifndef NAMES_H
#define NAMES_H

#include "calls.h"
#include "line.h"

/* Puts the names of a number of one of the kinds of names. What has no name is hexadecimal. */
void put_names(struct line *line, enum kind kind, uint64_t number);

/* Whether a number of this kind has names, so that put_names() can be used. */
int has_names(enum kind kind);

/* The one name of a number of this kind; NULL if it has none. */
const char *name_of(enum kind kind, uint64_t number);

#endif
