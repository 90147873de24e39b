"""Listeners: the supervising end of a filter that notifies."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Iterator
from ctypes import byref, c_int, c_void_p
from threading import get_ident
from time import monotonic
from typing import Any

from ._handle import Handle, Owner, free_listener
from ._held import Held
from ._library import check, error, lib, milliseconds, quick, raw
from ._lookout import lookout
from .errors import Status
from .notification import Notification

_receive = raw.unotify_listener_receive
_receive_with = raw.unotify_listener_receive_with

_new = Notification.__new__

# A single receive on the main thread ends when a signal was handled, so that Python's own handlers run.
# One that comes just before it waits does not end it; nothing waits longer than this, in milliseconds.
_SLICE = 100
_NO_LIMIT = c_int(-1)
_RETURN_ON_SIGNAL = 1

_TIMEOUT = int(Status.TIMEOUT)
_INTERRUPTED = int(Status.INTERRUPTED)
_CLOSED = int(Status.CLOSED)
_STOPPED = int(Status.STOPPED)


class Listener(Owner):
    """The supervising end of a filter. Owns its descriptor.

    Any number of threads may receive from it; each notification goes to one of them. It is a context
    manager, and an iterator over the notifications until the last target has exited:

    >>> import unotify
    >>> child = unotify.spawn(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
    >>> with child.listener as listener:
    ...     for call in listener:
    ...         call.reply(42)
    >>> child.wait()
    42

    What is received on the main thread is left within a tenth of a second for a signal, such as the one
    of Ctrl-C.
    """

    _noun = "listener"
    _handle: Handle | None
    # Handles of answered notifications, to be received into again.
    _spare: Any
    # Whether interrupt() is on.
    _interrupted: bool

    def __init__(self) -> None:
        raise TypeError("a listener comes from spawn(), Filter.load() or Listener.from_...()")

    @classmethod
    def _of(cls, pointer: int) -> Listener:
        self = cls.__new__(cls)
        self._handle = Handle(pointer, free_listener)
        self._spare = []
        self._interrupted = False
        return self

    @classmethod
    def from_fd(cls, fd: int) -> Listener:
        """Makes a listener of a descriptor, and takes ownership of that unless this fails.

        Raises :class:`InvalidArgument` when it is no listener.
        """
        pointer = c_void_p()
        check(lib.listener_from_fd(fd, byref(pointer)))
        return cls._of(pointer.value or 0)

    @classmethod
    def from_pid(cls, pid: int, fd: int) -> Listener:
        """Duplicates the listener that process ``pid`` has as descriptor ``fd``.

        Raises :class:`Permission` without the right to trace that process; :class:`System` with ``ESRCH``,
        so a :class:`ProcessLookupError`, when there is none; :class:`InvalidArgument` when it has no such
        descriptor or that is no listener.
        """
        pointer = c_void_p()
        check(lib.listener_from_pid(pid, fd, byref(pointer)))
        return cls._of(pointer.value or 0)

    @classmethod
    def from_socket(cls, unix_socket: int | socket.socket) -> Listener:
        """Receives a listener over a Unix socket, as :meth:`send` sends it.

        Raises :class:`Closed` when the other side is closed; :class:`InvalidArgument` when what came is no
        listener.
        """
        fd = unix_socket if isinstance(unix_socket, int) else unix_socket.fileno()
        pointer = c_void_p()
        check(lib.listener_from_socket(fd, byref(pointer)))
        return cls._of(pointer.value or 0)

    def send(self, unix_socket: int | socket.socket) -> None:
        """Sends a duplicate of the listener for :meth:`from_socket`."""
        fd = unix_socket if isinstance(unix_socket, int) else unix_socket.fileno()
        check(self._use(lib.listener_to_socket, fd))

    def fileno(self) -> int:
        """Its descriptor, which remains the listener's, for ``select`` and its like."""
        return int(self._use(quick.listener_fd))

    def detach(self) -> int:
        """Closes the listener but not its descriptor, which is the caller's to close."""
        fd = int(lib.listener_into_fd(self._give_up()))
        if fd < 0:
            raise error(Status.SYSTEM)
        return fd

    def _give_up(self) -> int:
        """Closes it for this program, and gives the library's handle to who asks."""
        handle = self._live()
        self._use(quick.listener_set_interrupted, 1)
        self._handle, spare, self._spare = None, self._spare, no_room()
        spare.clear()
        try:
            pointer = handle.release()
        except ValueError:
            self._handle = handle
            raise
        # It may be received from again one day.
        quick.listener_set_interrupted(pointer, 0)
        return pointer

    def _take_back(self, pointer: int) -> None:
        """It was not wanted."""
        self._handle, self._spare = Handle(pointer, free_listener), []

    def _use(self, function: Any, *arguments: Any) -> Any:
        """Calls a function of the library, which keeps the handle until it has returned."""
        handle = self._live()
        handle.busy.append(None)
        try:
            return function(handle.pointer, *arguments)
        finally:
            handle.busy.pop()

    def close(self) -> None:
        """Frees the listener; receives that are under way on other threads raise :class:`ValueError`.

        Its descriptor is closed once the last notification of it is answered or gone: the kernel then
        answers what is pending, and every later call of the targets, with ``ENOSYS``.
        """
        handle, self._handle = self._handle, None
        if handle is not None and handle.pointer is not None:
            quick.listener_set_interrupted(handle.pointer, 1)
        # What is answered from here on is freed.
        spare, self._spare = self._spare, no_room()
        spare.clear()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _notification(self, held: Held) -> Notification:
        call = _new(Notification)
        call._held = [held]
        call._raw = held.request.tobytes()
        call._source = self
        call._over = None
        call._data = None
        return call

    def receive(self, timeout: float | None = None) -> Notification:
        """Waits for the next notification, ``timeout`` seconds at most; 0 only looks.

        Raises :class:`Timeout`; :class:`Stopped` when it was :meth:`interrupted <interrupt>`;
        :class:`Closed` when the last target has exited.
        """
        limit = milliseconds(timeout)
        deadline = None if limit < 0 else _now() + limit
        while True:
            handle = self._live()
            try:
                held = self._spare.pop()
            except IndexError:
                held = Held.empty()
            left = -1 if deadline is None else max(0, deadline - _now())
            flags = 0
            if get_ident() == _main_thread:
                left, flags = _SLICE if left < 0 else min(left, _SLICE), _RETURN_ON_SIGNAL
            handle.busy.append(None)
            try:
                status = lib.listener_receive_with(handle.pointer, left, flags, held.reference)
            finally:
                handle.busy.pop()
            if not status:
                return self._notification(held)
            over = deadline is not None and _now() >= deadline
            self._not_received(handle, held, status, _INTERRUPTED, _INTERRUPTED if over else _TIMEOUT)

    def _look(self, limit: int) -> Notification | None:
        """Waits so many milliseconds, not to be interrupted; ``None`` if nothing came."""
        handle = self._live()
        try:
            held = self._spare.pop()
        except IndexError:
            held = Held.empty()
        handle.busy.append(None)
        try:
            status = _receive_with(handle.argument, limit, 0, held.reference)
        finally:
            handle.busy.pop()
        if not status:
            return self._notification(held)
        self._not_received(handle, held, status, _TIMEOUT)
        return None

    def _not_received(self, handle: Handle, held: Held, status: int, *expected: int) -> int:
        """Nothing came: raises why, unless that was to be expected, and gives it then."""
        try:
            if self._handle is not handle or handle.pointer is None:
                self._refuse()
            if status == _STOPPED and not self._interrupted:
                # Somebody only wanted the main thread to look up.
                self._allow()
                return _INTERRUPTED
            if status not in expected:
                raise error(status)
            return status
        finally:
            self._spare.append(held)

    def __iter__(self) -> Iterator[Notification]:
        """Over the notifications, until the last target has exited or it is interrupted."""
        on_main = get_ident() == _main_thread
        if on_main:
            lookout.begin()
        try:
            while True:
                handle = self._live()
                try:
                    held = self._spare.pop()
                except IndexError:
                    held = Held.empty()
                handle.busy.append(None)
                try:
                    if on_main:
                        lookout.current = handle
                    status = _receive(handle.argument, _NO_LIMIT, held.reference)
                finally:
                    if on_main:
                        lookout.current = None
                    handle.busy.pop()
                if status:
                    status = self._not_received(handle, held, status, _CLOSED, _STOPPED)
                    if status == _INTERRUPTED:
                        continue
                    return
                # As in _notification(), which would be one call more.
                call = _new(Notification)
                call._held = [held]
                call._raw = held.request.tobytes()
                call._source = self
                call._over = None
                call._data = None
                yield call
        finally:
            if on_main:
                lookout.end()

    def interrupt(self, on: bool = True) -> None:
        """While this is on, receives end with :class:`Stopped`, those under way on other threads and
        later ones, and iterations end. What is pending stays so."""
        self._interrupted = on
        check(self._use(quick.listener_set_interrupted, int(on)))

    def _allow(self) -> None:
        """Takes back an interruption of the lookout's, but not the program's, which may come meanwhile."""
        self._use(quick.listener_set_interrupted, 0)
        if self._interrupted:
            self._use(quick.listener_set_interrupted, 1)

    def watch_child(self, pidfd: int) -> None:
        """Tells which child of the caller's loaded the filter by itself, so that the listener ends with it
        before Linux 6.11 too. Not needed after :func:`spawn`."""
        check(self._use(lib.listener_watch_child, pidfd))

    def set_sync_wake_up(self, on: bool) -> None:
        """Switches synchronous wake-up on or off. It is on at first where the kernel has it (6.6)."""
        check(self._use(lib.listener_set_sync_wake_up, int(on)))

    def set_fallback_error(self, errnum: int) -> None:
        """Chooses the error, 1 to 4095, for notifications that nobody answers: ``ENOSYS`` at first."""
        check(self._use(quick.listener_set_fallback_error, errnum))


def _now() -> int:
    return int(monotonic() * 1000)


def no_room() -> Any:
    """What takes a handle and drops it, so that it is freed."""
    return deque(maxlen=0)


def _after_fork() -> None:
    global _main_thread
    _main_thread = get_ident()


_main_thread = threading.main_thread().ident
os.register_at_fork(after_in_child=_after_fork)
