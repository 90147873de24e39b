"""What handlers return, and what that means."""

from __future__ import annotations

import enum
import operator
from typing import Any, Callable, Union

from .notification import Notification


class Verdict(enum.Enum):
    """What a handler may return instead of a value."""

    CONTINUE = "the kernel carries the call out as if there were no filter"
    DEFERRED = "from now on the notification is the handler's, to be answered later, on any thread"
    NOT_HANDLED = "for the next handler, the default one, and then the fallback error"


CONTINUE = Verdict.CONTINUE
DEFERRED = Verdict.DEFERRED
NOT_HANDLED = Verdict.NOT_HANDLED

# What they return to the library, which is answered before: UNOTIFY_HANDLED and so on.
C_HANDLED, C_DEFERRED, C_NOT_HANDLED, C_FAILED = range(4)

Handler = Callable[[Notification], Union[int, Verdict, None]]


def conclude(call: Notification, result: Any) -> int:
    """Does what a handler has returned."""
    if result is CONTINUE:
        call.reply_continue()
    elif result is DEFERRED:
        return C_DEFERRED
    elif result is NOT_HANDLED:
        return C_NOT_HANDLED
    else:
        call.reply(operator.index(result))
    return C_HANDLED
