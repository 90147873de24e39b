/* How long it takes to make a supervisor, and to free one.
 *
 *   make-supervisor [-t MILLISECONDS]
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <unotify.h>

#define MOST 100000

static double took[MOST];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	double milliseconds = 300;
	int option, number = 0;

	while ((option = getopt(argc, argv, "t:")) != -1) {
		if (option != 't')
			return 2;
		milliseconds = atof(optarg);
	}
	for (double end = now() + milliseconds * 1e6; now() < end && number < MOST; number++) {
		unotify_supervisor *supervisor;
		double begun = now();

		if (unotify_supervisor_new(NULL, &supervisor) != UNOTIFY_OK) {
			fputs("cannot make a supervisor\n", stderr);
			return 1;
		}
		took[number] = now() - begun;
		unotify_supervisor_free(supervisor);
	}
	qsort(took, number, sizeof *took, by_time);
	printf("ns_per_call %.0f\nsupervisors %d\n", took[number / 2], number);
	return 0;
}
