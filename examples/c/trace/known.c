#include "known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Higher numbers are rare, and are looked up each time. */
enum { NUMBERS = 1024, SOCKET_CALLS = 32 };

/* Of the native architecture, and of its 32-bit sibling. Filled in as they come: with one worker no
 * two handlers run at the same time, but for calls that read a target's memory. */
static struct known known[2][NUMBERS];
static struct known socket_calls[SOCKET_CALLS];
static struct known others = { "others", NULL, 0 };

int is_narrow(uint32_t arch)
{
    return arch != unotify_arch_native() || sizeof(long) == 4;
}

struct known *known_by_number(uint32_t arch, int number)
{
    struct known *found = &known[arch != unotify_arch_native()][0];

    if (number < 0 || number >= NUMBERS) {
        others.call = call_by_name("", 0);
        return &others;
    }
    found += number;
    if (!found->call) {
        if (unotify_syscall_name(arch, number, found->name, sizeof found->name))
            snprintf(found->name, sizeof found->name, "syscall_%d", number);
        found->call = call_by_name(found->name, is_narrow(arch));
    }
    return found;
}

struct known *known_socket_call(uint64_t number)
{
    const char *name = socket_call_name((unsigned long)number);

    if (!name)
        return NULL;
    if (!socket_calls[number].call) {
        strcpy(socket_calls[number].name, name);
        socket_calls[number].call = call_by_name(name, 1);
    }
    return &socket_calls[number];
}

static int by_name(const void *left, const void *right)
{
    return strcmp((*(struct known *const *)left)->name, (*(struct known *const *)right)->name);
}

static int by_count(const void *left, const void *right)
{
    uint64_t l = (*(struct known *const *)left)->count, r = (*(struct known *const *)right)->count;

    return l != r ? (l < r ? 1 : -1) : by_name(left, right);
}

static void put_count(struct line *line, uint64_t count, const char *name)
{
    char text[96];

    snprintf(text, sizeof text, "%9llu %s\n", (unsigned long long)count, name);
    put(line, text);
}

void put_counts(struct line *line)
{
    static struct known *rows[2 * NUMBERS + SOCKET_CALLS + 1];
    size_t i, n = 0, kept = 0;
    uint64_t total = 0;

    for (i = 0; i < NUMBERS; i++) {
        rows[n++] = &known[0][i];
        rows[n++] = &known[1][i];
    }
    for (i = 0; i < SOCKET_CALLS; i++)
        rows[n++] = &socket_calls[i];
    rows[n++] = &others;

    /* One row for a name, which calls of several architectures may have. */
    qsort(rows, n, sizeof *rows, by_name);
    for (i = 0; i < n; i++) {
        if (rows[i]->count == 0)
            continue;
        total += rows[i]->count;
        if (kept > 0 && strcmp(rows[kept - 1]->name, rows[i]->name) == 0)
            rows[kept - 1]->count += rows[i]->count;
        else
            rows[kept++] = rows[i];
    }
    qsort(rows, kept, sizeof *rows, by_count);

    put(line, "    calls syscall\n--------- ----------------\n");
    for (i = 0; i < kept; i++)
        put_count(line, rows[i]->count, rows[i]->name);
    put(line, "--------- ----------------\n");
    put_count(line, total, "total");
}
