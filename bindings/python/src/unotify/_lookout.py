"""Gets the main thread out of a receive for Python's signal handlers.

They run on the main thread and only when it is not in C. A receive that a signal ends takes a system
call more for each notification, a seventh of its time. So a loop on the main thread waits in one that
no signal ends, and a thread ends that twenty times a second, for as long as there is such a loop.
"""

from __future__ import annotations

import os
import threading
import time

from ._handle import Handle
from ._library import quick

_EVERY = 0.05


class Lookout:
    # What the main thread receives from at this moment.
    current: Handle | None = None

    def __init__(self) -> None:
        self._loops = 0
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """A loop begins on the main thread."""
        self._loops += 1
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="unotify lookout", daemon=True)
            self._thread.start()

    def end(self) -> None:
        self._loops -= 1
        if self._loops == 0:
            self._wanted.clear()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(_EVERY)
            self._interrupt()

    def _interrupt(self) -> None:
        handle = self.current
        if handle is None:
            return
        handle.busy.append(None)
        try:
            # By now it may be another one that receives, or nobody, and finds this later.
            if handle.pointer is not None:
                quick.listener_set_interrupted(handle.pointer, 1)
        finally:
            handle.busy.pop()


lookout = Lookout()


def _after_fork() -> None:
    lookout.__init__()  # type: ignore[misc]
    lookout.current = None


os.register_at_fork(after_in_child=_after_fork)
