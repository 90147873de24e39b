"""Filters: which system calls are notified, allowed or refused.

>>> import unotify
>>> filter = unotify.Filter()
>>> _ = filter.notify("getppid", "openat")
>>> _ = filter.add_rule(unotify.Action.errno(1), "kill", unotify.Arg(1) == 9)
>>> len(filter.export_bpf()) % 8
0
"""

from __future__ import annotations

import ctypes
import enum
import threading
from ctypes import byref, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

from ._handle import Handle, Owner, free_filter
from ._library import check, lib, quick
from .listener import Listener
from .syscalls import arch_from_name


class Action(enum.IntEnum):
    """What a filter does with a call: the kernel's ``SECCOMP_RET_*``."""

    KILL_PROCESS = 0x8000_0000
    KILL_THREAD = 0x0000_0000
    TRAP = 0x0003_0000
    NOTIFY = 0x7FC0_0000
    LOG = 0x7FFC_0000
    ALLOW = 0x7FFF_0000

    @staticmethod
    def errno(errnum: int) -> int:
        """The action that makes a call fail with this error number, without asking the supervisor.

        >>> hex(Action.errno(13))
        '0x5000d'
        """
        if not 0 <= errnum <= 0xFFFF:
            raise ValueError(f"an error number of an action is 0 to 65535: {errnum}")
        return int(quick.action_errno(errnum))


class Compare(enum.IntEnum):
    """How a condition compares an argument."""

    NOT_EQUAL = 1
    LESS = 2
    LESS_OR_EQUAL = 3
    EQUAL = 4
    GREATER_OR_EQUAL = 5
    GREATER = 6
    MASKED_EQUAL = 7


class Condition:
    """A condition on an argument: see :class:`Arg`."""

    __slots__ = ("arg", "compare", "mask", "value")

    def __init__(self, arg: int, compare: Compare, value: int, mask: int = 0) -> None:
        if not 0 <= arg <= 5:
            raise ValueError(f"arguments are numbered 0 to 5: {arg}")
        self.arg = arg
        self.compare = compare
        self.value = _unsigned(value)
        self.mask = _unsigned(mask)

    def __repr__(self) -> str:
        return f"<Condition argument {self.arg} {self.compare.name} {self.value:#x}, mask {self.mask:#x}>"

    def __bool__(self) -> bool:
        raise TypeError("a condition is for Filter.add_rule; it is not true or false by itself")


class Arg:
    """An argument of a system call, 0 to 5, to be compared: an unsigned number of 64 bits.

    A negative number stands for the 64 bits of it. Of an ``int`` the kernel leaves the upper half
    undefined; compare the lower one: ``Arg(0) & 0xffffffff == 0xffffff9c`` needs its brackets, as
    in Python ``&`` binds less than ``==``.

    >>> Arg(0) == 5
    <Condition argument 0 EQUAL 0x5, mask 0x0>
    >>> (Arg(2) & 0b11) == 1
    <Condition argument 2 MASKED_EQUAL 0x1, mask 0x3>
    """

    __slots__ = ("mask", "number")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, number: int, mask: int | None = None) -> None:
        self.number = number
        self.mask = mask

    def __and__(self, mask: int) -> Arg:
        return Arg(self.number, mask)

    def _condition(self, compare: Compare, value: int) -> Condition:
        if self.mask is not None:
            raise TypeError("a masked argument can only be equal to something")
        return Condition(self.number, compare, value)

    def __eq__(self, value: int) -> Condition:  # type: ignore[override]
        if self.mask is not None:
            return Condition(self.number, Compare.MASKED_EQUAL, value, self.mask)
        return Condition(self.number, Compare.EQUAL, value)

    def __ne__(self, value: int) -> Condition:  # type: ignore[override]
        return self._condition(Compare.NOT_EQUAL, value)

    def __lt__(self, value: int) -> Condition:
        return self._condition(Compare.LESS, value)

    def __le__(self, value: int) -> Condition:
        return self._condition(Compare.LESS_OR_EQUAL, value)

    def __gt__(self, value: int) -> Condition:
        return self._condition(Compare.GREATER, value)

    def __ge__(self, value: int) -> Condition:
        return self._condition(Compare.GREATER_OR_EQUAL, value)


class _Compare(ctypes.Structure):
    _fields_ = (("arg", c_uint32), ("op", c_uint32), ("value", c_uint64), ("mask", c_uint64))


class _LoadOptions(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("flags", c_uint32), ("reserved", c_uint32))


class LoadFlags(enum.IntFlag):
    """How to load a filter; also for :func:`spawn`, but for ``TSYNC``."""

    TSYNC = 1 << 0
    LOG = 1 << 1
    SPEC_ALLOW = 1 << 2
    NO_WAIT_KILLABLE = 1 << 3
    NO_SYNC_WAKE_UP = 1 << 4
    KEEP_PRIVS = 1 << 5


