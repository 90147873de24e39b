"""Starting a program under a filter."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import enum
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import IO, Any, NoReturn, Union

from ._handle import Handle, Owner, free_child
from ._library import check, lib, quick
from .errors import System, Timeout
from .filter import Filter
from .listener import Listener

StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
# What a standard stream may be: None for the caller's, PIPE, DEVNULL, a descriptor or a file.
Stream = Union[None, int, IO[Any]]

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL


class SpawnFlags(enum.IntFlag):
    """What a program is started with."""

    KILL_ON_PARENT_DEATH = 1 << 0
    PID_NAMESPACE = 1 << 1


class _FdMap(ctypes.Structure):
    _fields_ = (("parent_fd", c_int), ("child_fd", c_int))


class _SpawnOptions(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("load_flags", c_uint32),
        ("flags", c_uint32),
        ("working_directory", c_char_p),
        ("fds", c_void_p),
        ("n_fds", c_size_t),
    )


class Program:
    """A program and how to start it, in the form that the library takes."""

    def __init__(
        self,
        argv: Sequence[StrPath],
        *,
        executable: StrPath | None = None,
        env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
        cwd: StrPath | None = None,
        fds: Iterable[tuple[int, int]] = (),
        load_flags: int = 0,
        flags: int = 0,
    ) -> None:
        if isinstance(argv, (str, bytes)) or not argv:
            raise ValueError("argv is the program's name and its arguments, such as ['sh', '-c', 'true']")
        words = [os.fsencode(word) for word in argv]
        environment = os.environb if env is None else env
        variables = [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in environment.items()]
        for text in (*words, *variables):
            if b"\0" in text:
                raise ValueError(f"a NUL within {text!r}")
        self.args = argv
        self.file = words[0] if executable is None else os.fsencode(executable)
        self.argv = (c_char_p * (len(words) + 1))(*words, None)
        self.envp = (c_char_p * (len(variables) + 1))(*variables, None)
        maps = list(fds)
        self._fds = (_FdMap * len(maps))(*(_FdMap(*pair) for pair in maps))
        self.options = _SpawnOptions(
            ctypes.sizeof(_SpawnOptions),
            load_flags,
            flags,
            None if cwd is None else os.fsencode(cwd),
            ctypes.addressof(self._fds) if maps else None,
            len(maps),
        )

    def arguments(self) -> tuple[Any, ...]:
        """What the library's functions take between the filter and the result."""
        return (self.file, self.argv, self.envp, byref(self.options))


def spawn(
    argv: Sequence[StrPath],
    filter: Filter,
    *,
    executable: StrPath | None = None,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    cwd: StrPath | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    pass_fds: Iterable[int] = (),
    fds: Mapping[int, int] | None = None,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    load_flags: int = 0,
    flags: int = 0,
) -> Child:
    """Starts a program under a filter, which acts from the program's own ``execve`` on.

    The parameters are those of :class:`subprocess.Popen`: a name without a slash is looked up in
    ``PATH``, ``stdin`` and its like may be ``PIPE``, ``DEVNULL``, a descriptor or a file, and
    ``pass_fds`` keep their numbers; ``fds`` says for further ones which descriptor of this process a
    number is to be. Descriptors that are not inheritable are not inherited.

    It returns when the program runs, or when its ``execve`` waits for the supervisor: for a failure
    after that see :attr:`Child.exec_error`. Somebody has to receive from :attr:`Child.listener`.

    Raises what :class:`subprocess.Popen` would (:class:`FileNotFoundError`, :class:`PermissionError`,
    ...), as a :class:`System` or :class:`Permission`; :class:`Busy` when the calling thread has a filter
    with a listener; :class:`Permission` for a pid namespace without ``CAP_SYS_ADMIN``.
    """
    is_text = bool(text or encoding or errors)
    with contextlib.ExitStack() as opened:
        streams = _Streams(opened, stdin, stdout, stderr, is_text, encoding, errors)
        maps = [*streams.fds, *((fd, fd) for fd in pass_fds)]
        maps += [(fd, number) for number, fd in (fds or {}).items()]
        program = Program(
            argv, executable=executable, env=env, cwd=cwd, fds=maps, load_flags=load_flags, flags=flags
        )
        handle = filter._live()
        pointer = c_void_p()
        with filter._lock:
            check(lib.spawn(handle.pointer, *program.arguments(), byref(pointer)))
        streams.started()
    child = Child._of(pointer.value or 0, argv)
    child.stdin, child.stdout, child.stderr = streams.files
    return child


