"""Directories that targets may open things in."""

from __future__ import annotations

import enum
import os
from ctypes import byref, c_void_p
from typing import Union

from ._handle import Handle, Owner, free_roots
from ._library import check, lib

StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Right(enum.IntFlag):
    """What targets may do in a directory."""

    READ = 1 << 0
    WRITE = 1 << 1
    CREATE = 1 << 2


class Roots(Owner):
    """A set of directories, for :meth:`Notification.open_within`.

    Add to it before threads open with it. ``same_paths`` says that no target changes its root
    directory or its mounts, which is faster.

    >>> roots = Roots()
    >>> roots.add("/usr", Right.READ)
    >>> roots.close()
    """

    _noun = "set of directories"

    def __init__(self, *, same_paths: bool = False) -> None:
        self._handle = None
        pointer = c_void_p()
        check(lib.roots_new(int(same_paths), byref(pointer)))
        self._handle = Handle(pointer.value or 0, free_roots)

    def add(self, path: StrPath, rights: int) -> None:
        """Allows what lies in the directory ``path``, or that single file. It is kept open.

        Raises :class:`System` with the ``errno`` of opening it, so :class:`FileNotFoundError`, ...
        """
        handle = self._live()
        check(lib.roots_add(handle.pointer, os.fsencode(path), rights))
