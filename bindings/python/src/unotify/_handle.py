"""Handles of the C library: who owns one, when it is freed, and what becomes of it in a fork."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from ._library import final

_alive: weakref.WeakSet[Handle] = weakref.WeakSet()


class Handle:
    """Owns a handle of the C library, and frees it when nobody refers to it any more.

    Who calls the library with it keeps a reference until that has returned, so that what another
    thread closes meanwhile is freed by the last one to leave.
    """

    __slots__ = ("__weakref__", "_free", "argument", "pointer")

    def __init__(self, pointer: int, free: Callable[[int], Any]) -> None:
        # Set first: a signal handler may raise after any of these lines.
        self._free = free
        self.pointer: int | None = pointer
        # For functions that take their arguments as they are.
        self.argument: Any = ctypes.byref(ctypes.c_char.from_address(pointer))
        _alive.add(self)

    def release(self) -> int:
        """Gives it up to somebody else, who owns it from here on."""
        pointer = self.pointer
        if pointer is None:
            raise ValueError("used in a copy of its process, or given away")
        self.pointer = self.argument = None
        return pointer

    def free(self) -> None:
        pointer, self.pointer, self.argument = self.pointer, None, None
        if pointer is not None:
            self._free(pointer)

    def __del__(self) -> None:
        # One whose making was interrupted has nothing.
        if getattr(self, "pointer", None) is not None:
            self.free()


class Owner:
    """What a program holds: a handle until it is closed."""

    _handle: Handle | None

    # What it is called in an error.
    _noun = "handle"

    def _live(self) -> Handle:
        """The handle, for as long as the caller refers to it."""
        handle = self._handle
        if handle is None or handle.pointer is None:
            self._refuse()
        return handle

    def _refuse(self) -> NoReturn:
        handle = self._handle
        if handle is None:
            raise ValueError(f"the {self._noun} is closed")
        raise ValueError(f"the {self._noun} is of the process that this one was forked from")

    @property
    def closed(self) -> bool:
        """Whether it was closed, or belongs to the process that this one was forked from."""
        handle = self._handle
        return handle is None or handle.pointer is None

    def close(self) -> None:
        """Frees it. What uses it on another thread at this moment keeps it until that is over."""
        self._handle = None

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {id(self):#x}"
        return f"<unotify.{type(self).__name__} {state}>"


class Forked:
    """Whether this process is a copy by ``fork`` of one that had the package loaded."""

    # How many forks lie behind it.
    generation = 0


def _forget() -> None:
    """In the child after a fork: it has handles of its parent's, and nobody is to be answered by it.

    In a copy of a process freeing a handle only frees it, and closes its descriptor, without which a
    target would never learn that its supervisor is gone.
    """
    Forked.generation += 1
    for handle in list(_alive):
        handle.free()


os.register_at_fork(after_in_child=_forget)

free_filter = final.filter_free
free_listener = final.listener_free
free_notification = final.notification_free
free_roots = final.roots_free
free_supervisor = final.supervisor_free
free_child = final.child_free
