/* How long it takes to start a program: from the call to the first notification of it.
 *
 *   start HOW PROGRAM [-t MILLISECONDS] [-m MIB] [-e]
 *
 * HOW is one of
 *
 *   unotify       unotify_spawn
 *   fork          fork, seccomp and exec by hand: the child sends its listener over a socket
 *   posix_spawn   without a filter; PROGRAM tells by a byte in a pipe that it runs
 *
 * PROGRAM is `first`, and the filter notifies getppid; with -e it notifies execve, so that the first
 * notification comes before there is a program.  With -m this process has touched so much memory
 * before.  Every program is waited for, but not within the time that is measured.
 */
#define _GNU_SOURCE
#include <unotify.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 5, MOST = 100000 };

extern char **environ;

static char *program;
static long notified = SYS_getppid;
static unotify_filter *filter;

static void die(const char *what)
{
	fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(unotify_status status, const char *what)
{
	if (status != UNOTIFY_OK) {
		char why[256];

		unotify_last_error(why, sizeof why);
		fprintf(stderr, "start: %s: %s\n", what, why);
		exit(1);
	}
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "start: the program ended with status %#x\n", status);
		exit(1);
	}
}

static long long by_unotify(void)
{
	char *argv[] = { program, NULL };
	unotify_listener *listener;
	unotify_notification *n = NULL;
	unotify_child *child;
	int status;

	long long begun = now();
	must(unotify_spawn(filter, program, argv, NULL, NULL, &child), "spawn");
	must(unotify_child_take_listener(child, &listener), "take the listener");
	must(unotify_listener_receive(listener, -1, &n), "receive");
	long long took = now() - begun;

	do
		must(unotify_notification_reply_continue(n), "continue");
	while (unotify_listener_receive(listener, -1, &n) == UNOTIFY_OK);
	must(unotify_child_wait(child, -1, &status), "wait");
	if (status)
		die("the program has failed");
	unotify_notification_free(n);
	unotify_listener_free(listener);
	unotify_child_free(child);
	return took;
}

/* In the child: the filter, the listener to the parent, the program. */
static void become_program(int socket)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, notified, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };
	char *argv[] = { program, NULL };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec byte = { "", 1 };
	struct msghdr message = { .msg_iov = &byte,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(2);
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			       SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	if (listener < 0)
		_exit(3);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &listener, sizeof listener);
	if (sendmsg(socket, &message, 0) != 1)
		_exit(4);
	close(listener);
	execve(program, argv, environ);
	_exit(5);
}

static long long by_fork(void)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec place = { &byte, 1 };
	struct msghdr message = { .msg_iov = &place,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	struct seccomp_notif request = { 0 };
	int pair[2], listener;

	long long begun = now();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("socketpair");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		become_program(pair[1]);
	close(pair[1]);
	if (recvmsg(pair[0], &message, MSG_CMSG_CLOEXEC) != 1)
		die("recvmsg");
	memcpy(&listener, CMSG_DATA(&control.head), sizeof listener);
	close(pair[0]);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
		die("RECV");
	long long took = now() - begun;

	struct seccomp_notif_resp response = { .id = request.id,
					       .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response))
		die("SEND");
	wait_for(pid);
	close(listener);
	return took;
}

static long long by_posix_spawn(void)
{
	char number[16], byte;
	char *argv[] = { program, number, NULL };
	int ends[2];
	pid_t pid;

	long long begun = now();
	if (pipe(ends))
		die("pipe");
	snprintf(number, sizeof number, "%d", ends[1]);
	errno = posix_spawn(&pid, program, NULL, NULL, argv, environ);
	if (errno)
		die("posix_spawn");
	if (read(ends[0], &byte, 1) != 1)
		die("read");
	long long took = now() - begun;

	wait_for(pid);
	close(ends[0]);
	close(ends[1]);
	return took;
}

static int by_time(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		long long (*once)(void);
	} ways[] = {
		{ "unotify", by_unotify },
		{ "fork", by_fork },
		{ "posix_spawn", by_posix_spawn },
	};
	static long long took[MOST];
	long long (*once)(void) = NULL;
	long milliseconds = 300, mib = 0;
	int option;

	for (size_t i = 0; argc > 2 && i < sizeof ways / sizeof *ways; i++)
		if (!strcmp(argv[1], ways[i].name))
			once = ways[i].once;
	if (!once) {
		fputs("usage: start unotify|fork|posix_spawn PROGRAM [-t MS] [-m MIB] [-e]\n",
		      stderr);
		return 2;
	}
	program = argv[2];
	optind = 3;
	while ((option = getopt(argc, argv, "t:m:e")) != -1) {
		if (option == 't')
			milliseconds = atol(optarg);
		else if (option == 'm')
			mib = atol(optarg);
		else if (option == 'e')
			notified = SYS_execve;
		else
			return 2;
	}

	/* Not in huge pages, of whose tables a copy would be made in no time. */
	size_t size = mib << 20;
	char *memory =
		size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
		     : NULL;
	if (memory == MAP_FAILED)
		die("mmap");
	if (size)
		madvise(memory, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;

	must(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter), "make a filter");
	must(unotify_filter_notify(filter, notified == SYS_execve ? "execve" : "getppid"),
	     "notify");

	int number = 0;
	for (int i = 0; i < WARM_UP; i++)
		once();
	for (long long end = now() + milliseconds * 1000000; now() < end && number < MOST;)
		took[number++] = once();
	qsort(took, number, sizeof *took, by_time);
	printf("ns_per_call %lld\nstarts %d\n", took[number / 2], number);
	return 0;
}
