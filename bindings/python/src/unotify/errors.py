"""What can go wrong: one exception for each status of the library.

Each is an :class:`Error` and so an :class:`OSError`, and beside that what a Python program would
catch anyway: :class:`Gone` is a :class:`ProcessLookupError`, :class:`Timeout` a
:class:`TimeoutError`. Where the kernel has said no (:class:`System`) the exception is also the
one that Python has for that error number:

>>> import unotify
>>> try:
...     unotify.spawn(["/no/such/program"], unotify.Filter().notify("getppid"))
... except FileNotFoundError as error:
...     print(type(error).__name__, error.status.name, error.errno)
SystemFileNotFoundError SYSTEM 2
"""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """What a call came to, as ``enum unotify_status`` numbers it."""

    OK = 0
    GONE = -1
    CLOSED = -2
    STOPPED = -3
    TIMEOUT = -4
    ANSWERED = -5
    INVALID_ARGUMENT = -6
    UNKNOWN_SYSCALL = -7
    UNKNOWN_ARCH = -8
    UNSUPPORTED = -9
    PERMISSION = -10
    BUSY = -11
    FAULT = -12
    TOO_LONG = -13
    NOT_VISIBLE = -14
    NO_MEMORY = -15
    SYSTEM = -16
    PANIC = -17
    INTERRUPTED = -18
    HANDLER = -19


class Error(OSError):
    """What all exceptions of the library are.

    ``status`` is the library's status, ``errno`` the kernel's error number or the nearest to it, and
    ``strerror`` a sentence that names the culprit.
    """

    status: Status


class Gone(Error, ProcessLookupError):
    """The target died, or a signal interrupted its call."""


class Closed(Error, EOFError):
    """The last target has exited, or the other side has hung up."""


class Stopped(Error):
    """Somebody said stop, or interrupted the listener."""


class Timeout(Error, TimeoutError):
    """The time limit passed first."""


class Answered(Error, ValueError):
    """The notification was answered before."""


class InvalidArgument(Error, ValueError):
    """Out of range, closed, or of the wrong kind."""


class UnknownSyscall(Error, LookupError):
    """The architecture has no system call of this name or number."""


class UnknownArch(Error, LookupError):
    """No architecture has this name or number."""


class Unsupported(Error, NotImplementedError):
    """The running kernel or libseccomp is too old for this."""


class Permission(Error, PermissionError):
    """Not permitted to a caller with these privileges."""


class Busy(Error):
    """The filters of this thread have a listener already."""


class Fault(Error):
    """The target cannot read (or write) at this address."""


class TooLong(Error):
    """The string, list or path is longer than the room."""


class NotVisible(Error, ProcessLookupError):
    """The target is outside the supervisor's pid namespace."""


class NoMemory(Error, MemoryError):
    """Not enough memory."""


class System(Error):
    """The kernel said no for another reason: see ``errno``."""


class Panic(Error, RuntimeError):
    """Code that ran under the library's control panicked."""


class Interrupted(Error, InterruptedError):
    """A signal was handled on this thread while it waited."""


class HandlerFailed(Error, RuntimeError):
    """A handler said that it failed."""


_CLASSES: dict[int, type[Error]] = {
    Status.GONE: Gone,
    Status.CLOSED: Closed,
    Status.STOPPED: Stopped,
    Status.TIMEOUT: Timeout,
    Status.ANSWERED: Answered,
    Status.INVALID_ARGUMENT: InvalidArgument,
    Status.UNKNOWN_SYSCALL: UnknownSyscall,
    Status.UNKNOWN_ARCH: UnknownArch,
    Status.UNSUPPORTED: Unsupported,
    Status.PERMISSION: Permission,
    Status.BUSY: Busy,
    Status.FAULT: Fault,
    Status.TOO_LONG: TooLong,
    Status.NOT_VISIBLE: NotVisible,
    Status.NO_MEMORY: NoMemory,
    Status.SYSTEM: System,
    Status.PANIC: Panic,
    Status.INTERRUPTED: Interrupted,
    Status.HANDLER: HandlerFailed,
}
for _status, _class in _CLASSES.items():
    _class.status = Status(_status)

# System, and what Python has for an error number, in one.
_SYSTEM_CLASSES: dict[type[OSError], type[Error]] = {OSError: System}


def _class_of(status: int, errnum: int) -> type[Error]:
    if status != Status.SYSTEM:
        return _CLASSES.get(status, Error)
    kind = type(OSError(errnum, ""))
    if kind not in _SYSTEM_CLASSES:
        _SYSTEM_CLASSES[kind] = type(f"System{kind.__name__}", (System, kind), {"__doc__": System.__doc__})
    return _SYSTEM_CLASSES[kind]


def make(status: int, errnum: int, sentence: str) -> Error:
    """The exception for a status, with the ``errno`` and the sentence that came with it."""
    return _class_of(status, errnum)(errnum, sentence)
