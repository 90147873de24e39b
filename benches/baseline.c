/* Supervisors as written by hand: the loops that libunotify is measured against.
 *
 *   baseline KIND [-s SYNC] [-w WORKERS] [-z SLEEP_US] [-k LISTENERS] [-i]
 *
 * KIND says how the workers, each a thread, share the listeners (descriptors 3 and up):
 *
 *   herd    each worker blocks in RECV; the kernel wakes them all for every notification
 *   mutex   one worker at a time blocks in RECV, and hands the lock on once it has received
 *   epoll   each worker waits in its own epoll with EPOLLEXCLUSIVE; the only one for many listeners
 *
 * With one worker, herd is the plain loop (memset, RECV, SEND): the baseline.  -s 1 turns synchronous
 * wake-up on, and -z makes the handler sleep.  -i makes the system calls in place instead of through
 * the C library, without a return behind them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum { BUSY = 3 };

static long sync_wake_up, workers = 1, sleep_us, listeners = 1;
static int in_place;
static pthread_mutex_t receiving = PTHREAD_MUTEX_INITIALIZER;

static inline long in_place_ioctl(long listener, unsigned long request, void *argument)
{
	long result;
#ifdef __x86_64__
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_ioctl), "D"(listener), "S"(request), "d"(argument)
			 : "rcx", "r11", "memory");
#else
	result = ioctl(listener, request, argument);
#endif
	return result;
}

/* What the plain loop would be with the least that is possible between the two calls. */
static void plain_in_place(void)
{
	struct seccomp_notif request;
	struct seccomp_notif_resp response = { .val = 1 };

	for (;;) {
		memset(&request, 0, sizeof request);
		if (in_place_ioctl(BUSY, SECCOMP_IOCTL_NOTIF_RECV, &request))
			return;
		response.id = request.id;
		in_place_ioctl(BUSY, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

static int receive(int listener, struct seccomp_notif *request)
{
	memset(request, 0, sizeof *request);
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request);
}

static void reply(int listener, const struct seccomp_notif *request)
{
	if (sleep_us)
		nanosleep(&(struct timespec){ .tv_nsec = sleep_us * 1000 }, NULL);
	struct seccomp_notif_resp response = { .id = request->id, .val = 1 };
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* RECV also fails when another worker was faster, and that is the usual case in a herd; so only a
 * lone worker takes a failure for the end, and for the others the main thread waits for it. */
static int over(void)
{
	struct pollfd busy = { .fd = BUSY };
	return workers == 1 && poll(&busy, 1, 0) == 1 && busy.revents & POLLHUP;
}

static void *herd(void *unused)
{
	struct seccomp_notif request;

	while (!over())
		while (!receive(BUSY, &request))
			reply(BUSY, &request);
	return unused;
}

static void *mutex(void *unused)
{
	struct seccomp_notif request;

	while (!over()) {
		pthread_mutex_lock(&receiving);
		int failed = receive(BUSY, &request);
		pthread_mutex_unlock(&receiving);
		if (!failed)
			reply(BUSY, &request);
	}
	return unused;
}

static void *epoll(void *unused)
{
	struct seccomp_notif request;
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	int set = epoll_create1(EPOLL_CLOEXEC);

	for (event.data.fd = BUSY; event.data.fd < BUSY + listeners; event.data.fd++)
		epoll_ctl(set, EPOLL_CTL_ADD, event.data.fd, &event);
	while (epoll_wait(set, &event, 1, -1) == 1 || errno == EINTR) {
		if (event.events & EPOLLHUP)
			break;
		if (!receive(event.data.fd, &request))
			reply(event.data.fd, &request);
	}
	return unused;
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void *(*work)(void *);
	} kinds[] = { { "herd", herd }, { "mutex", mutex }, { "epoll", epoll } }, *kind = NULL;

	for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(argv[1], kinds[i].name))
			kind = &kinds[i];
	if (!kind)
		return fputs("usage: baseline herd|mutex|epoll [OPTION]...\n", stderr), 2;
	for (int opt; (opt = getopt(argc - 1, argv + 1, "s:w:z:k:i")) != -1;) {
		switch (opt) {
		case 's': sync_wake_up = atol(optarg); break;
		case 'w': workers = atol(optarg); break;
		case 'z': sleep_us = atol(optarg); break;
		case 'k': listeners = atol(optarg); break;
		case 'i': in_place = 1; break;
		default: return 2;
		}
	}

	for (int fd = BUSY; sync_wake_up && fd < BUSY + listeners; fd++)
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP))
			return perror("baseline: synchronous wake-up"), 1;

	if (in_place) {
		plain_in_place();
		return 0;
	}
	if (workers == 1) {
		kind->work(NULL);
		return 0;
	}
	for (long i = 0; i < workers; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, kind->work, NULL))
			return perror("baseline: thread"), 1;
	}
	/* With idle listeners there are other children: the last one to go is the target or its like. */
	while (wait(NULL) > 0)
		continue;
	_exit(0);
}