class _Streams:
    """The standard streams of a program: what it gets, and the other ends of its pipes."""

    def __init__(
        self,
        opened: contextlib.ExitStack,
        stdin: Stream,
        stdout: Stream,
        stderr: Stream,
        is_text: bool,
        encoding: str | None,
        errors: str | None,
    ) -> None:
        self.fds: list[tuple[int, int]] = []
        self.files: list[IO[Any] | None] = [None, None, None]
        self._mine = contextlib.ExitStack()
        # Closed unless it was started.
        opened.push(self._failed)
        for number, stream in enumerate((stdin, stdout, stderr)):
            if stream is None:
                continue
            if stream == PIPE:
                read, write = os.pipe()
                theirs, mine = (read, write) if number == 0 else (write, read)
                opened.callback(os.close, theirs)
                buffered: Any = os.fdopen(mine, "wb" if number == 0 else "rb")
                if is_text:
                    import io

                    buffered = io.TextIOWrapper(buffered, encoding, errors, write_through=number == 0)
                self.files[number] = self._mine.enter_context(buffered)
            elif stream == DEVNULL:
                theirs = os.open(os.devnull, os.O_RDWR)
                opened.callback(os.close, theirs)
            elif stream == STDOUT:
                if number != 2:
                    raise ValueError("STDOUT is for stderr")
                theirs = {child: parent for parent, child in self.fds}.get(1, 1)
            else:
                theirs = stream if isinstance(stream, int) else stream.fileno()
            self.fds.append((theirs, number))

    def started(self) -> None:
        self._mine.pop_all()

    def _failed(self, *exception: Any) -> None:
        self._mine.__exit__(*exception)


