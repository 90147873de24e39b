"""Who a target is."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_size_t, c_uint32, c_uint64
from typing import NamedTuple


class CIdentity(ctypes.Structure):
    """The library's `unotify_identity`."""

    _fields_ = (
        ("size", c_size_t),
        ("tgid", c_int),
        ("uid", c_uint32),
        ("euid", c_uint32),
        ("fsuid", c_uint32),
        ("gid", c_uint32),
        ("egid", c_uint32),
        ("fsgid", c_uint32),
        ("umask", c_uint32),
        ("capabilities", c_uint64),
        ("same_user_namespace", c_uint32),
        ("reserved", c_uint32),
    )


class Identity(NamedTuple):
    """Who makes a call, as the supervisor's namespaces number it."""

    tgid: int
    uid: int
    euid: int
    fsuid: int
    gid: int
    egid: int
    fsgid: int
    umask: int
    capabilities: int
    same_user_namespace: bool

    @classmethod
    def of(cls, found: CIdentity) -> Identity:
        return cls(
            found.tgid,
            found.uid,
            found.euid,
            found.fsuid,
            found.gid,
            found.egid,
            found.fsgid,
            found.umask,
            found.capabilities,
            bool(found.same_user_namespace),
        )
