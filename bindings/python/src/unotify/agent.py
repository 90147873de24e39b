"""Agents: the listeners of containers, which their runtimes (runc, crun, youki) send to a socket.

See docs/oci.md of the library for what a container's profile says.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from ctypes import CFUNCTYPE, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from time import monotonic
from typing import Any, Callable

from ._arguments import Descriptor, as_descriptor
from ._handle import Handle, Owner, free_agent, free_container
from ._library import check, lib, milliseconds, quick
from .errors import Closed, Stopped, Timeout
from .listener import Listener
from .roots import StrPath
from .supervisor import Supervisor

_CLog = CFUNCTYPE(None, c_char_p, c_void_p)

# Python's signal handlers run in between, in seconds.
_SLICE = 0.1


class _Options(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("mode", c_uint32),
        ("max_fds", c_uint32),
        ("max_message", c_size_t),
        ("time_limit_ms", c_int),
        ("n_users", c_uint32),
        ("users", c_void_p),
        ("log", c_void_p),
        ("log_data", c_void_p),
    )


class Container(Owner):
    """A container, or a process started in one, whose listener came to an agent."""

    _noun = "container"
    _handle: Handle | None
    _listener: Listener | None
    _taking: threading.Lock

    # Its name among those of its runtime; its user may have chosen it.
    id: str
    # The directory that it was described in.
    bundle: str
    # "creating", "created", "running" or "stopped", or what a runtime has beyond these.
    status: str
    # What the profile says in `listenerMetadata`.
    metadata: str
    # The version of the OCI runtime specification that the runtime goes by.
    version: str
    annotations: dict[str, str]
    # The process under the filter, as the runtime numbers it; it may have ended.
    pid: int
    # The container's first process, likewise.
    init_pid: int
    # Whether another agent has handed it over.
    was_handed_over: bool

    def __init__(self) -> None:
        raise TypeError("a container comes from Agent.accept()")

    @classmethod
    def _of(cls, pointer: int) -> Container:
        self = cls.__new__(cls)
        self._handle = Handle(pointer, free_container)
        self._listener = None
        self._taking = threading.Lock()
        self.id = _text(quick.container_id(pointer))
        self.bundle = _text(quick.container_bundle(pointer))
        self.status = _text(quick.container_status(pointer))
        self.metadata = _text(quick.container_metadata(pointer))
        self.version = _text(quick.container_version(pointer))
        self.annotations = {}
        while key := quick.container_annotation_key(pointer, len(self.annotations)):
            self.annotations[_text(key)] = _text(quick.container_annotation(pointer, key))
        self.pid = quick.container_pid(pointer)
        self.init_pid = quick.container_init_pid(pointer)
        self.was_handed_over = bool(quick.container_was_handed_over(pointer))
        return self

    @property
    def listener(self) -> Listener:
        """Its listener, always the same. If nobody asks for it, it is freed with the container."""
        with self._taking:
            if self._listener is None:
                handle = self._live()
                pointer = c_void_p()
                check(lib.container_take_listener(handle.pointer, byref(pointer)))
                self._listener = Listener._of(pointer.value or 0)
            return self._listener

    def fd(self, name: str) -> int | None:
        """A descriptor that came with the listener, by its name, open as long as container and listener are;
        ``None`` if there is none."""
        handle = self._live()
        fd = int(quick.container_fd(handle.pointer, name.encode()))
        return None if fd < 0 else fd

    def __repr__(self) -> str:
        return f"<unotify.Container {self.id!r}, {self.status}, process {self.pid}>"


class Agent(Owner):
    """Takes the listeners of containers at a socket at ``path``, which goes with the agent.

    It is iterable over the containers, until it is interrupted.

    :param mode: permissions of the socket, whatever the umask.
    :param users: who is listened to; by default root and this process's user.
    :param max_fds, max_message: how many descriptors, and bytes, a container's state may have.
    :param time_limit: seconds that a connection may take for it.
    :param log: is told, in a sentence, of each connection that was refused, and why.

    Raises :class:`Busy` when somebody listens at ``path``; :class:`Permission` when what is there is
    another user's.
    """

    _noun = "agent"
    _handle: Handle | None
    _keeps: Any

    def __init__(self, path: StrPath, **options: Any) -> None:
        self._begin(lib.agent_new, os.fsencode(path), **options)

    def _begin(
        self,
        function: Any,
        where: Any,
        *,
        mode: int = 0o600,
        users: Sequence[int] | None = None,
        max_fds: int = 16,
        max_message: int = 1 << 20,
        time_limit: float = 10.0,
        log: Callable[[str], Any] | None = None,
    ) -> None:
        self._handle = None
        given = () if users is None else users
        if users is not None and not users:
            raise ValueError("an agent that listens to nobody")
        array = (c_uint32 * len(given))(*given)
        told = _CLog(lambda sentence, _: log(_text(sentence)) if log else None)
        options = _Options(
            ctypes.sizeof(_Options),
            mode,
            max_fds,
            max_message,
            milliseconds(time_limit),
            len(given),
            ctypes.addressof(array) if given else None,
            ctypes.cast(told, c_void_p) if log else None,
            None,
        )
        pointer = c_void_p()
        check(function(where, byref(options), byref(pointer)))
        # What the library calls has to live as long as the agent.
        self._keeps = told
        self._handle = Handle(pointer.value or 0, free_agent)

    @classmethod
    def from_socket(cls, socket: Descriptor | None = None, **options: Any) -> Agent:
        """An agent on a duplicate of a Unix stream socket that listens; without one, on the one that a
        service manager passed (``LISTEN_FDS``)."""
        self = cls.__new__(cls)
        self._begin(lib.agent_from_socket, -1 if socket is None else as_descriptor(socket), **options)
        return self

    @classmethod
    def take_over(cls, socket: Descriptor, **options: Any) -> Agent:
        """An agent of what another process gives to the other end of ``socket``, with :meth:`hand_over`;
        the containers come again."""
        self = cls.__new__(cls)
        self._begin(lib.agent_take_over, as_descriptor(socket), **options)
        return self

    def fileno(self) -> int:
        """A descriptor for an event loop. It polls readable when :meth:`accept` has something to do, which
        may bring no container."""
        handle = self._live()
        return int(quick.agent_fd(handle.pointer))

    def accept(self, timeout: float | None = None) -> Container:
        """Waits for the next container, ``timeout`` seconds at most; 0 only looks.

        Raises :class:`Timeout`; :class:`Stopped` by :meth:`interrupt`; :class:`Closed` when the agent was
        handed over.
        """
        milliseconds(timeout)
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            handle = self._live()
            left = _SLICE if deadline is None else min(_SLICE, max(0.0, deadline - monotonic()))
            pointer = c_void_p()
            try:
                check(lib.agent_accept(handle.pointer, milliseconds(left), byref(pointer)))
            except Timeout:
                if deadline is not None and monotonic() >= deadline:
                    raise
                continue
            return Container._of(pointer.value or 0)

    def __iter__(self) -> Iterator[Container]:
        """Over the containers, until it is interrupted or handed over."""
        while True:
            try:
                container = self.accept()
            except (Stopped, Closed):
                return
            yield container

    def interrupt(self) -> None:
        """Ends one :meth:`accept`, iteration or :meth:`serve` that is under way, or else the next at once."""
        handle = self._live()
        check(quick.agent_interrupt(handle.pointer))

    def serve(
        self, supervisor: Supervisor, on_container: Callable[[Container], Any] = lambda container: container
    ) -> None:
        """Serves all containers with the handlers of ``supervisor``, which is made with ``keep_running``,
        until interrupted.

        ``on_container`` is told of each first, on this thread, and gives what its notifications show as
        :attr:`Notification.listener_data`, or ``None`` to have nothing to do with it: its calls fail with
        ``ENOSYS`` then. The handlers run on another thread of Python's. Afterwards the listeners are still
        the supervisor's. Raises what a handler has raised.
        """
        if not supervisor.keeps_running:
            raise ValueError("the supervisor would end without a container: make it with keep_running")
        supervisor.start()
        over = threading.Event()

        def watch() -> None:
            # A handler that fails ends the run, and then nothing is accepted either.
            supervisor.wait()
            if not over.is_set():
                self.interrupt()

        watcher = threading.Thread(target=watch, name="unotify agent", daemon=True)
        watcher.start()
        try:
            for container in self:
                data = on_container(container)
                if data is None:
                    container.listener.close()
                else:
                    supervisor.add_listener(container.listener, data)
        finally:
            over.set()
            supervisor.stop()
            watcher.join()
            supervisor.join()

    def hand_over(self, socket: Descriptor, supervisor: Supervisor | None = None) -> None:
        """Gives everything to another process, which calls :meth:`take_over` at the other end of ``socket``: the
        agent's socket, and the containers that ``supervisor`` serves or nobody has accepted. They wait
        meanwhile, and none of their calls fails. After an exception all is here.

        Raises :class:`Closed` when the other side hangs up; :class:`Timeout` without an answer.
        """
        handle = self._live()
        served = None if supervisor is None else supervisor._live()
        check(
            lib.agent_hand_over(
                handle.pointer, None if served is None else served.pointer, as_descriptor(socket)
            )
        )

    def put_back(self, listener: Listener) -> None:
        """Takes a container's listener back, as if that had just come: it is accepted or handed over again. It
        is closed here.

        Raises :class:`InvalidArgument` when it came from no agent; :class:`Closed` when this one was handed over.
        """
        handle = self._live()
        theirs = listener._give_up()
        try:
            check(lib.agent_put_back(handle.pointer, theirs))
        except BaseException:
            listener._take_back(theirs)
            raise

    def close(self) -> None:
        """Frees it and removes its socket. Containers that were accepted stay as they are."""
        super().close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _text(words: bytes | None) -> str:
    return os.fsdecode(words or b"")