class Child(Owner):
    """A program that was started under a filter, with the manners of :class:`subprocess.Popen`.

    One thread can kill it while another waits. As a context manager it waits at the end; somebody must
    answer its notifications meanwhile.
    """

    _noun = "child"
    _handle: Handle | None

    _pid: int
    _listener: Listener | None
    _taking: threading.Lock
    args: Sequence[StrPath]
    # As waitpid() has it, for exit_like().
    wait_status: int | None
    returncode: int | None
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    stderr: IO[Any] | None

    def __init__(self) -> None:
        raise TypeError("a child comes from spawn()")

    @classmethod
    def _of(cls, pointer: int, args: Sequence[StrPath]) -> Child:
        self = cls.__new__(cls)
        self._handle = Handle(pointer, free_child)
        self._pid = int(quick.child_pid(pointer))
        self._listener = None
        self._taking = threading.Lock()
        self.args = args
        self.returncode = None
        self.wait_status = None
        self.stdin = self.stdout = self.stderr = None
        return self

    @property
    def pid(self) -> int:
        """Its process id, which may name another process once it was waited for."""
        return self._pid

    @property
    def listener(self) -> Listener:
        """Its listener, always the same. If nobody asks for it, it is freed with the child."""
        with self._taking:
            if self._listener is None:
                handle = self._live()
                pointer = c_void_p()
                check(lib.child_take_listener(handle.pointer, byref(pointer)))
                self._listener = Listener._of(pointer.value or 0)
            return self._listener

    def pidfd(self) -> int:
        """A descriptor for the process, which remains the child's and polls readable when it has ended.

        Raises :class:`System` with ``ENOSYS`` before Linux 5.2.
        """
        handle = self._live()
        fd = int(lib.child_pidfd(handle.pointer))
        if fd < 0:
            errnum = ctypes.get_errno()
            raise System(errnum, f"no descriptor for process {self._pid}: {os.strerror(errnum)}")
        return fd

    @property
    def exec_error(self) -> int:
        """The error number of its ``execve``, if that failed after :func:`spawn` had returned: because the
        supervisor refused the call, or continued it and the kernel refused. Else 0, so far."""
        handle = self._live()
        return int(quick.child_exec_error(handle.pointer))

    def poll(self) -> int | None:
        """The return code if it has ended, as :attr:`returncode` has it then; else ``None``."""
        if self.returncode is None:
            with contextlib.suppress(Timeout):
                self._look(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for it to end, and gives the return code: negative for a signal that has killed it.

        Others must answer its notifications meanwhile. Raises :class:`subprocess.TimeoutExpired`;
        :class:`ChildProcessError` when it was waited for elsewhere.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                self._look(self._pause(left))
            except Timeout:
                if deadline is not None and time.monotonic() >= deadline:
                    raise subprocess.TimeoutExpired(list(map(_word, self.args)), timeout or 0) from None
        return self.returncode

    def _pause(self, left: float | None) -> int:
        """Waits until it has ended, in a way that lets Python handle signals; gives how many more
        milliseconds the library is to wait."""
        try:
            pidfd = self.pidfd()
        except System:
            # Without a descriptor the library has to wait, in slices.
            return 50 if left is None else int(max(0, min(50, left * 1000)))
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(None if left is None else max(0, left) * 1000)
        return 0

    def _look(self, milliseconds: int) -> None:
        handle = self._live()
        status = c_int()
        check(lib.child_wait(handle.pointer, milliseconds, byref(status)))
        self.wait_status = status.value
        self.returncode = os.waitstatus_to_exitcode(status.value)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Writes ``input`` to its standard input, reads what it writes, and waits for it.

        Others must answer its notifications meanwhile: a supervisor in the background, or a thread.
        After :class:`subprocess.TimeoutExpired` what was read so far is in the exception.
        """
        if self._exchange is None:
            self._exchange = _Exchange(self, input)
        elif input is not None:
            raise ValueError("input was given before")
        deadline = None if timeout is None else time.monotonic() + timeout
        self._exchange.finish(deadline, timeout)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return self._exchange.results()

    _exchange: _Exchange | None = None

    def send_signal(self, sig: int) -> None:
        """Sends it a signal, never another process that got the same id; nothing once it has ended."""
        if self.returncode is None:
            handle = self._live()
            check(lib.child_kill(handle.pointer, sig))

    def terminate(self) -> None:
        """Sends ``SIGTERM``."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends ``SIGKILL``."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Frees the handle, and the listener if nobody asked for it. Neither kills the child nor waits."""
        super().close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.wait()

    def __repr__(self) -> str:
        return f"<unotify.Child {self._pid}: returncode {self.returncode}, args {list(self.args)!r}>"


class _Exchange:
    """What goes to and comes from a program through its pipes, each on a thread."""

    def __init__(self, child: Child, input: Any) -> None:
        self._child = child
        self._read: dict[str, list[Any]] = {"stdout": [], "stderr": []}
        self._threads: list[threading.Thread] = []
        if child.stdin is not None:
            self._begin(self._feed, child.stdin, input)
        for name in self._read:
            if (stream := getattr(child, name)) is not None:
                self._begin(self._drain, stream, self._read[name])

    def _begin(self, function: Any, *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    @staticmethod
    def _feed(stream: IO[Any], input: Any) -> None:
        # As Popen.communicate(): a program need not read all that it is given.
        with contextlib.suppress(BrokenPipeError):
            if input:
                stream.write(input)
        with contextlib.suppress(BrokenPipeError):
            stream.close()

    @staticmethod
    def _drain(stream: IO[Any], into: list[Any]) -> None:
        with stream:
            into.append(stream.read())

    def finish(self, deadline: float | None, timeout: float | None) -> None:
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(list(map(_word, self._child.args)), timeout or 0)

    def results(self) -> tuple[Any, Any]:
        out, err = (pieces[0] if pieces else None for pieces in self._read.values())
        return out, err


def _word(word: StrPath) -> str:
    return os.fsdecode(word)


def exit_like(wait_status: int) -> NoReturn:
    """Ends this process like one with this status of ``waitpid``: with its exit status, or killed by its
    signal, which a shell can tell from an exit. ``atexit`` functions run, and streams are flushed."""
    if os.WIFEXITED(wait_status):
        sys.exit(os.WEXITSTATUS(wait_status))
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    lib.exit_like(wait_status)
    raise AssertionError("unotify_exit_like() has returned")
