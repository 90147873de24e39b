"""The user notifications of libseccomp's Python binding, or of pyseccomp, which has the same names.

filter.py MODULE COMMAND [ARGUMENT...]: each has to load its filter itself, so this process is under it too.
"""

import importlib
import os
import signal
import sys
from typing import Any

seccomp = importlib.import_module(sys.argv[1])

filter = seccomp.SyscallFilter(seccomp.ALLOW)
filter.add_rule(seccomp.NOTIFY, "getppid")
filter.load()
child = os.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])


def ended(*_: object) -> None:
    """Nothing tells the loop of the target's end."""
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status))


def answer(call: Any) -> Any:
    if sys.argv[1] == "seccomp":
        return seccomp.NotificationResponse(call, 1, 0)
    return seccomp.NotificationResponse(id=call.id, val=1, error=0, flags=0)


signal.signal(signal.SIGCHLD, ended)
while True:
    call = filter.receive_notify()
    filter.respond_notify(answer(call))
