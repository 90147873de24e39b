"""Handles of the C library: who owns one, when it is freed, and what becomes of it in a fork."""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import time
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from ._library import final

# All handles that are alive, by address, and some that were.
_alive: dict[int, weakref.ref[Handle]] = {}

# How long, in seconds, who uses a handle may take to leave it.
_LEAVE = 5.0

# A function that does nothing, and is none of Python's: see Handle.
_NOTHING = bool


class Handle:
    """Owns a handle of the C library, and frees it when nobody refers to it any more.

    Who calls the library with it keeps a reference until that has returned, so that what another
    thread closes meanwhile is freed by the last one to leave.

    Nothing of it being freed is Python's code. A signal handler may run, and raise, at the beginning of
    any function of Python's, of ``__del__`` as well, and then a target would wait for ever.
    """

    __slots__ = ("__weakref__", "_finish", "argument", "busy", "pointer")

    def __init__(self, pointer: int, free: Callable[[int], Any]) -> None:
        self._finish: Callable[[], Any] = functools.partial(free, pointer)
        self.pointer: int | None = pointer
        # An element for each call that is under way, where it may be given up meanwhile.
        self.busy: list[None] = []
        # For functions that take their arguments as they are.
        self.argument: Any = ctypes.byref(ctypes.c_char.from_address(pointer))
        _alive[pointer] = weakref.ref(self)

    __del__ = property(operator.attrgetter("_finish"))

    def release(self) -> int:
        """Gives it up to somebody else, who owns it from here on, once those who use it have left."""
        pointer, self.pointer = self.pointer, None
        if pointer is None:
            raise ValueError("used in a copy of its process, or given away")
        argument, self.argument = self.argument, None
        end = time.monotonic() + _LEAVE
        while self.busy:
            if time.monotonic() > end:
                self.pointer, self.argument = pointer, argument
                raise ValueError("another thread is at work on it")
            time.sleep(0.001)
        self._finish = _NOTHING
        return pointer

    def forget(self) -> None:
        """Frees it in a copy of the process, in which it must not be used."""
        if self.pointer is not None:
            self.pointer = self.argument = None
            self._finish()
            self._finish = _NOTHING


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
    for reference in list(_alive.values()):
        handle = reference()
        if handle is not None:
            handle.forget()
    _alive.clear()


os.register_at_fork(after_in_child=_forget)

free_filter = final.filter_free
free_listener = final.listener_free
free_notification = final.notification_free
free_roots = final.roots_free
free_supervisor = final.supervisor_free
free_child = final.child_free
free_agent = final.agent_free
free_container = final.container_free
