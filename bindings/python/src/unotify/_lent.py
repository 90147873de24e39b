"""What a supervisor's library lends to handlers."""

from __future__ import annotations

from typing import Any

from ._held import Held
from ._library import quick
from .listener import no_room
from .notification import Notification
from .verdict import C_DEFERRED, C_HANDLED


class Lent:
    """What a supervisor's library lends to handlers: a notification, and what its listener came with."""

    __slots__ = ("by_key", "has_data", "held")

    def __init__(self) -> None:
        # The handle of what was shown last.
        self.held: Held | None = None
        # What the listeners were added with, by the numbers that the library has instead.
        self.by_key: dict[int, Any] = {}
        self.has_data = False

    def show(self, pointer: int) -> Held:
        """The handle of what the library shows; kept if it is sure to be the same the next time."""
        held = Held(pointer, lent=True)
        self.held = held if held.is_within else None
        return held

    def data(self, pointer: int) -> Any:
        return self.by_key.get(quick.notification_listener_data(pointer))

    def keep(self, call: Notification, held: Held) -> int:
        if call._over is not None:
            return C_HANDLED  # it was answered before
        held.keep()
        self.held = None
        return C_DEFERRED


class Lender:
    """Where the handles of a supervisor's notifications go back to: nowhere, they are its own."""

    def __init__(self) -> None:
        self._spare = no_room()
