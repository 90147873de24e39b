/* What it costs to open files for a target, beside raw system calls that do the same.
 *
 *   brokered KIND [-t MILLISECONDS]
 *
 * KIND says what is done with each openat of the target:
 *
 *   absolute    the path is absolute: opened with O_PATH, decided on, opened for good, handed over
 *   relative    the same for a path below the working directory
 *   path        the path is read, and the call continues
 *   within      it is opened if it lies in a directory that is held open, and handed over
 *   same-paths  the same for targets that are known to see the same paths
 *
 * Both ways take turns in small batches, with the same target on the same processor, so that what
 * else the machine does meets both. Written to standard output: the medians of the batches per call,
 * and the median of the ratios of neighbours.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unotify.h>

enum { PAGE = 4096, BATCH = 16, MAX_BATCHES = 1 << 16, WARM_UP = 64 };

static const char DIRECTORY[] = "/usr/include/linux", ABSOLUTE[] = "/usr/include/linux/limits.h",
		  RELATIVE[] = "limits.h", ALLOWED[] = "/usr";

static unotify_roots *roots;
static int allowed;

static struct seccomp_notif notif;
static struct seccomp_notif_resp resp;

static void must(unotify_status status)
{
	char reason[256];

	if (status == UNOTIFY_OK)
		return;
	unotify_last_error(reason, sizeof reason);
	fprintf(stderr, "brokered: %s: %s\n", unotify_status_name(status), reason);
	exit(1);
}

static int check(long result)
{
	if (result < 0)
		perror("brokered"), exit(1);
	return (int)result;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Opens and closes the file until it is killed. */
static void target(int socket, const char *path)
{
	unotify_filter *filter = NULL;
	unotify_listener *listener = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	check(chdir(DIRECTORY));
	must(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter));
	must(unotify_filter_notify(filter, "openat"));
	must(unotify_filter_load(filter, NULL, &listener));
	must(unotify_listener_to_socket(listener, socket));
	unotify_listener_free(listener);
	for (;;)
		close(check(openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC)));
}

static void receive(int listener)
{
	memset(&notif, 0, sizeof notif);
	check(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif));
}

static void id_valid(int listener)
{
	check(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notif.id));
}

static void read_path(char *path)
{
	uint64_t addr = notif.data.args[1];
	struct iovec to = { path, PAGE - addr % PAGE },
		     from = { (void *)(uintptr_t)addr, to.iov_len };

	check(process_vm_readv(notif.pid, &to, 1, &from, 1, 0));
}

