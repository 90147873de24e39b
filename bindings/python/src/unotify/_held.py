"""Handles of notifications, and answers that are made beforehand."""

from __future__ import annotations

import functools
from ctypes import byref, c_char, c_int64, c_void_p
from typing import Any

from ._handle import Handle, free_notification
from ._library import check, quick
from ._request import REQUEST

# Made beforehand, as most answers are small.
VALUES = {value: c_int64(value) for value in range(-1, 256)}


class Held(Handle):
    """The library's handle of a notification: what to receive into, and what to look at.

    One that is lent is the library's own, which it shows to a handler.
    """

    __slots__ = ("is_within", "lent", "reference", "request")

    def __init__(self, pointer: int, lent: bool = False) -> None:
        self.lent = lent
        super().__init__(pointer, _leave if lent else free_notification)
        # The same address for as long as the handle lives, commonly within it.
        address = quick.notification_request(pointer)
        self.is_within = 0 <= address - pointer < 4096
        self.request = memoryview((c_char * REQUEST.size).from_address(address)).cast("B")
        self.reference: Any = byref(c_void_p(pointer))

    def keep(self) -> None:
        """What was lent is its holder's from here on."""
        self.lent = False
        if self.pointer is not None:
            self._finish = functools.partial(free_notification, self.pointer)

    @classmethod
    def empty(cls) -> Held:
        pointer = c_void_p()
        check(quick.notification_new(byref(pointer)))
        return cls(pointer.value or 0)


# Frees nothing, and is none of Python's: see Handle.
_leave = bool
