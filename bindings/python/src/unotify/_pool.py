"""The threads of handlers that block."""

from __future__ import annotations

import queue
import threading
import weakref
from typing import TYPE_CHECKING

from .notification import Notification
from .verdict import C_DEFERRED, DEFERRED, Handler, conclude

if TYPE_CHECKING:
    from .supervisor import Supervisor


class Pool:
    """The threads for handlers that block, which are started when they are needed."""

    def __init__(self, supervisor: Supervisor, size: int) -> None:
        self._supervisor = weakref.ref(supervisor)
        self._size = size
        self._waiting: queue.SimpleQueue[tuple[Handler, Notification] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._stopped = False

    def take(self, handler: Handler, call: Notification) -> int:
        """Has a handler run on one of the threads. The notification is kept until then."""
        with self._lock:
            self._stopped = False
            self._busy += 1
            if self._busy > len(self._threads) and len(self._threads) < self._size:
                thread = threading.Thread(target=self._work, name="unotify handler", daemon=True)
                thread.start()
                self._threads.append(thread)
        self._waiting.put((handler, call))
        return C_DEFERRED

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            self._handle(*work)
            del work
            with self._lock:
                self._busy -= 1

    def _handle(self, handler: Handler, call: Notification) -> None:
        supervisor = self._supervisor()
        if supervisor is None or self._stopped:
            call.close()
            return
        try:
            result = handler(call)
            if result is DEFERRED:
                return
            if result is not None:
                conclude(call, result)
        except BaseException as failure:
            supervisor._answer_failure(call, failure)
        call.close()

    def finish(self, stopped: bool) -> None:
        """Waits until all is handled; what no handler has begun with is let go when it was stopped."""
        self._stopped = stopped
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()
