/* libunotify without a supervisor: the listener, descriptor 3, is received from in a loop. */
#include "probe.h"

#include <stdio.h>
#include <unotify.h>

enum { LISTENER = 3 };

int main(void)
{
	unotify_listener *listener = NULL;
	unotify_notification *notification = NULL;
	unotify_status status = unotify_listener_from_fd(LISTENER, &listener);

	if (status == UNOTIFY_OK) {
		while (!(status = unotify_listener_receive(listener, -1, &notification))) {
			probe_notification();
			unotify_notification_reply_value(notification, 1);
		}
	}
	probe_report();
	unotify_notification_free(notification);
	unotify_listener_free(listener);
	if (status == UNOTIFY_ERR_CLOSED)
		return 0;
	fprintf(stderr, "receive: %s\n", unotify_status_message(status));
	return 1;
}
