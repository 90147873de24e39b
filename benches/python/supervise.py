"""The package's supervisor with a handler in Python."""

import unotify

supervisor = unotify.Supervisor()


@supervisor.on("getppid")
def handle(call: unotify.Notification) -> int:
    return 1


supervisor.add_listener(unotify.Listener.from_fd(3))
supervisor.run()