static int open_entry(const char *entry)
{
	char name[64];

	snprintf(name, sizeof name, "/proc/%d/%s", notif.pid, entry);
	return check(open(name, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int open_below(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { (uint64_t)flags | O_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS };

	return check(syscall(SYS_openat2, dir, path, &how, sizeof how));
}

static void hand_over(int listener, int fd)
{
	struct seccomp_notif_addfd add = { notif.id, SECCOMP_ADDFD_FLAG_SEND, (uint32_t)fd, 0,
					   O_CLOEXEC };

	check(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
	close(fd);
}

static void decide(int fd)
{
	struct stat what;

	check(fstat(fd, &what));
	if (!S_ISREG(what.st_mode))
		exit(1);
}

static void reopen_and_hand_over(int listener, int fd)
{
	char name[64];

	decide(fd);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	hand_over(listener, check(open(name, O_RDONLY | O_CLOEXEC)));
	close(fd);
}

static void raw_absolute(int listener)
{
	char path[PAGE];

	receive(listener);
	read_path(path);
	int root = open_entry("root");
	id_valid(listener);
	int fd = open_below(root, path, O_PATH, RESOLVE_IN_ROOT);
	close(root);
	reopen_and_hand_over(listener, fd);
}

static void raw_relative(int listener)
{
	char path[PAGE];
	struct statx in_root, in_start;

	receive(listener);
	read_path(path);
	int root = open_entry("root"), start = open_entry("cwd");
	id_valid(listener);
	check(statx(root, "", AT_EMPTY_PATH, STATX_MNT_ID, &in_root));
	check(statx(start, "", AT_EMPTY_PATH, STATX_MNT_ID, &in_start));
	if (in_root.stx_mnt_id != in_start.stx_mnt_id)
		exit(1);
	int fd = open_below(start, path, O_PATH, RESOLVE_BENEATH);
	close(root);
	close(start);
	reopen_and_hand_over(listener, fd);
}

static void raw_path(int listener)
{
	char path[PAGE];

	receive(listener);
	read_path(path);
	id_valid(listener);
	memset(&resp, 0, sizeof resp);
	resp.id = notif.id;
	resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	check(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp));
}

/* The least there is: whether the target sees the same paths is not asked. */
static void raw_within(int listener)
{
	char path[PAGE];

	receive(listener);
	read_path(path);
	id_valid(listener);
	if (strncmp(path, ALLOWED, sizeof ALLOWED - 1) != 0 || path[sizeof ALLOWED - 1] != '/')
		exit(1);
	hand_over(listener, open_below(allowed, path + sizeof ALLOWED, O_RDONLY, RESOLVE_BENEATH));
}

static void our_open(unotify_notification *n)
{
	const unotify_request *request = unotify_notification_request(n);
	const unotify_open_how *how = &UNOTIFY_OPTS(unotify_open_how, .flags = O_PATH);
	int found, fd;

	must(unotify_notification_open(n, (int)request->args[0], request->args[1], how, &found));
	decide(found);
	must(unotify_notification_reopen(n, found, request->args[2], 0, &fd));
	must(unotify_notification_reply_fd(n, fd, O_CLOEXEC));
	close(fd);
	close(found);
}

static void our_path(unotify_notification *n)
{
	const unotify_request *request = unotify_notification_request(n);
	char path[PAGE];

	must(unotify_notification_read_path(n, (int)request->args[0], request->args[1], path,
					    sizeof path));
	must(unotify_notification_reply_continue(n));
}

static void our_within(unotify_notification *n)
{
	const unotify_request *request = unotify_notification_request(n);
	const unotify_open_how *how = &UNOTIFY_OPTS(unotify_open_how, .flags = request->args[2]);
	int fd;

	must(unotify_notification_open_within(n, roots, (int)request->args[0], request->args[1],
					      how, &fd));
	must(unotify_notification_reply_fd(n, fd, O_CLOEXEC));
	close(fd);
}

static const struct kind {
	const char *name, *path;
	void (*raw)(int listener);
	void (*ours)(unotify_notification *n);
} KINDS[] = {
	{ "absolute", ABSOLUTE, raw_absolute, our_open },
	{ "relative", RELATIVE, raw_relative, our_open },
	{ "path", ABSOLUTE, raw_path, our_path },
	{ "within", ABSOLUTE, raw_within, our_within },
	{ "same-paths", ABSOLUTE, raw_within, our_within },
};

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *numbers, size_t count)
{
	qsort(numbers, count, sizeof *numbers, by_size);
	return numbers[count / 2];
}

int main(int argc, char **argv)
{
	static double raw[MAX_BATCHES], ours[MAX_BATCHES], ratio[MAX_BATCHES];
	const struct kind *kind = NULL;
	double limit = 300e6, start, middle, end, begin;
	unotify_listener *listener = NULL;
	unotify_notification *n = NULL;
	size_t batches = 0;
	int ends[2];
	cpu_set_t one;

	for (size_t i = 0; argc > 1 && i < sizeof KINDS / sizeof *KINDS; i++)
		if (strcmp(argv[1], KINDS[i].name) == 0)
			kind = &KINDS[i];
	if (argc == 4 && strcmp(argv[2], "-t") == 0)
		limit = atof(argv[3]) * 1e6;
	else if (argc != 2)
		return 2;
	if (!kind)
		return 2;

	must(unotify_roots_new(strcmp(kind->name, "same-paths") == 0 ? UNOTIFY_ROOTS_SAME_PATHS : 0,
			       &roots));
	must(unotify_roots_add(roots, "/etc", UNOTIFY_RIGHT_READ));
	must(unotify_roots_add(roots, ALLOWED, UNOTIFY_RIGHT_READ));
	allowed = check(open(ALLOWED, O_PATH | O_DIRECTORY | O_CLOEXEC));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	check(sched_setaffinity(0, sizeof one, &one));
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	pid_t pid = check(fork());
	if (pid == 0)
		target(ends[1], kind->path);
	must(unotify_listener_from_socket(ends[0], &listener));
	int fd = unotify_listener_fd(listener);

	begin = now();
	for (int i = -WARM_UP; batches < MAX_BATCHES && now() - begin < limit; i++) {
		start = now();
		for (int j = 0; j < BATCH; j++)
			kind->raw(fd);
		middle = now();
		for (int j = 0; j < BATCH; j++) {
			must(unotify_listener_receive(listener, -1, &n));
			kind->ours(n);
		}
		end = now();
		if (i < 0)
			continue;
		raw[batches] = (middle - start) / BATCH;
		ours[batches] = (end - middle) / BATCH;
		ratio[batches] = ours[batches] / raw[batches];
		batches++;
	}
	if (batches == 0)
		return fputs("brokered: no time\n", stderr), 1;
	printf("calls %zu\nns_per_call %.2f\nraw_ns_per_call %.2f\nratio %.4f\n", batches * BATCH,
	       median(ours, batches), median(raw, batches), median(ratio, batches));

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unotify_notification_free(n);
	unotify_listener_free(listener);
	unotify_roots_free(roots);
	return 0;
}
