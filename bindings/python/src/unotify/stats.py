"""Statistics of supervisors."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t, c_uint64
from typing import NamedTuple

from ._library import check, lib


class Stats(NamedTuple):
    """What a supervisor has done since it was made."""

    received: int
    values: int
    errors: int
    continued: int
    fds: int
    fallbacks: int
    gone: int
    deferred: int
    deferred_outstanding: int
    panics: int
    failed: int
    listeners: int
    workers: int
    workers_max: int
    slowest_handler_ns: int
    workers_stuck: int


class _Stats(ctypes.Structure):
    _fields_ = (("size", c_size_t), *((name, c_uint64) for name in Stats._fields))


def read_stats(supervisor: int | None) -> Stats:
    """What the supervisor with this handle has done so far."""
    found = _Stats(ctypes.sizeof(_Stats))
    check(lib.supervisor_stats(supervisor, byref(found)))
    return Stats(*(getattr(found, name) for name in Stats._fields))
