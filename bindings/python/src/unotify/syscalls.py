"""Architectures, system calls, and what the running kernel has.

>>> import unotify
>>> unotify.arch_name(unotify.arch_native()) in ("x86_64", "aarch64")
True
>>> unotify.syscall_name(unotify.syscall_from_name("openat"))
'openat'
"""

from __future__ import annotations

import ctypes
import enum
from ctypes import byref, c_int, c_uint32

from ._library import check, lib, quick


class Features(enum.IntFlag):
    """What the running kernel is found to offer."""

    NOTIFY = 1 << 0
    TSYNC_WITH_LISTENER = 1 << 1
    WAIT_KILLABLE = 1 << 2


def features() -> Features:
    """What the running kernel is found to offer; whether a program may use it, :func:`probe` tells.

    >>> bool(features() & Features.NOTIFY)
    True
    """
    return Features(lib.features() & 0b111)


def library_version() -> str:
    """The version of the C library, such as "0.1.0"."""
    return str(quick.version().decode())


def arch_native() -> int:
    """The architecture that the library was compiled for, an ``AUDIT_ARCH_*`` value."""
    return int(quick.arch_native())


def arch_compat() -> int:
    """That of 32-bit programs here: x86 on x86_64, arm on aarch64; else the native one."""
    return int(quick.arch_compat())


def arch_from_name(name: str) -> int:
    """An architecture's number by its name, such as "x86_64" or "native".

    >>> arch_from_name("native") == arch_native()
    True
    """
    arch = c_uint32()
    check(quick.arch_from_name(name.encode(), byref(arch)))
    return arch.value


def arch_name(arch: int) -> str | None:
    """The short name of an architecture; ``None`` for a number that is not one."""
    name = quick.arch_name(arch & 0xFFFF_FFFF)
    return None if name is None else name.decode()


def syscall_from_name(name: str, arch: int = 0) -> int:
    """The number of a system call on an architecture, 0 being the native one."""
    number = c_int()
    check(quick.syscall_from_name(arch, name.encode(), byref(number)))
    return number.value


_names: dict[tuple[int, int], str] = {}


def syscall_name(number: int, arch: int = 0) -> str:
    """The name of a system call on an architecture, 0 being the native one."""
    name = _names.get((arch, number))
    if name is None:
        room = ctypes.create_string_buffer(64)
        check(quick.syscall_name(arch, number, room, len(room)))
        name = _names[arch, number] = room.value.decode()
    return name


def families() -> list[str]:
    """The names of the families of system calls for :meth:`Filter.notify_family`.

    >>> "open" in families()
    True
    """
    names: list[str] = []
    while name := quick.family_name(len(names)):
        names.append(name.decode())
    return names
