/* The target that every row of the benchmark supervises: processes that call getppid in a loop.
 *
 *   target [-n PROCESSES] [-t MILLISECONDS] [-w WARM_UP_CALLS] [-b BATCH]
 *
 * Each process makes its warm-up calls, meets the others at a barrier, and calls until the time is
 * up, looking at the clock once a batch.  Written to standard output: how many calls were made, and
 * the time per call of all processes together (the inverse of their summed rates).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
	pthread_barrier_t warm;
	struct {
		long calls;
		double seconds;
	} result[];
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void call(long times)
{
	while (times-- > 0)
		syscall(SYS_getppid);
}

static void run(struct shared *shared, int self, long warm_up, long batch, double seconds)
{
	call(warm_up);
	pthread_barrier_wait(&shared->warm);
	double start = now(), end;
	long calls = 0;
	do {
		call(batch);
		calls += batch;
		end = now();
	} while (end - start < seconds);
	shared->result[self].calls = calls;
	shared->result[self].seconds = end - start;
}

int main(int argc, char **argv)
{
	long processes = 1, milliseconds = 300, warm_up = 1000, batch = 16;

	for (int opt; (opt = getopt(argc, argv, "n:t:w:b:")) != -1;) {
		switch (opt) {
		case 'n': processes = atol(optarg); break;
		case 't': milliseconds = atol(optarg); break;
		case 'w': warm_up = atol(optarg); break;
		case 'b': batch = atol(optarg); break;
		default: return 2;
		}
	}

	struct shared *shared = mmap(NULL, sizeof *shared + processes * sizeof *shared->result,
				     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t attr;
	if (shared == MAP_FAILED || pthread_barrierattr_init(&attr) ||
	    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) ||
	    pthread_barrier_init(&shared->warm, &attr, processes))
		return perror("target"), 1;

	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			return perror("target: fork"), 1;
		if (pid == 0) {
			run(shared, i, warm_up, batch, milliseconds / 1e3);
			_exit(0);
		}
	}

	int failed = 0;
	for (int status; wait(&status) > 0;)
		failed |= status;
	if (failed)
		return fputs("target: a process failed\n", stderr), 1;

	long calls = 0;
	double rate = 0;
	for (int i = 0; i < processes; i++) {
		calls += shared->result[i].calls;
		rate += shared->result[i].calls / shared->result[i].seconds;
	}
	printf("calls %ld\nns_per_call %.2f\n", calls, 1e9 / rate);
	return 0;
}
