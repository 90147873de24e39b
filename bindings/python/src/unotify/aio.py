"""The same in an event loop of asyncio.

>>> import asyncio, unotify
>>> from unotify import aio
>>> async def main():
...     child = unotify.spawn(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
...     async for call in aio.listener(child.listener):
...         call.reply(42)
...     return await aio.wait(child)
>>> asyncio.run(main())
42
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import time
from collections.abc import AsyncIterator
from typing import Any

from . import errors
from ._handle import Forked
from .listener import Listener
from .notification import Notification
from .spawn import Child
from .supervisor import Supervisor

# A target that calls again within this time, in seconds, is waited for without a turn of the event loop,
# which would take longer than the call. A wait is a millisecond at most; others have their turn after:
_SOON = 250e-6
_TURN = 500e-6

# Before, a listener does not end with its last target, and looking for the end is up to us.
_ENDS_BY_ITSELF = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 11)
_LOOK_EVERY = 0.1


class _Pace:
    """Whether notifications come so fast that the event loop is better left out."""

    def __init__(self, may_hold: bool) -> None:
        self._may_hold = may_hold
        self._last = self._turn = 0.0
        self.holds = False

    def came(self) -> bool:
        """A notification has come; whether others are to have their turn before the next."""
        now = time.perf_counter()
        self.holds = self._may_hold and now - self._last < _SOON
        self._last = now
        return now - self._turn > _TURN

    def had_turn(self) -> None:
        self._turn = time.perf_counter()


class listener:
    """The notifications of a listener, for ``async for``, until its last target has exited.

    While calls come in quick succession the event loop is held for half a millisecond at a time, and for
    one more when they stop, as its turn takes longer than a call; ``may_hold=False`` never does so.
    """

    def __init__(self, listener: Listener, *, may_hold: bool = True) -> None:
        self._listener = listener
        self._pace = _Pace(may_hold)

    def __aiter__(self) -> AsyncIterator[Notification]:
        return self._calls()

    async def _calls(self) -> AsyncIterator[Notification]:
        look, pace = self._listener._look, self._pace
        while True:
            try:
                call = look(1 if pace.holds else 0)
            except (errors.Closed, errors.Stopped):
                return
            if call is None:
                pace.holds = False
                await _readable(self._listener.fileno())
                pace.had_turn()
                continue
            turn = pace.came()
            yield call
            del call
            if turn:
                await asyncio.sleep(0)
                pace.had_turn()


async def _readable(fd: int) -> None:
    """Waits for a descriptor to be readable."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def tell() -> None:
        if not readable.done():
            readable.set_result(None)

    # One of our own: others may wait for the same.
    own = os.dup(fd)
    look = None if _ENDS_BY_ITSELF else loop.call_later(_LOOK_EVERY, tell)
    try:
        loop.add_reader(own, tell)
        await readable
    finally:
        loop.remove_reader(own)
        os.close(own)
        if look is not None:
            look.cancel()


async def serve(supervisor: Supervisor, *, may_hold: bool = True) -> bool:
    """Serves a supervisor's listeners in this event loop, on its thread, until the last has closed
    (``True``) or it is stopped (``False``). Cancelling leaves the supervisor as it is.

    ``may_hold`` is as for :class:`listener`. Raises as :meth:`Supervisor.run`.
    """
    generation = Forked.generation
    fd = supervisor.fileno()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    pace = _Pace(may_hold)
    loop = asyncio.get_running_loop()
    over: asyncio.Future[bool] = loop.create_future()

    def dispatch() -> None:
        try:
            while supervisor.dispatch() and generation == Forked.generation:
                if pace.came() or not pace.holds or not poll.poll(1):
                    break
            pace.had_turn()
        except errors.Closed:
            _settle(over, True)
        except errors.Stopped:
            _settle(over, False)
        except BaseException as failure:  # noqa: BLE001 - it comes out of serve()
            if not over.done():
                over.set_exception(failure)

    own = os.dup(fd)
    try:
        loop.add_reader(own, dispatch)
        # What is there already, and what has closed, needs no event.
        loop.call_soon(dispatch)
        return await over
    finally:
        loop.remove_reader(own)
        os.close(own)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


async def wait(child: Child) -> int:
    """Waits for a program to end, and gives its return code."""
    while (returncode := child.poll()) is None:
        try:
            pidfd = child.pidfd()
        except errors.System:
            await asyncio.sleep(0.05)
        else:
            await _readable(pidfd)
    return returncode
