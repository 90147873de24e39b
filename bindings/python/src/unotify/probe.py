"""Whether it works here: what may be used, where a kernel's features do not tell."""

from __future__ import annotations

import ctypes
import enum
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import NamedTuple

from ._handle import Handle
from ._library import check, final, lib, quick
from .errors import InvalidArgument


class Outcome(enum.IntEnum):
    """What came of trying something."""

    WORKS = 1
    FAILS = 2
    NOT_TRIED = 3


class Part(NamedTuple):
    """One thing that a supervisor does, and whether it can here."""

    name: str
    outcome: Outcome
    detail: str
    errno: int
    is_basic: bool


class Probe(NamedTuple):
    """What a probe has found."""

    basics_work: bool
    parts: tuple[Part, ...]


class _Part(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("name", c_char_p),
        ("detail", c_char_p),
        ("outcome", c_uint32),
        ("errnum", c_int),
        ("is_basic", c_int),
        ("reserved", c_uint32),
    )


def probe(timeout: float = 1.0) -> Probe:
    """Tries what a supervisor does, with a thread and a child of its own; ``timeout`` is for each wait.

    >>> found = probe()
    >>> found.basics_work, found.parts[0].name
    (True, 'kernel')
    """
    pointer = c_void_p()
    check(lib.probe_new(max(1, round(timeout * 1000)), byref(pointer)))
    handle = Handle(pointer.value or 0, final.probe_free)
    parts: list[Part] = []
    while True:
        found = _Part(ctypes.sizeof(_Part))
        try:
            check(quick.probe_get(handle.pointer, len(parts), byref(found)))
        except InvalidArgument:
            break
        parts.append(
            Part(
                found.name.decode(),
                Outcome(found.outcome),
                found.detail.decode(),
                found.errnum,
                bool(found.is_basic),
            )
        )
    return Probe(bool(quick.probe_basics_work(handle.pointer)), tuple(parts))
