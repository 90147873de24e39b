/* What it costs to read a path of 40 bytes from a target that waits, over and over.
 *
 *   read-string KIND [-t MILLISECONDS]
 *
 * KIND says how:
 *
 *   unotify  unotify_notification_read_string
 *   bare     the least there is: process_vm_readv of the rest of the page, and the id check
 *   mem      as it is often written: open /proc/PID/mem, read, close, and the id check
 *
 * Written to standard output: the time per string.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unotify.h>

enum { PAGE = 4096, BATCH = 64, WARM_UP = 1000 };

static const char PATH[] = "/usr/share/unotify/a-path-of-forty-bytes";

static void must(unotify_status status)
{
	char reason[256];

	if (status == UNOTIFY_OK)
		return;
	unotify_last_error(reason, sizeof reason);
	fprintf(stderr, "read-string: %s: %s\n", unotify_status_name(status), reason);
	exit(1);
}

static void check(int done)
{
	if (!done)
		perror("read-string"), exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Waits in a call whose first argument is the path, until it is killed. */
static void target(int socket)
{
	unotify_filter *filter = NULL;
	unotify_listener *listener = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	must(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter));
	must(unotify_filter_notify(filter, "getppid"));
	must(unotify_filter_load(filter, NULL, &listener));
	must(unotify_listener_to_socket(listener, socket));
	unotify_listener_free(listener);
	syscall(SYS_getppid, PATH);
	_exit(0);
}

static void id_valid(int listener, uint64_t id)
{
	check(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0);
}

static void by_unotify(unotify_notification *n, const unotify_request *request, int listener,
		       char *buf)
{
	size_t length;

	(void)listener;
	must(unotify_notification_read_string(n, request->args[0], buf, PAGE, &length));
}

static void bare(unotify_notification *n, const unotify_request *request, int listener, char *buf)
{
	uint64_t addr = request->args[0];
	struct iovec to = { buf, PAGE - addr % PAGE },
		     from = { (void *)(uintptr_t)addr, to.iov_len };

	(void)n;
	check(process_vm_readv(request->pid, &to, 1, &from, 1, 0) > 0);
	id_valid(listener, request->id);
}

static void by_mem(unotify_notification *n, const unotify_request *request, int listener, char *buf)
{
	char name[64];

	(void)n;
	snprintf(name, sizeof name, "/proc/%d/mem", request->pid);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	check(fd >= 0);
	id_valid(listener, request->id);
	check(pread(fd, buf, PAGE, (off_t)request->args[0]) > 0); /* PATH_MAX, whatever it takes */
	id_valid(listener, request->id);
	close(fd);
}

int main(int argc, char **argv)
{
	void (*way)(unotify_notification *, const unotify_request *, int, char *);
	double limit = 300e6, start, end;
	unotify_listener *listener = NULL;
	unotify_notification *n = NULL;
	char buf[PAGE] = "";
	long reads = 0;
	int ends[2];

	if (argc == 4 && strcmp(argv[2], "-t") == 0)
		limit = atof(argv[3]) * 1e6;
	else if (argc != 2)
		return 2;
	way = strcmp(argv[1], "unotify") == 0 ? by_unotify
	      : strcmp(argv[1], "bare") == 0  ? bare
					      : by_mem;

	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	pid_t pid = fork();
	check(pid >= 0);
	if (pid == 0)
		target(ends[1]);
	must(unotify_listener_from_socket(ends[0], &listener));
	must(unotify_listener_receive(listener, 10000, &n));
	const unotify_request *request = unotify_notification_request(n);
	int fd = unotify_listener_fd(listener);

	for (int i = 0; i < WARM_UP; i++)
		way(n, request, fd, buf);
	start = now();
	do {
		for (int i = 0; i < BATCH; i++)
			way(n, request, fd, buf);
		reads += BATCH;
		end = now();
	} while (end - start < limit);
	check(strcmp(buf, PATH) == 0);
	printf("reads %ld\nns_per_call %.2f\n", reads, (end - start) / reads);

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unotify_notification_free(n);
	unotify_listener_free(listener);
	return 0;
}
