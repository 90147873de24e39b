/* A target that opens and closes a file in a loop.
 *
 *   open-file PATH [-t MILLISECONDS]
 *
 * Written to standard output: the time per open and close.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 16, WARM_UP = 1000 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void open_file(const char *path, long times)
{
	while (times-- > 0) {
		int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			perror(path), exit(1);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	double limit = 300e6, start, end;
	long calls = 0;

	if (argc == 4 && strcmp(argv[2], "-t") == 0)
		limit = atof(argv[3]) * 1e6;
	else if (argc != 2)
		return 2;
	open_file(argv[1], WARM_UP);
	start = now();
	do {
		open_file(argv[1], BATCH);
		calls += BATCH;
		end = now();
	} while (end - start < limit);
	printf("calls %ld\nns_per_call %.2f\n", calls, (end - start) / calls);
	return 0;
}
