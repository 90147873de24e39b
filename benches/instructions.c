/* Counts the instructions that a supervisor executes outside of the kernel for each notification, by
 * stepping through them one by one: it takes no hardware counters, and no noise changes it.
 *
 *   instructions [-n NOTIFICATIONS] [-l] SUPERVISOR [ARGUMENT]...
 *
 * The supervisor is run as it is for half a second.  Then all of its threads are stopped but the
 * busiest.  That is stepped through from one RECV to the next, and runs freely for a while in between,
 * so that the library does not take its handler for a slow one.
 * Written to standard output: the median of the counts, without the calls of the very next place that
 * libunotify makes behind a system call on some processors, and the median number of those; with -l
 * also the addresses of one notification, each as an offset into the file that is mapped there.
 * x86_64 only.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 100000, SYSCALL_INSTRUCTION = 0x050f };

/* "call" over one byte, the length of "int3". */
static const uint64_t CALL_BEHIND = 0x00000001e8;

static pid_t supervisor, thread;

static void fail(const char *what)
{
	fprintf(stderr, "instructions: %s: %s\n", what, strerror(errno));
	if (supervisor > 0)
		kill(-supervisor, SIGKILL);
	exit(1);
}

#ifdef __x86_64__
static struct user_regs_struct registers(void)
{
	struct user_regs_struct now;
	if (ptrace(PTRACE_GETREGS, thread, NULL, &now))
		fail("registers");
	return now;
}

/* Executes one instruction, or a whole system call. */
static void step(void)
{
	int status, signal = 0;

	do {
		if (ptrace(PTRACE_SINGLESTEP, thread, NULL, (void *)(intptr_t)signal))
			fail("step");
		if (waitpid(thread, &status, __WALL) < 0 || !WIFSTOPPED(status))
			fail("the supervisor has ended");
		signal = WSTOPSIG(status);
	} while (signal != SIGTRAP);
}

/* Whether the next instruction receives a notification. */
static int receives(const struct user_regs_struct *now)
{
	if (now->rax != SYS_ioctl || (uint32_t)now->rsi != (uint32_t)SECCOMP_IOCTL_NOTIF_RECV)
		return 0;
	errno = 0;
	return (ptrace(PTRACE_PEEKTEXT, thread, (void *)now->rip, NULL) & 0xffff) ==
	       SYSCALL_INSTRUCTION;
}

/* Whether the next instruction is a call whose only use is to be made. */
static int is_behind(const struct user_regs_struct *now)
{
	errno = 0;
	uint64_t bytes = ptrace(PTRACE_PEEKTEXT, thread, (void *)now->rip, NULL);
	return !errno && (bytes & 0xffffffffff) == CALL_BEHIND;
}

/* Steps up to the next RECV, which it makes the first instruction of what follows. */
static long count(uint64_t *addresses, long *behind)
{
	struct user_regs_struct now = registers();
	long steps = 0;

	*behind = 0;
	do {
		*behind += is_behind(&now);
		if (steps < MOST)
			addresses[steps] = now.rip;
		step();
		now = registers();
		steps++;
	} while (!receives(&now));
	return steps;
}

static long processor_time(pid_t id)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", supervisor, id);
	FILE *file = fopen(path, "r");
	if (file && fgets(line, sizeof line, file))
		sscanf(strrchr(line, ')') + 1,
		       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	if (file)
		fclose(file);
	return (long)(user + system);
}

/* Stops all threads and chooses the busiest. */
static void attach(void)
{
	char path[64];
	long most = -1;
	int status;

	snprintf(path, sizeof path, "/proc/%d/task", supervisor);
	DIR *threads = opendir(path);
	if (!threads)
		fail(path);
	for (struct dirent *entry; (entry = readdir(threads));) {
		pid_t id = atoi(entry->d_name);
		if (id <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, id, NULL, NULL) ||
		    ptrace(PTRACE_INTERRUPT, id, NULL, NULL))
			fail("attach");
		if (waitpid(id, &status, __WALL) < 0 || !WIFSTOPPED(status))
			fail("the supervisor has ended");
		if (processor_time(id) > most) {
			most = processor_time(id);
			thread = id;
		}
	}
	closedir(threads);
}
/* Lets the thread run for as long as several dozen notifications take. */
static void run_freely(void)
{
	int status;

	if (ptrace(PTRACE_CONT, thread, NULL, NULL))
		fail("continue");
	nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
	if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL))
		fail("interrupt");
	if (waitpid(thread, &status, __WALL) < 0 || !WIFSTOPPED(status))
		fail("the supervisor has ended");
}
#else
static long count(uint64_t *addresses, long *behind)
{
	(void)addresses;
	(void)behind;
	errno = ENOSYS;
	fail("this architecture");
	return 0;
}

static void attach(void)
{
}

static void run_freely(void)
{
}
#endif

static void list(const uint64_t *addresses, long number)
{
	char path[64], line[512];
	struct {
		uint64_t begin, end, offset;
		char file[256];
	} map[512];
	size_t maps = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", supervisor);
	FILE *file = fopen(path, "r");
	if (!file)
		fail(path);
	while (maps < sizeof map / sizeof *map && fgets(line, sizeof line, file)) {
		unsigned long begin, end, offset;
		*map[maps].file = '\0';
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %255s", &begin, &end, &offset,
			   map[maps].file) < 3)
			continue;
		map[maps].begin = begin;
		map[maps].end = end;
		map[maps].offset = offset;
		maps++;
	}
	fclose(file);
	for (long i = 0; i < number && i < MOST; i++) {
		for (size_t m = 0; m < maps; m++) {
			if (addresses[i] >= map[m].begin && addresses[i] < map[m].end)
				printf("%s 0x%lx\n", map[m].file,
				       (unsigned long)(addresses[i] - map[m].begin +
						       map[m].offset));
		}
	}
}

static int ascending(const void *a, const void *b)
{
	const long *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	static uint64_t addresses[MOST];
	long notifications = 101, listing = 0, behind = 0;

	for (int opt; (opt = getopt(argc, argv, "+n:l")) != -1;) {
		switch (opt) {
		case 'n': notifications = atol(optarg); break;
		case 'l': listing = 1; break;
		default: return 2;
		}
	}
	long *counts = calloc(notifications > 0 ? notifications : 1, sizeof *counts);
	if (!argv[optind] || notifications < 1 || !counts)
		return fputs("usage: instructions [-n NOTIFICATIONS] [-l] SUPERVISOR "
			     "[ARGUMENT]...\n",
			     stderr),
		       2;

	supervisor = fork();
	if (supervisor == 0) {
		setpgid(0, 0);
		execv(argv[optind], argv + optind);
		_exit(127);
	}
	if (supervisor < 0)
		fail("fork");
	setpgid(supervisor, supervisor);
	nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	attach();
	for (long i = 0; i < notifications; i++) {
		run_freely();
		count(addresses, &behind); /* up to a RECV that was not interrupted */
		counts[i] = count(addresses, &behind) - behind;
	}
	if (listing)
		list(addresses, counts[notifications - 1] + behind);
	qsort(counts, notifications, sizeof *counts, ascending);
	printf("instructions %ld\ncalls_behind %ld\n", counts[notifications / 2], behind);
	kill(-supervisor, SIGKILL);
	return 0;
}
