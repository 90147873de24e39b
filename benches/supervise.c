/* libunotify's supervisor with a handler in C.
 *
 *   supervise [-w MAX_WORKERS] [-z SLEEP_US] [-b] [-k LISTENERS]
 *
 * The listeners are descriptors 3 and up.  -z makes the handler sleep, and -b flags it blocking.
 * Nothing else is chosen: the wake-up mode in particular is the library's own choice.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <unotify.h>

enum { FIRST_LISTENER = 3 };

static int handle(unotify_notification *notification, void *data)
{
	const long *sleep_us = data;

	probe_notification();
	if (*sleep_us)
		nanosleep(&(struct timespec){ .tv_nsec = *sleep_us * 1000 }, NULL);
	unotify_notification_reply_value(notification, 1);
	return UNOTIFY_HANDLED;
}

static void must(unotify_status status)
{
	char reason[256];

	if (status == UNOTIFY_OK)
		return;
	unotify_last_error(reason, sizeof reason);
	fprintf(stderr, "supervise: %s: %s\n", unotify_status_name(status), reason);
	exit(1);
}

int main(int argc, char **argv)
{
	unotify_supervisor_opts options = UNOTIFY_OPTS(unotify_supervisor_opts, .max_workers = 1);
	unotify_supervisor *supervisor = NULL;
	long sleep_us = 0, listeners = 1;
	uint32_t flags = 0;

	for (int opt; (opt = getopt(argc, argv, "w:z:bk:")) != -1;) {
		switch (opt) {
		case 'w': options.max_workers = strtoul(optarg, NULL, 10); break;
		case 'z': sleep_us = atol(optarg); break;
		case 'b': flags = UNOTIFY_HANDLER_BLOCKING; break;
		case 'k': listeners = atol(optarg); break;
		default: return 2;
		}
	}

	must(unotify_supervisor_new(&options, &supervisor));
	must(unotify_supervisor_on(supervisor, "getppid", flags, handle, &sleep_us));
	for (int fd = FIRST_LISTENER; fd < FIRST_LISTENER + listeners; fd++) {
		unotify_listener *listener = NULL;
		must(unotify_listener_from_fd(fd, &listener));
		must(unotify_supervisor_add_listener(supervisor, listener, NULL));
	}
	must(unotify_supervisor_run(supervisor));
	probe_report();
	unotify_supervisor_free(supervisor);
	return 0;
}