class Filter(Owner):
    """A filter for the native architecture that does ``default`` for every call without a rule.

    It kills a process that makes a call of any other architecture: see :meth:`add_arch`. The methods that
    add something give the filter back, to be chained. Threads that use it at the same time take turns.
    """

    _noun = "filter"

    def __init__(self, default: int = Action.ALLOW) -> None:
        self._handle = None
        # The library wants one thread at a time.
        self._lock = threading.RLock()
        pointer = c_void_p()
        check(lib.filter_new(_action(default), byref(pointer)))
        self._handle = Handle(pointer.value or 0, free_filter)

    def add_arch(self, arch: int | str) -> Filter:
        """Decides about the calls of this architecture too. Add all before the first rule.

        Raises :class:`UnknownArch`; :class:`InvalidArgument` after a rule; :class:`Unsupported` if
        libseccomp lacks it.
        """
        handle = self._live()
        number = arch_from_name(arch) if isinstance(arch, str) else arch
        with self._lock:
            check(lib.filter_add_arch(handle.pointer, number))
        return self

    def add_rule(self, action: int, name: str, *conditions: Condition) -> Filter:
        """Does ``action`` for the calls of this name whose arguments meet all conditions.

        A rule without conditions replaces those with some for the same call.

        >>> _ = Filter().add_rule(Action.NOTIFY, "socket", Arg(0) == 2, (Arg(1) & 0xf) == 1)

        Raises :class:`UnknownSyscall`; :class:`InvalidArgument` when an argument comes twice, or an
        earlier rule with the same conditions has another action.
        """
        handle = self._live()
        array = (_Compare * len(conditions))(
            *(_Compare(c.arg, c.compare, c.value, c.mask) for c in conditions)
        )
        pointer, number = (array, len(array)) if conditions else (None, 0)
        with self._lock:
            check(lib.filter_add_rule(handle.pointer, _action(action), name.encode(), pointer, number))
        return self

    def notify(self, *names: str) -> Filter:
        """Notifies the supervisor of the calls of these names.

        Raises :class:`UnknownSyscall`; those before it in the list have been added then.
        """
        handle = self._live()
        for name in names:
            with self._lock:
                check(lib.filter_notify(handle.pointer, name.encode()))
        return self

    def notify_family(self, *families: str) -> Filter:
        """Notifies all calls that do the same job, such as "open", and refuses those past the filter.

        See :func:`families`, and docs/families.md.
        """
        handle = self._live()
        for family in families:
            with self._lock:
                check(lib.filter_notify_family(handle.pointer, family.encode()))
        return self

    def export_bpf(self) -> bytes:
        """The filter as the kernel takes it, a ``struct sock_filter[]``."""
        handle = self._live()
        size = c_size_t()
        with self._lock:
            check(lib.filter_export_bpf(handle.pointer, None, byref(size)))
            room = ctypes.create_string_buffer(size.value)
            check(lib.filter_export_bpf(handle.pointer, room, byref(size)))
        return room.raw[: size.value]

    def export_pfc(self, file: Any) -> None:
        """Writes the filter as text for people to ``file``, a descriptor or what has a ``fileno()``."""
        handle = self._live()
        if not isinstance(file, int):
            file.flush()
            file = file.fileno()
        with self._lock:
            check(lib.filter_export_pfc(handle.pointer, file))

    def load(self, flags: int = 0) -> Listener | None:
        """Puts the filter on the calling thread, for good, and gives its listener.

        The thread is a target from then on: another thread or process must answer it. **Python itself
        makes system calls between any two lines.** Load a filter in a child of yours that does little
        else, and notify few calls; to start a program, :func:`spawn` is what you want. A filter that
        notifies nothing is loaded without a listener.

        Raises :class:`Busy` when the thread's filters have a listener already; :class:`Permission` with
        ``KEEP_PRIVS`` and neither no_new_privs nor ``CAP_SYS_ADMIN``.
        """
        handle = self._live()
        options = _LoadOptions(ctypes.sizeof(_LoadOptions), flags, 0)
        pointer = c_void_p()
        with self._lock:
            check(lib.filter_load(handle.pointer, byref(options), byref(pointer)))
        return None if pointer.value is None else Listener._of(pointer.value)


def _unsigned(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 64:
        raise OverflowError(f"not a number of 64 bits: {value}")
    return value & 0xFFFF_FFFF_FFFF_FFFF


def _action(action: int) -> int:
    if not 0 <= action <= 0xFFFF_FFFF:
        raise OverflowError(f"not an action: {action}")
    return int(action)
