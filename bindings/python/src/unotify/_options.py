"""How a supervisor is to work."""

from __future__ import annotations

import ctypes
import enum
from ctypes import c_int, c_size_t, c_uint32


class WakeUp(enum.IntEnum):
    """How the kernel wakes the other side."""

    AUTO = 0
    SYNC = 1
    ASYNC = 2


class Options(ctypes.Structure):
    """The library's `unotify_supervisor_opts`."""

    _fields_ = (
        ("size", c_size_t),
        ("max_workers", c_uint32),
        ("fallback_error", c_int),
        ("flags", c_uint32),
        ("wake_up", c_uint32),
    )


KEEP_RUNNING = 1 << 0
DRAIN_ON_STOP = 1 << 1
