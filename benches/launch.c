/* Starts a command under a filter and hands its listener to a supervisor.
 *
 *   launch [-i IDLE] [-b BUSY] [-u] SUPERVISOR [ARG]... -- COMMAND [ARG]...
 *
 * COMMAND runs under a filter that notifies getppid; this process becomes SUPERVISOR, which finds
 * the listener as descriptor 3.  With -i, descriptors 4 and up are as many listeners of processes
 * that never call getppid and live as long as COMMAND does; with -b so many of them call it all the
 * time.  The same filter and the same hand-over serve every supervisor, so rows differ in nothing but
 * the supervisor.
 *
 * With -u SUPERVISOR is a child of this process, which writes to standard output what it took: how many
 * calls the busy ones made, the supervisor's processor time for each, and how evenly they were served
 * (Jain's index: 1 for evenly, 1/BUSY for one of them alone).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_LISTENER = 3 };

static void die(const char *what)
{
	fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no_new_privs");
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			       SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (listener < 0)
		die("seccomp");
	return listener;
}

/* Forks; the child installs the filter and goes on once the parent holds the listener.
 * Returns the listener in the parent, numbered `lowest` or above, and -1 in the child. */
static int fork_filtered(int lowest)
{
	int number[2], taken[2], listener;

	if (pipe2(number, O_CLOEXEC) || pipe2(taken, O_CLOEXEC))
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");

	if (pid == 0) {
		close(taken[1]);
		listener = install_filter();
		if (write(number[1], &listener, sizeof listener) != sizeof listener)
			die("write");
		if (read(taken[0], &(char){ 0 }, 1) < 0)
			die("read");
		close(listener);
		return -1;
	}

	if (read(number[0], &listener, sizeof listener) != sizeof listener)
		die("no listener");
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int copy = syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	int high = fcntl(copy, F_DUPFD_CLOEXEC, lowest);
	if (high < 0)
		die("taking the listener");
	close(copy);
	close(pidfd);
	close(number[0]);
	close(number[1]);
	close(taken[0]);
	close(taken[1]);
	return high;
}

/* Lives, without calling getppid, until `life` has no writer left.  Standard output stays open, so
 * that who reads it to its end has waited for the idle ones too. */
static void be_idle(int life)
{
	dup2(life, STDIN_FILENO);
	close_range(STDERR_FILENO, ~0U, 0);
	_exit(read(STDIN_FILENO, &(char){ 0 }, 1) != 0);
}

/* Lives as long, and calls getppid all the time. */
static void be_busy(int life, long *calls)
{
	struct pollfd end = { .fd = life };

	while (poll(&end, 1, 0) == 0)
		for (int i = 0; i < 16; i++, ++*calls)
			syscall(SYS_getppid);
	_exit(0);
}

/* Waits for the supervisor and tells what it took for the calls. */
static int report(pid_t supervisor, const long *calls, int busy)
{
	struct rusage used;
	int status;
	double sum = 0, squares = 0, seconds;

	if (wait4(supervisor, &status, 0, &used) < 0)
		die("wait");
	for (int i = 0; i < busy; i++) {
		sum += calls[i];
		squares += (double)calls[i] * calls[i];
	}
	seconds = used.ru_utime.tv_sec + used.ru_stime.tv_sec +
		  (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	printf("calls %.0f\ncpu_ns_per_call %.1f\njain %.4f\n", sum, seconds * 1e9 / sum,
	       sum * sum / (busy * squares));
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int idle = 0, busy = 0, reports = 0, split = 1, life[2];

	for (int opt; (opt = getopt(argc, argv, "+i:b:u")) != -1;) {
		switch (opt) {
		case 'i': idle = atoi(optarg); break;
		case 'b': busy = atoi(optarg); break;
		case 'u': reports = 1; break;
		default: return 2;
		}
	}
	char **supervisor = argv + optind;
	while (split < argc && strcmp(argv[split], "--"))
		split++;
	if (split >= argc - 1 || supervisor >= argv + split) {
		fputs("usage: launch [-i IDLE] [-b BUSY] [-u] SUPERVISOR [ARG]... -- COMMAND "
		      "[ARG]...\n",
		      stderr);
		return 2;
	}
	argv[split] = NULL;

	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files))
		die("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		die("setrlimit");

	/* COMMAND holds the only writing end: the idle ones read it to learn that COMMAND is gone. */
	if (pipe(life))
		die("pipe");
	int above = FIRST_LISTENER + idle + 1;
	int *listener = calloc(idle + 1, sizeof *listener);
	if (!listener)
		die("calloc");

	long *calls = mmap(NULL, (busy + 1) * sizeof *calls, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (calls == MAP_FAILED)
		die("mmap");
	for (int i = 1; i <= idle; i++) {
		listener[i] = fork_filtered(above);
		if (listener[i] >= 0)
			continue;
		/* Only COMMAND keeps it open. */
		close(life[1]);
		if (i <= busy)
			be_busy(life[0], calls + i - 1);
		be_idle(life[0]);
	}
	close(life[0]);
	listener[0] = fork_filtered(above);
	if (listener[0] < 0) {
		execvp(argv[split + 1], argv + split + 1);
		die(argv[split + 1]);
	}
	close(life[1]);

	for (int i = 0; i <= idle; i++)
		if (dup2(listener[i], FIRST_LISTENER + i) < 0)
			die("dup2");
	pid_t child = reports ? fork() : 0;
	if (child < 0)
		die("fork");
	if (child == 0) {
		execvp(*supervisor, supervisor);
		die(*supervisor);
	}
	close_range(FIRST_LISTENER, ~0U, 0);
	return report(child, calls, busy);
}
