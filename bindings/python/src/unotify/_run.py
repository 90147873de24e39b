"""Runs of supervisors: one is under way on one thread, is waited for and stopped by others."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ._handle import Handle
from ._library import error, fail
from .errors import Status

if TYPE_CHECKING:
    from .supervisor import Supervisor


class Run:
    """One run, on the thread that began it or on one of its own."""

    def __init__(self, supervisor: Supervisor, handle: Handle, function: Any, arguments: Any) -> None:
        self._supervisor = supervisor
        self._handle = handle
        self._function = function
        self._arguments = arguments
        self.done = threading.Event()
        self.failure: BaseException | None = None
        # The thread that it is on, while it is.
        self.thread = 0
        self._abandoned = False

    def begin(self, on_a_thread: bool) -> None:
        supervisor = self._supervisor
        with supervisor._changing:
            if supervisor._run is not None:
                sentence = "the supervisor runs already, or was not joined"
                fail(Status.INVALID_ARGUMENT, errno.EBUSY, sentence)
            supervisor._run = self
        if on_a_thread:
            # It keeps no program from its end; _end_all() does, when all else is done.
            threading.Thread(target=self._work, name="unotify supervisor", daemon=True).start()
        else:
            self._work()

    def _work(self) -> None:
        supervisor = self._supervisor
        with supervisor._changing:
            if self._abandoned:
                return
            self.thread = threading.get_ident()
            _running.add(self)
        try:
            status = self._function(self._handle.pointer, *self._arguments)
            if status:
                self.failure = error(status)
            if supervisor._pool is not None:
                supervisor._pool.finish(stopped=bool(status))
        except BaseException as failure:
            self.failure = failure
        finally:
            with supervisor._changing:
                self.thread = 0
                _running.discard(self)
                if self._abandoned and supervisor._run is self:
                    supervisor._run = None
                    supervisor._failure = None
            self.done.set()

    def abandon(self) -> None:
        """Something was raised where its end was waited for: ends it, whether it has begun or not."""
        supervisor = self._supervisor
        with supervisor._changing:
            if supervisor._run is not self:
                return
            self._abandoned = True
            if not self.thread:
                # It will not begin, or is over.
                supervisor._run = None
                return
        with contextlib.suppress(ValueError):
            supervisor.stop()
        self.done.wait()


# Those that are under way, so that none is when the interpreter ends: the library would call into it.
_running: weakref.WeakSet[Run] = weakref.WeakSet()


def _end_all() -> None:
    for run in list(_running):
        with contextlib.suppress(ValueError):
            run._supervisor.stop()
        if run.thread != threading.get_ident():
            run.done.wait()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_running.clear)
