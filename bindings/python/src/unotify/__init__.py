"""Write seccomp user-notification supervisors: programs that answer system calls of others.

A child that believes that its parent is process 42, while its other calls are its own:

>>> import unotify
>>> child = unotify.spawn(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
>>> for call in child.listener:
...     call.reply(42)
>>> child.wait()
42

The same with handlers, one for each system call:

>>> supervisor = unotify.Supervisor()
>>> @supervisor.on("getppid")
... def parent(call):
...     return 42
>>> supervisor.run_program(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
42

The classes are :class:`Filter`, :class:`Listener`, :class:`Notification`, :class:`Supervisor` and
:class:`Child`; :mod:`unotify.aio` has them for asyncio. All exceptions are :class:`Error` and
:class:`OSError`. What is said at length is in docs/python.md of the library and in ``unotify(7)``.
"""

from ._library import PATH as library_path
from ._options import WakeUp
from ._version import VERSION
from .agent import Agent, Container
from .errors import (
    Answered,
    Busy,
    Closed,
    Error,
    Fault,
    Gone,
    HandlerFailed,
    Interrupted,
    InvalidArgument,
    NoMemory,
    NotVisible,
    Panic,
    Permission,
    Status,
    Stopped,
    System,
    Timeout,
    TooLong,
    UnknownArch,
    UnknownSyscall,
    Unsupported,
)
from .filter import Action, Arg, Compare, Condition, Filter, LoadFlags
from .identity import Identity
from .listener import Listener
from .notification import Notification
from .probe import Outcome, Part, Probe, probe
from .roots import Right, Roots
from .spawn import DEVNULL, PIPE, STDOUT, Child, SpawnFlags, exit_like, spawn
from .stats import Stats
from .supervisor import Supervisor
from .syscalls import (
    Features,
    arch_compat,
    arch_from_name,
    arch_name,
    arch_native,
    families,
    features,
    library_version,
    syscall_from_name,
    syscall_name,
)
from .verdict import CONTINUE, DEFERRED, NOT_HANDLED, Verdict

__version__ = VERSION

__all__ = [
    "CONTINUE",
    "DEFERRED",
    "DEVNULL",
    "NOT_HANDLED",
    "PIPE",
    "STDOUT",
    "Action",
    "Agent",
    "Answered",
    "Arg",
    "Busy",
    "Child",
    "Closed",
    "Compare",
    "Condition",
    "Container",
    "Error",
    "Fault",
    "Features",
    "Filter",
    "Gone",
    "HandlerFailed",
    "Identity",
    "Interrupted",
    "InvalidArgument",
    "Listener",
    "LoadFlags",
    "NoMemory",
    "NotVisible",
    "Notification",
    "Outcome",
    "Panic",
    "Part",
    "Permission",
    "Probe",
    "Right",
    "Roots",
    "SpawnFlags",
    "Stats",
    "Status",
    "Stopped",
    "Supervisor",
    "System",
    "Timeout",
    "TooLong",
    "UnknownArch",
    "UnknownSyscall",
    "Unsupported",
    "Verdict",
    "WakeUp",
    "arch_compat",
    "arch_from_name",
    "arch_name",
    "arch_native",
    "exit_like",
    "families",
    "features",
    "library_path",
    "library_version",
    "probe",
    "spawn",
    "syscall_from_name",
    "syscall_name",
]
