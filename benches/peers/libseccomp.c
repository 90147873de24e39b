/* Peer: libseccomp's own C functions, in the loop that its manual page shows.  The listener is
 * descriptor 3. */
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { LISTENER = 3 };

int main(void)
{
	struct seccomp_notif *request;
	struct seccomp_notif_resp *response;

	if (seccomp_api_get() < 6 || seccomp_notify_alloc(&request, &response))
		return fputs("libseccomp: no user notification\n", stderr), 1;
	for (;;) {
		memset(request, 0, sizeof *request);
		if (seccomp_notify_receive(LISTENER, request))
			break;
		response->id = request->id;
		response->val = 1;
		response->error = 0;
		response->flags = 0;
		seccomp_notify_respond(LISTENER, response);
	}
	seccomp_notify_free(request, response);
	return 0;
}
