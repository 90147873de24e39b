/* Real work: runs a command under a filter that notifies openat, and lets every call continue.
 *
 *   continue-openat COUNT_FILE COMMAND [ARG]...
 *
 * The number of calls seen goes to COUNT_FILE, and the exit status is the command's.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unotify.h>

static int let_continue(unotify_notification *notification, void *data)
{
	long *calls = data;

	++*calls;
	unotify_notification_reply_continue(notification);
	return UNOTIFY_HANDLED;
}

static void must(unotify_status status)
{
	char reason[256];

	if (status == UNOTIFY_OK)
		return;
	unotify_last_error(reason, sizeof reason);
	fprintf(stderr, "continue-openat: %s: %s\n", unotify_status_name(status), reason);
	exit(1);
}

int main(int argc, char **argv)
{
	unotify_filter *filter = NULL;
	unotify_child *child = NULL;
	unotify_listener *listener = NULL;
	unotify_supervisor *supervisor = NULL;
	long calls = 0;
	int status;

	if (argc < 3)
		return fputs("usage: continue-openat COUNT_FILE COMMAND [ARG]...\n", stderr), 2;

	must(unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter));
	must(unotify_filter_notify(filter, "openat"));
	must(unotify_spawn(filter, argv[2], argv + 2, environ, NULL, &child));
	must(unotify_child_take_listener(child, &listener));
	must(unotify_supervisor_new(NULL, &supervisor));
	must(unotify_supervisor_on(supervisor, "openat", 0, let_continue, &calls));
	must(unotify_supervisor_add_listener(supervisor, listener, NULL));
	must(unotify_supervisor_run(supervisor));
	must(unotify_child_wait(child, -1, &status));

	unotify_supervisor_free(supervisor);
	unotify_child_free(child);
	unotify_filter_free(filter);

	FILE *count = fopen(argv[1], "w");
	if (!count || fprintf(count, "%ld\n", calls) < 0 || fclose(count))
		return perror(argv[1]), 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
