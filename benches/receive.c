/* libunotify without a supervisor: the listener, descriptor 3, is received from in a loop.
 *
 *   receive [-r]
 *
 * -r  answer and receive the next one in one call.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <unotify.h>

enum { LISTENER = 3 };

static unotify_status one_by_one(unotify_listener *listener, unotify_notification **notification)
{
	unotify_status status;

	while (!(status = unotify_listener_receive(listener, -1, notification))) {
		probe_notification();
		unotify_notification_reply_value(*notification, 1);
	}
	return status;
}

static unotify_status together(unotify_listener *listener, unotify_notification **notification)
{
	unotify_status status = unotify_listener_receive(listener, -1, notification);

	while (!status) {
		probe_notification();
		status = unotify_listener_reply_receive(listener, *notification,
							UNOTIFY_REPLY_VALUE, 1, -1, NULL);
	}
	return status;
}

int main(int argc, char **argv)
{
	int combined = argc > 1 && !strcmp(argv[1], "-r");
	unotify_listener *listener = NULL;
	unotify_notification *notification = NULL;
	unotify_status status = unotify_listener_from_fd(LISTENER, &listener);

	if (status == UNOTIFY_OK)
		status = (combined ? together : one_by_one)(listener, &notification);
	probe_report();
	unotify_notification_free(notification);
	unotify_listener_free(listener);
	if (status == UNOTIFY_ERR_CLOSED)
		return 0;
	fprintf(stderr, "receive: %s\n", unotify_status_message(status));
	return 1;
}
