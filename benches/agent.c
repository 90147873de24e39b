/* An agent: containers' listeners, one supervisor.
 *
 *   agent -k LISTENERS   a runtime hands it descriptors 3 and up, each as a container's
 *   agent -s SOCKET      real runtimes do, until SIGTERM
 *
 * getppid is answered with a value.  With -k it ends when all listeners have.  Descriptor 3, which
 * benches/target.c is behind, comes last: by then the agent has all others.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <unotify.h>

enum { FIRST_LISTENER = 3 };

static unotify_agent *agent;
static long left;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void must(unotify_status status)
{
	char reason[256];

	if (status == UNOTIFY_OK)
		return;
	unotify_last_error(reason, sizeof reason);
	fprintf(stderr, "agent: %s: %s\n", unotify_status_name(status), reason);
	exit(1);
}

/* What runc does, for container number `fd`: it says what the container is, with the listener. */
static void hand_over(const char *path, int fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof(int)) } };
	char state[1024];
	int length =
		snprintf(state, sizeof state,
			 "{\"ociVersion\":\"1.0.2\",\"fds\":[\"seccompFd\"],\"pid\":%d,"
			 "\"metadata\":\"\",\"state\":{\"ociVersion\":\"1.0.2\",\"id\":\"box-%d\","
			 "\"status\":\"creating\",\"pid\":%d,\"bundle\":\"/run/containers/box-%d\","
			 "\"annotations\":{\"org.example.name\":\"box-%d\"}}}",
			 fd, fd, fd, fd, fd);
	struct iovec all = { state, length };
	struct msghdr message = { .msg_iov = &all,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };

	memcpy(to.sun_path, path, strlen(path));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof to))
		die("agent: connect");
	if (sendmsg(connection, &message, 0) != length)
		die("agent: sendmsg");
	/* The agent closes it when it has the container. */
	if (read(connection, state, 1) != 0)
		die("agent: read");
	close(connection);
}

/* In a process of its own, as what it does is no part of the agent's memory and time. */
static void be_runtime(const char *path, int listeners)
{
	signal(SIGCHLD, SIG_IGN);
	pid_t pid = fork();
	if (pid < 0)
		die("agent: fork");
	if (pid == 0) {
		for (int fd = FIRST_LISTENER + listeners - 1; fd >= FIRST_LISTENER; fd--) {
			hand_over(path, fd);
			close(fd);
		}
		_exit(0);
	}
	for (int fd = FIRST_LISTENER; fd < FIRST_LISTENER + listeners; fd++)
		close(fd);
}

static int on_container(unotify_container *container, void *data, void **listener_data)
{
	(void)container, (void)data, (void)listener_data;
	return 0;
}

static void on_close(void *container, void *data)
{
	(void)data;
	unotify_container_free(container);
	if (--left == 0)
		must(unotify_agent_interrupt(agent));
}

static int handle(unotify_notification *notification, void *data)
{
	(void)data;
	probe_notification();
	unotify_notification_reply_value(notification, 1);
	return UNOTIFY_HANDLED;
}

static void end(int signal)
{
	(void)signal;
	unotify_agent_interrupt(agent);
}

int main(int argc, char **argv)
{
	unotify_supervisor_opts options = UNOTIFY_OPTS(unotify_supervisor_opts, .max_workers = 1,
						       .flags = UNOTIFY_SUPERVISOR_KEEP_RUNNING);
	char directory[] = "/tmp/unotify-bench-agent-XXXXXX", inside[64];
	unotify_supervisor *supervisor = NULL;
	const char *path = NULL;

	for (int opt; (opt = getopt(argc, argv, "k:s:")) != -1;) {
		switch (opt) {
		case 'k': left = atol(optarg); break;
		case 's': path = optarg; break;
		default: return 2;
		}
	}
	if (!path == !left) {
		fputs("usage: agent -k LISTENERS | -s SOCKET\n", stderr);
		return 2;
	}
	if (left) {
		if (!mkdtemp(directory))
			die("agent: mkdtemp");
		snprintf(inside, sizeof inside, "%s/socket", directory);
		path = inside;
	}
	must(unotify_agent_new(path, NULL, &agent));
	must(unotify_supervisor_new(&options, &supervisor));
	must(unotify_supervisor_on(supervisor, "getppid", 0, handle, NULL));
	must(unotify_supervisor_on_close(supervisor, on_close, NULL));
	signal(SIGTERM, end);
	if (left)
		be_runtime(path, left);
	must(unotify_agent_serve(agent, supervisor, on_container, NULL));
	unotify_agent_free(agent);
	if (path == inside)
		rmdir(directory);
	probe_report();
	unotify_supervisor_free(supervisor);
	return 0;
}
