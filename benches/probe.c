/* Counts this process's heap allocations, the library's among them, by standing before glibc's. */
#include "probe.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

enum { WARM_UP = 500 };

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static long allocations, notifications, at_warm_up, at_last;

static void count(void)
{
	__atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	count();
	return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	count();
	return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	count();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	count();
	void *block = __libc_memalign(alignment, size);
	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

/* With several workers a count may be off by the few that are under way at the time. */
void probe_notification(void)
{
	long now = __atomic_load_n(&allocations, __ATOMIC_RELAXED);

	if (__atomic_add_fetch(&notifications, 1, __ATOMIC_RELAXED) == WARM_UP)
		__atomic_store_n(&at_warm_up, now, __ATOMIC_RELAXED);
	__atomic_store_n(&at_last, now, __ATOMIC_RELAXED);
}

void probe_report(void)
{
	/* Before anything below allocates. */
	long made = at_last - at_warm_up, seen = notifications - WARM_UP;
	char line[128];
	long peak = 0;

	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "VmHWM: %ld kB", &peak);
	if (status)
		fclose(status);
	printf("peak_rss_kib %ld\n", peak);
	if (seen > 0)
		printf("notifications %ld\nallocations %ld\n", seen, made);
}
