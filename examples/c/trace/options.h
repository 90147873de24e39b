/* What trace is asked to do. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>

struct options {
    const char *chosen; /* the calls, NULL for the default */
    const char *file;   /* to write to, NULL for standard error */
    int only_counts;
    size_t string_limit;
    int with_paths; /* of descriptors */
    char **program; /* and its arguments */
};

/* Reads the options. -1, or the status to exit with when that is all there is to do. */
int read_options(int argc, char **argv, struct options *options);

#endif
