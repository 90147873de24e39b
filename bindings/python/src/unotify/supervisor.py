"""Supervisors: handlers instead of a loop, for one target or for thousands of listeners."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import signal
import sys
import threading
import weakref
from collections.abc import Sequence
from ctypes import CFUNCTYPE, byref, c_int, c_size_t, c_void_p
from typing import Any, Callable, NoReturn, TypeVar

from . import errors
from ._handle import Forked, Handle, Owner, free_supervisor
from ._held import VALUES
from ._lent import Lender, Lent
from ._library import check, error, fail, lib, quick, raw_final
from ._options import DRAIN_ON_STOP, KEEP_RUNNING, Options, WakeUp
from ._pool import Pool
from ._run import Run
from .errors import Status
from .filter import Filter
from .listener import Listener
from .notification import Notification
from .spawn import Program, StrPath
from .stats import Stats, read_stats
from .verdict import C_DEFERRED, C_FAILED, C_HANDLED, Handler, conclude

_BLOCKING = 1

_CHandler = CFUNCTYPE(c_int, c_void_p, c_void_p)
_CClose = CFUNCTYPE(None, c_void_p, c_void_p)
_CExit = CFUNCTYPE(None, c_int, c_void_p)

H = TypeVar("H", bound=Handler)
F = TypeVar("F", bound=Callable[..., Any])


_LENDER = Lender()
_new = Notification.__new__
_reply_value = raw_final.unotify_notification_reply_value


class Supervisor(Owner):
    """Serves listeners with handlers, which it calls one at a time on one thread of Python's.

    A handler gets the :class:`Notification` and

    - returns an ``int``, which the call returns,
    - raises :class:`OSError`, with whose ``errno`` the call fails,
    - returns ``CONTINUE``, and the kernel carries the call out, ``DEFERRED``, and answers later from any
      thread, or ``NOT_HANDLED``, and the next handler is asked,
    - or answers by itself and returns ``None``.

    If it does nothing of that, the call fails with the fallback error. Any other exception fails it so
    too, stops the run, and comes out of :meth:`run` or :meth:`join`.

    >>> import unotify
    >>> supervisor = unotify.Supervisor()
    >>> @supervisor.on("getppid")
    ... def parent(call):
    ...     return 42
    >>> supervisor.run_program(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
    42

    With ``max_workers`` above 1 the handlers that are flagged ``blocking`` run on as many threads of
    their own, beside the others.

    :param fallback_error: for notifications that nobody answers, instead of ``ENOSYS``.
    :param keep_running: run on without a listener, until stopped.
    :param drain_on_stop: a stop answers what is pending with the fallback error.
    """

    _noun = "supervisor"
    _handle: Handle | None

    def __init__(
        self,
        *,
        max_workers: int = 1,
        fallback_error: int = 0,
        keep_running: bool = False,
        drain_on_stop: bool = False,
        wake_up: WakeUp = WakeUp.AUTO,
    ) -> None:
        self._handle = None
        if not 1 <= max_workers <= 1024:
            raise ValueError(f"max_workers is 1 to 1024: {max_workers}")
        flags = KEEP_RUNNING * keep_running | DRAIN_ON_STOP * drain_on_stop
        # One worker: it is the thread that runs, and so one of Python's. A thread of the library's would
        # need a state of the interpreter for each call.
        options = Options(ctypes.sizeof(Options), 1, fallback_error, flags, wake_up)
        pointer = c_void_p()
        check(lib.supervisor_new(byref(options), byref(pointer)))
        self._handle = _SupervisorHandle(pointer.value or 0)
        self._generation = Forked.generation
        self.keeps_running = keep_running
        self._keys = itertools.count(1)
        self._told: Callable[[Any], Any] | None = None
        # What a handler has raised, for whoever called run().
        self._failure: BaseException | None = None
        self._run: Run | None = None
        self._changing = threading.Lock()
        self._pool = Pool(self, max_workers) if max_workers > 1 else None
        self._lent = Lent()
        self._call_back(lib.supervisor_on_close, _CClose(_left_of(weakref.ref(self))))

    def _call_back(self, function: Any, callback: Any, *arguments: Any) -> None:
        """Gives the library a function of ours, which has to live as long as the supervisor."""
        handle: Any = self._live()
        if self._run is not None:
            fail(Status.INVALID_ARGUMENT, errno.EBUSY, "handlers cannot be set while the supervisor runs")
        check(function(handle.pointer, *arguments, callback, None))
        handle.callbacks.append(callback)

    # ---- Handlers --------------------------------------------------------------------------------

    def on(self, name: str, blocking: bool = False) -> Callable[[H], H]:
        """Sets a handler for a system call, on every architecture that has it. Several for one call are
        asked in the order in which they were set, until one returns something else than ``NOT_HANDLED``.

        ``blocking`` says that it waits for something: others are received, or handled, meanwhile.

        Raises :class:`UnknownSyscall`; :class:`InvalidArgument` while the supervisor runs.
        """

        def set_handler(handler: H) -> H:
            flags = _BLOCKING if blocking and self._pool is None else 0
            entry = _CHandler(self._entry(handler, blocking))
            self._call_back(lib.supervisor_on, entry, name.encode(), flags)
            return handler

        return set_handler

    def on_default(self, handler: H) -> H:
        """Sets the handler for every call that has none, or none that handled it."""
        self._call_back(lib.supervisor_on_default, _CHandler(self._entry(handler, False)))
        return handler

    def on_close(self, told: F) -> F:
        """Has ``told(data)`` called once for each listener that has left, with what it was added with.

        It counts as a handler. Notifications that were deferred still have that data.
        """
        self._live()
        self._told = told
        return told

    def on_exit(self, told: F) -> F:
        """Has ``told(process)`` called once for the end of each process that a handler has asked for with
        :meth:`Notification.watch_exit`. It is to be brief: a handler waits for it a tenth of a second."""
        reference = weakref.ref(self)

        def ended(process: int, _: int | None) -> None:
            try:
                told(process)
            except BaseException as failure:
                if (supervisor := reference()) is not None:
                    supervisor._fail(failure)

        self._call_back(lib.supervisor_on_exit, _CExit(ended))
        return told

    def _entry(self, handler: Handler, blocking: bool) -> Callable[[int, Any], int]:
        """What the library calls for a handler. It returns whatever happens: ctypes drops exceptions."""
        reference = weakref.ref(self)
        pool = self._pool if blocking else None

        def entry(
            pointer: int,
            _: Any,
            # Found faster here than outside.
            lent: Lent = self._lent,
            values: Any = VALUES,
            forked: Any = Forked,
            generation: Any = self._generation,
            new: Any = _new,
            kind: Any = Notification,
            lender: Any = _LENDER,
            reply_value: Any = _reply_value,
            c_int64: Any = ctypes.c_int64,
            answered: Any = Status.ANSWERED,
            lowest: int = -(1 << 63),
            highest: int = (1 << 63) - 1,
        ) -> int:
            held = lent.held
            if held is None or held.pointer != pointer:
                held = lent.show(pointer)
            call = new(kind)
            call._held = alone = [held]
            call._raw = held.request.tobytes()
            call._source = lender
            call._over = None
            call._data = lent.data(pointer) if lent.has_data else None
            try:
                if pool is not None:
                    verdict = pool.take(handler, call)
                else:
                    result = handler(call)
                    # The usual end of it: a number, to be returned by the call.
                    if result.__class__ is int and alone and lowest <= result <= highest:
                        if forked.generation != generation:
                            _leave_copy()
                        alone.clear()
                        call._over = answered
                        # It fails if the target is gone, and nobody wants to know.
                        reply_value(held.argument, values[result] if result in values else c_int64(result))
                        return C_HANDLED
                    verdict = C_HANDLED if result is None else conclude(call, result)
            except BaseException as failure:
                supervisor = reference()
                verdict = C_FAILED if supervisor is None else supervisor._answer_failure(call, failure)
            if forked.generation != generation:
                _leave_copy()
            if verdict == C_DEFERRED or not alone and call._over is None:
                # It is kept, or another thread is at work on it at this moment.
                return lent.keep(call, held)
            alone.clear()
            return verdict

        return entry

    def _answer_failure(self, call: Notification, failure: BaseException) -> int:
        """Does what a handler has raised: an error number is the answer, unless there was one before."""
        if isinstance(failure, errors.Gone):
            return C_HANDLED
        if isinstance(failure, OSError) and call._held and 1 <= (failure.errno or 0) <= 4095:
            with contextlib.suppress(errors.Gone):
                call.reply_error(failure.errno or 0)
            return C_HANDLED
        self._fail(failure)
        return C_FAILED

    def _fail(self, failure: BaseException) -> None:
        """Ends the run, and has it raise this: the first of them."""
        if self._failure is None:
            self._failure = failure
        self.stop()

    def _take_failure(self) -> BaseException:
        failure, self._failure = self._failure, None
        return failure or AssertionError("nothing has failed")

    def _left(self, key: int) -> None:
        data = self._lent.by_key.pop(key, None)
        if self._told is not None:
            try:
                self._told(data)
            except BaseException as failure:
                self._fail(failure)

    # ---- Listeners -------------------------------------------------------------------------------

    def add_listener(self, listener: Listener, data: Any = None) -> None:
        """Serves one more listener, also while running, and takes it over: it is closed here.

        ``data`` is what its notifications show as :attr:`Notification.listener_data`.
        """
        handle = self._live()
        listener._live()
        key = next(self._keys)
        self._lent.by_key[key] = data
        self._lent.has_data = self._lent.has_data or data is not None
        try:
            theirs = listener._give_up()
            status = lib.supervisor_add_listener(handle.pointer, theirs, key)
            if status == Status.INVALID_ARGUMENT:
                listener._take_back(theirs)
            check(status)
        except BaseException:
            self._lent.by_key.pop(key, None)
            raise

    def take_listener(self, data: Any) -> Listener:
        """Gives back a listener that was added with ``data``, also while running. What was received from it
        is handled.

        Raises :class:`Closed` when no listener with that data is served.
        """
        handle = self._live()
        pointer = c_void_p()
        check(lib.supervisor_take_listener(handle.pointer, self._key(data), byref(pointer)))
        return Listener._of(pointer.value or 0)

    def remove_listener(self, data: Any) -> None:
        """Closes a listener that was added with ``data``: the calls of its targets fail with ``ENOSYS``."""
        handle = self._live()
        check(lib.supervisor_remove_listener(handle.pointer, self._key(data)))

    def _key(self, data: Any) -> int:
        for key, there in list(self._lent.by_key.items()):
            if there is data or there == data:
                return key
        return 0

    # ---- Runs ------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Serves the listeners until the last has closed (``True``) or :meth:`stop` was called (``False``).

        The handlers run on this thread; if it is the main one, on another, while this one waits for
        it and for signals: an exception of Python's own signal handlers, such as
        :class:`KeyboardInterrupt`, stops the run and comes out of here.

        Raises what a handler has raised; :class:`InvalidArgument` when it runs already; what the kernel
        said of a listener that broke, after the others were served.
        """
        return self._serve(lib.supervisor_run)

    def start(self) -> None:
        """Does what :meth:`run` does on a thread of its own.

        Raises :class:`InvalidArgument` when it runs already or was not joined.
        """
        run = Run(self, self._live(), lib.supervisor_run, ())
        try:
            run.begin(on_a_thread=True)
        except BaseException:
            run.abandon()
            raise

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the end of what :meth:`start` began, and tells as :meth:`run` how it ended.

        Raises :class:`Timeout`; :class:`InvalidArgument` when it was not started, or joined before.
        """
        run = self._run
        if run is None:
            fail(Status.INVALID_ARGUMENT, errno.EINVAL, "the supervisor was not started, or joined before")
        if not run.done.wait(timeout):
            fail(Status.TIMEOUT, errno.ETIMEDOUT, "the supervisor still runs")
        return self._ended(run)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end of what :meth:`start` began, and leaves it to :meth:`join` to tell how it ended;
        whether it has."""
        run = self._run
        return run is None or run.done.wait(timeout)

    def stop(self) -> None:
        """Ends the current run, or else the next one at once. Handlers that are at work finish, and what was
        received is answered. From any thread, from a handler and a signal handler."""
        handle = self._live()
        check(quick.supervisor_stop(handle.pointer))

    def run_program(self, argv: Sequence[StrPath], filter: Filter, **how: Any) -> int:
        """Starts a program as :func:`spawn` does, but for its streams, and serves it until it and all that
        it has started have ended. Gives its return code, negative for a signal that has killed it.

        ``how`` is ``executable``, ``env``, ``cwd``, ``fds`` (pairs of a descriptor of this process and its
        number in the program), ``load_flags`` and ``flags``.

        Raises what :func:`spawn` and :meth:`run` raise; :class:`Stopped` when it was stopped before the
        program has ended: it was killed then.
        """
        program = Program(argv, **how)
        return os.waitstatus_to_exitcode(self._program(lib.supervisor_run_program, program, filter))

    def stand_in_for(self, argv: Sequence[StrPath], filter: Filter, **how: Any) -> int:
        """:meth:`run_program` for a process that is there for the program alone, as ``env`` is.

        Until it returns, ``^C``, ``SIGTERM`` and ``^Z`` are the program's. Gives the status of ``waitpid``,
        which :func:`exit_like` takes. On the main thread Python's own handler of ``SIGINT`` is put aside
        meanwhile; handlers run on the calling thread.
        """
        program = Program(argv, **how)
        on_main = threading.current_thread() is threading.main_thread()
        aside = on_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if aside:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            return self._program(lib.supervisor_stand_in_for, program, filter, here=True)
        finally:
            if aside:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _program(self, function: Any, program: Program, filter: Filter, here: bool = False) -> int:
        status = c_int()
        with filter._lock:
            theirs = filter._live()
            if not self._serve(function, theirs.pointer, *program.arguments(), byref(status), here=here):
                fail(
                    Status.STOPPED, errno.ECANCELED, "the supervisor was stopped before the program has ended"
                )
        return status.value

    def _serve(self, function: Any, *arguments: Any, here: bool = False) -> bool:
        """Calls one of the library's functions that run until all is over, and waits for that."""
        run = Run(self, self._live(), function, arguments)
        # What waits on the main thread is to be reached by signals.
        on_main = threading.current_thread() is threading.main_thread()
        try:
            run.begin(on_a_thread=on_main and not here)
            run.done.wait()
            return self._ended(run)
        except BaseException as failure:
            run.abandon()
            # What a signal's handler raises just as a wait of Python's ends breaks that, and is hidden by it.
            broken = isinstance(failure, RuntimeError) and str(failure) == "release unlocked lock"
            if broken and failure.__context__ is not None:
                raise failure.__context__ from None
            raise

    def _ended(self, run: Run) -> bool:
        """Tells one caller how a run has ended."""
        with self._changing:
            if self._run is not run:
                fail(Status.INVALID_ARGUMENT, errno.EINVAL, "the end of the run was told to another thread")
            self._run = None
            if self._failure is not None:
                raise self._take_failure()
        if run.failure is not None and not isinstance(run.failure, errors.Stopped):
            raise run.failure
        return run.failure is None

    # ---- For an event loop -----------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor for an event loop, which remains the supervisor's. It polls readable when
        :meth:`dispatch` has something to do, and now and then when not."""
        handle = self._live()
        return int(quick.supervisor_fd(handle.pointer))

    def dispatch(self) -> int:
        """Handles what is pending, at most some dozens of notifications, on this thread, without blocking.
        Gives how many they were: an edge-triggered loop goes on until it is 0.

        Raises as :meth:`run`, but :class:`Stopped` once for each stop, and :class:`Closed` after the last
        listener.
        """
        handle = self._live()
        handled = c_size_t()
        status = lib.supervisor_dispatch(handle.pointer, byref(handled))
        if status:
            raise error(status) if self._failure is None else self._take_failure()
        return handled.value

    def stats(self) -> Stats:
        """What it has done so far."""
        handle = self._live()
        return read_stats(handle.pointer)

    def close(self) -> None:
        """Frees the supervisor and its listeners, after a run has been stopped and has ended. Not from a
        handler. Deferred notifications remain usable."""
        run = self._run
        if run is not None and not self.closed and self._generation == Forked.generation:
            if run.thread == threading.get_ident():
                raise RuntimeError("a handler cannot close its supervisor")
            self.stop()
            run.done.wait()
        self._handle = None
        self._lent.held = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SupervisorHandle(Handle):
    """A supervisor's handle, and the functions that the library calls until it is freed."""

    __slots__ = ("callbacks",)

    def __init__(self, pointer: int) -> None:
        self.callbacks: list[Any] = []
        super().__init__(pointer, free_supervisor)


def _left_of(reference: weakref.ref[Supervisor]) -> Callable[[Any, Any], None]:
    def left(key: Any, _: Any) -> None:
        supervisor = reference()
        if supervisor is not None:
            supervisor._left(key or 0)

    return left


def _leave_copy() -> NoReturn:
    """A handler has forked, and comes back in the copy, in which there is nothing to go back to."""
    sys.stderr.write("unotify: a handler returned in a copy of its process\n")
    sys.stderr.flush()
    os._exit(70)
