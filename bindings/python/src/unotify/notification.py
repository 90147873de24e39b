"""Notifications: a system call that a target waits on, to be answered once."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import byref, c_char, c_int, c_int64, c_size_t, c_uint32, c_uint64
from typing import TYPE_CHECKING, Any, NoReturn

from ._arguments import Buffer, Descriptor, as_address, as_descriptor, as_int, open_how
from ._handle import free_notification
from ._held import VALUES, Held
from ._library import error, fail, lib, raw_quick
from ._request import ARCH, ARGS, ID, INSTRUCTION_POINTER, INT_ARGS, PID, SYSCALL
from .errors import Status
from .identity import CIdentity, Identity
from .syscalls import syscall_name

if TYPE_CHECKING:
    from .roots import Roots

_reply_value = raw_quick.unotify_notification_reply_value
_reply_error = raw_quick.unotify_notification_reply_error
_reply_continue = raw_quick.unotify_notification_reply_continue

_PATH_MAX = 4096
_NAME_MAX = 256
_GROUPS_MAX = 65536

_GONE = int(Status.GONE)
_ANSWERED = int(Status.ANSWERED)
_ANSWERED_STATUS = Status.ANSWERED


class Notification:
    """A call that a target waits on.

    What the call is (``name``, ``args``, ...) can be read at any time, also after the answer. Everything
    else is for as long as the target waits: then :class:`Answered` or :class:`Gone` is raised. One that
    nobody answers is answered with the fallback error when nobody refers to it any more. It belongs to
    one thread at a time, and may be handed on; a second thread at the same time is refused.

    What is read or opened of the target was the target's: if it does not wait any more it is not given
    out, and :class:`Gone` is raised. :class:`NotVisible` is raised when the target is outside the
    supervisor's pid namespace, :class:`Permission` when the supervisor may not look into it.
    """

    # _held: the handle, until it is answered; a list, as who pops it has it alone.
    # _raw: the request, as it came. _source: who gets the handle back.
    # _over: what became of it. _data: see listener_data.
    __slots__ = ("__weakref__", "_data", "_held", "_over", "_raw", "_source")

    _held: list[Held]
    _raw: bytes
    _source: Any
    _over: Status | None
    _data: Any

    def __init__(self) -> None:
        raise TypeError("notifications come from a listener or a supervisor")

    # ---- The call --------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """The notification's number, unique on its listener."""
        number: int = ID.unpack_from(self._raw)[0]
        return number

    @property
    def pid(self) -> int:
        """The thread that calls; 0 if it is outside the supervisor's pid namespace."""
        pid: int = PID.unpack_from(self._raw)[0]
        return pid

    @property
    def syscall(self) -> int:
        """The number of the system call on :attr:`arch`."""
        number: int = SYSCALL.unpack_from(self._raw)[0]
        return number

    @property
    def arch(self) -> int:
        """The call's architecture, an ``AUDIT_ARCH_*`` value."""
        arch: int = ARCH.unpack_from(self._raw)[0]
        return arch

    @property
    def name(self) -> str:
        """The name of the system call, such as "openat"."""
        return syscall_name(self.syscall, self.arch)

    @property
    def instruction_pointer(self) -> int:
        """The target's instruction pointer at the call."""
        address: int = INSTRUCTION_POINTER.unpack_from(self._raw)[0]
        return address

    @property
    def args(self) -> tuple[int, ...]:
        """The six arguments, each an unsigned number of 64 bits. What they point to can change."""
        return ARGS.unpack_from(self._raw)

    @property
    def int_args(self) -> tuple[int, ...]:
        """The six arguments as the ``int`` that many of them are, such as a descriptor or a signal."""
        return INT_ARGS.unpack_from(self._raw)

    @property
    def pending(self) -> bool:
        """Whether it waits for an answer, as far as is known here: see :meth:`check_valid`."""
        return bool(self._held)

    @property
    def listener_data(self) -> Any:
        """What its listener was given to the supervisor with; ``None`` if it was not."""
        return self._data

    def __repr__(self) -> str:
        state = "pending" if self._held else "over"
        return f"<Notification {self.id:#x}: {self.name}{self.args!r} of {self.pid}, {state}>"

    def close(self) -> None:
        """Lets it go: the target gets the fallback error, unless it was answered."""
        while self._held:
            try:
                held = self._held.pop()
            except IndexError:
                return
            self._over = Status.ANSWERED
            if held.lent and held.pointer is not None:
                # Which only answers: it is not ours.
                free_notification(held.pointer)
            del held

    def __enter__(self) -> Notification:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- Answers ---------------------------------------------------------------------------------

    def reply(self, value: int) -> None:
        """Lets the call return ``value``. Values from -4095 to -1 are errors to the target.

        Raises :class:`Gone` when the target does not wait any more; :class:`OverflowError` for what is no
        signed number of 64 bits.
        """
        if not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
            raise OverflowError(f"a value is a signed number of 64 bits: {value}")
        number = VALUES[value] if value in VALUES else c_int64(value)
        try:
            held = self._held.pop()
        except IndexError:
            self._refuse()
        if status := _reply_value(held.argument, number):
            self._not_done(held, status)
        self._over = _ANSWERED_STATUS
        self._source._spare.append(held)

    def reply_error(self, errnum: int) -> None:
        """Lets the call fail with this **positive** error number, up to 4095, such as ``errno.EPERM``."""
        if not 0 <= errnum <= 0x7FFF_FFFF:
            raise ValueError(f"an error number is 1 to 4095: {errnum}")
        try:
            held = self._held.pop()
        except IndexError:
            self._refuse()
        if status := _reply_error(held.argument, c_int(errnum)):
            self._not_done(held, status)
        self._over = _ANSWERED_STATUS
        self._source._spare.append(held)

    def reply_continue(self) -> None:
        """Lets the kernel carry out the call as if there were no filter.

        **Not a security decision**: the target may have changed the memory that its arguments point to
        since you looked.
        """
        try:
            held = self._held.pop()
        except IndexError:
            self._refuse()
        if status := _reply_continue(held.argument):
            self._not_done(held, status)
        self._over = _ANSWERED_STATUS
        self._source._spare.append(held)

    def reply_fd(self, fd: Descriptor, *, cloexec: bool = False) -> None:
        """Gives the target a duplicate of ``fd``, and lets its call return its number there.

        Raises :class:`InvalidArgument` for a descriptor that is not open or was opened with ``O_PATH``
        (see :meth:`reopen`); :class:`System` with ``EMFILE`` when the target may not have more;
        :class:`Busy` while another holder of the listener does the same.
        """
        self._answer(lib.notification_reply_fd, as_descriptor(fd), os.O_CLOEXEC if cloexec else 0)

    def reply_open(self, fd: Descriptor, flags: int = os.O_RDONLY, mode: int = 0o666) -> None:
        """:meth:`reopen` and :meth:`reply_fd` in one; if that has to wait, for a FIFO's other end, the
        library waits, and this returns at once."""
        self._answer(lib.notification_reply_open, as_descriptor(fd), flags, mode)

    def reply_open_within(
        self,
        roots: Roots,
        dirfd: int,
        address: int,
        flags: int = os.O_RDONLY,
        mode: int = 0o666,
        *,
        resolve: int = 0,
        at_flags: int = 0,
    ) -> None:
        """:meth:`open_within`, and answers with what it has opened, waiting as :meth:`reply_open`."""
        directories = roots._live()
        how = open_how(flags, mode, resolve, at_flags)
        self._answer(
            lib.notification_reply_open_within,
            directories.pointer,
            as_int(dirfd),
            as_address(address),
            byref(how),
        )

    def reply_connect(self, target_fd: int, address: Buffer, file: int = -1) -> None:
        """Connects the target's socket to ``address``, the bytes of a ``struct sockaddr`` that were read and
        decided on, and answers with what comes of it, be it an error.

        If that has to wait the library waits, and this returns at once. ``file`` is what
        :meth:`open_socket` has opened, to take that for the path of a Unix socket.
        """
        room = (c_char * len(address)).from_buffer_copy(address)
        self._answer(lib.notification_reply_connect, as_int(target_fd), room, len(room), file)

    def reply_interrupted(self) -> bool:
        """If a signal waits for the target, ends its call as the kernel would; whether it did.

        For who lets a call wait for long, every 10 ms.
        """
        interrupted = c_int()
        held = self._call(lib.notification_reply_interrupted, byref(interrupted))
        if interrupted.value:
            self._end(held, Status.ANSWERED)
        else:
            self._held.append(held)
        return bool(interrupted.value)

    # ---- The target's memory ---------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes of the target's memory at ``address``, all or nothing.

        Raises :class:`Fault` when any of them is not readable.
        """
        if size < 0:
            raise ValueError(f"a size is not negative: {size}")
        room = ctypes.create_string_buffer(size)
        self._use(lib.notification_read, as_address(address), room, size)
        return room.raw

    def write(self, address: int, data: Buffer) -> None:
        """Copies ``data`` to the target's memory at ``address``, which it may itself write to.

        Raises :class:`Fault` when any byte is not writable, and then none is written.
        """
        size = len(data) if isinstance(data, (bytes, bytearray)) else data.nbytes
        room = (c_char * size).from_buffer_copy(data)
        self._use(lib.notification_write, as_address(address), room, size)

    def read_string(self, address: int, limit: int = _PATH_MAX) -> bytes:
        """The target's string at ``address``, without its NUL, which is within ``limit`` bytes.

        Raises :class:`Fault`; :class:`TooLong`.
        """
        if limit < 0:
            raise ValueError(f"a limit is not negative: {limit}")
        room = ctypes.create_string_buffer(limit)
        length = c_size_t()
        self._use(lib.notification_read_string, as_address(address), room, limit, byref(length))
        return room.raw[: length.value]

    def read_pointers(self, address: int, limit: int = 1024) -> list[int]:
        """The pointers of a null-terminated array in the target's memory (``argv``, ``envp``), of which
        there are at most ``limit``.

        Raises :class:`Fault`; :class:`TooLong`.
        """
        if limit < 0:
            raise ValueError(f"a limit is not negative: {limit}")
        array = (c_uint64 * limit)()
        count = c_size_t()
        self._use(lib.notification_read_pointers, as_address(address), array, limit, byref(count))
        return array[: count.value]

    # ---- The target's descriptors ----------------------------------------------------------------

    def get_fd(self, target_fd: int) -> int:
        """Duplicates the target's descriptor: the same open file. It is the caller's to close.

        Raises :class:`InvalidArgument` with ``EBADF`` when there is none.
        """
        return self._opens(lib.notification_get_fd, as_int(target_fd))

    def add_fd(self, fd: Descriptor, target_fd: int = -1, *, cloexec: bool = False) -> int:
        """Gives the target a duplicate of ``fd``: at the lowest free number, or at ``target_fd``, closing
        what was open there. Gives its number. The target goes on waiting.
        """
        return self._opens(
            lib.notification_add_fd, as_descriptor(fd), target_fd, os.O_CLOEXEC if cloexec else 0
        )

    def pidfd(self) -> int:
        """Opens a descriptor for the target's process, whichever of its threads calls."""
        return self._opens(lib.notification_open_pidfd)

    # ---- Opening what the target names -----------------------------------------------------------

    def open(
        self,
        dirfd: int,
        address: int,
        flags: int = os.O_RDONLY,
        mode: int = 0o666,
        *,
        resolve: int = 0,
        at_flags: int = 0,
    ) -> int:
        """Opens the file whose path is at ``address`` in the target's memory, as the target would.

        ``dirfd`` is the target's, as it stands in the call's arguments. The descriptor is the caller's:
        decide on what it *is* and hand that over with :meth:`reply_fd`. **The supervisor's rights count.**
        ``O_CREAT`` and ``O_TRUNC`` act at once: to decide first, use ``O_PATH``, then :meth:`reopen`.

        Raises :class:`System` with the ``errno`` that the path leads to (so :class:`FileNotFoundError`,
        ...), which is the one to answer with; :class:`Fault` and :class:`TooLong` for the path.
        """
        how = open_how(flags, mode, resolve, at_flags)
        return self._opens(lib.notification_open, as_int(dirfd), as_address(address), byref(how))

    def open_within(
        self,
        roots: Roots,
        dirfd: int,
        address: int,
        flags: int = os.O_RDONLY,
        mode: int = 0o666,
        *,
        resolve: int = 0,
        at_flags: int = 0,
    ) -> int:
        """:meth:`open` for what lies in a directory of ``roots`` that allows it.

        Raises what :meth:`open` raises, and :class:`System` with ``EACCES`` for all else.
        """
        directories = roots._live()
        how = open_how(flags, mode, resolve, at_flags)
        return self._opens(
            lib.notification_open_within,
            directories.pointer,
            as_int(dirfd),
            as_address(address),
            byref(how),
        )

    def reopen(self, fd: Descriptor, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        """Opens the file that ``fd`` stands for again: for what was opened with ``O_PATH``, once it is
        decided that the target may have it."""
        return self._opens(lib.notification_reopen, as_descriptor(fd), flags, mode)

    def open_parent(self, dirfd: int, address: int) -> tuple[int, str]:
        """Opens the directory that holds the last component of a path, and gives that component.

        Use the component only with calls that neither follow nor open it, such as :meth:`create`.
        """
        name = ctypes.create_string_buffer(_NAME_MAX)
        fd = self._opens(lib.notification_open_parent, as_int(dirfd), as_address(address), name, len(name))
        return fd, os.fsdecode(name.value)

    def open_root(self) -> int:
        """Opens the target's root directory with ``O_PATH``: for a container, its own file system."""
        return self._opens(lib.notification_open_root)

    def open_socket(self, address: Buffer) -> int:
        """Opens with ``O_PATH`` what the path in the bytes of a ``struct sockaddr_un`` leads the target to."""
        room = (c_char * len(address)).from_buffer_copy(address)
        return self._opens(lib.notification_open_socket, room, len(room))

    def create(self, directory: Descriptor, name: str, flags: int = os.O_RDWR, mode: int = 0o666) -> int:
        """Creates a file in ``directory``, after :meth:`open_parent`, and opens it, as the target would:
        less its umask, owned by its user and group."""
        return self._opens(lib.notification_create, as_descriptor(directory), os.fsencode(name), flags, mode)

    def mkdir(self, directory: Descriptor, name: str, mode: int = 0o777) -> None:
        """Makes a directory in ``directory`` as the target would."""
        self._use(lib.notification_mkdir, as_descriptor(directory), os.fsencode(name), mode)

    def mknod(self, directory: Descriptor, name: str, mode: int, device: int = 0) -> None:
        """Makes a node in ``directory`` as the target would."""
        self._use(lib.notification_mknod, as_descriptor(directory), os.fsencode(name), mode, device)

    # ---- Who it is -------------------------------------------------------------------------------

    def path(self, dirfd: int, address: int) -> str:
        """The absolute path of what a path leads to, as the target sees it. For logs, not for deciding.

        Raises what :meth:`open` raises.
        """
        room = ctypes.create_string_buffer(_PATH_MAX)
        self._use(lib.notification_read_path, as_int(dirfd), as_address(address), room, len(room))
        return os.fsdecode(room.value)

    def identity(self) -> Identity:
        """Who the target is, read in one go."""
        found = CIdentity(ctypes.sizeof(CIdentity))
        self._use(lib.notification_identity, byref(found))
        return Identity.of(found)

    def groups(self) -> list[int]:
        """The target's supplementary groups, as the supervisor's user namespace numbers them."""
        array = (c_uint32 * _GROUPS_MAX)()
        count = c_size_t()
        self._use(lib.notification_groups, array, len(array), byref(count))
        return array[: count.value]

    def executable(self) -> str:
        """The path of the target's program, as the supervisor sees it."""
        room = ctypes.create_string_buffer(_PATH_MAX)
        self._use(lib.notification_executable, room, len(room))
        return os.fsdecode(room.value)

    def check_valid(self) -> None:
        """Returns while the target still waits for the answer, and raises :class:`Gone` else. What was read
        of a target by other means before this belongs to that target."""
        self._use(lib.notification_check_valid)

    def watch_exit(self) -> int:
        """Has the function of :meth:`Supervisor.on_exit` told of the end of the target's process, and
        gives its id. After :class:`Gone` there is no notice."""
        return self._opens(lib.notification_watch_exit)

    # ---- How all these are called ----------------------------------------------------------------

    def _call(self, function: Any, *arguments: Any) -> Held:
        """Calls a function of the library, and gives the handle, which nobody else has meanwhile."""
        try:
            held = self._held.pop()
        except IndexError:
            self._refuse()
        if held.pointer is None:
            self._held.append(held)
            self._refuse_copy()
        if status := function(held.pointer, *arguments):
            self._not_done(held, status)
        return held

    def _use(self, function: Any, *arguments: Any) -> None:
        """The same for one that answers nothing."""
        self._held.append(self._call(function, *arguments))

    def _opens(self, function: Any, *arguments: Any) -> int:
        """The same for one that gives a number in the end, such as a descriptor."""
        number = c_int(-1)
        self._use(function, *arguments, byref(number))
        return number.value

    def _answer(self, function: Any, *arguments: Any) -> None:
        """The same for one that answers."""
        self._end(self._call(function, *arguments), Status.ANSWERED)

    def _end(self, held: Held, over: Status) -> None:
        self._over = over
        self._source._spare.append(held)

    def _not_done(self, held: Held, status: int) -> NoReturn:
        """Something failed: raises why, and keeps the handle if the target goes on waiting."""
        if held.pointer is None:
            self._held.append(held)
            self._refuse_copy()
        try:
            raise error(status)
        finally:
            if status in (_GONE, _ANSWERED):
                self._end(held, Status(status))
            else:
                self._held.append(held)

    def _refuse(self) -> NoReturn:
        if self._over is Status.GONE:
            fail(Status.GONE, errno.ENOENT, "the target does not wait for an answer any more")
        fail(
            Status.ANSWERED,
            errno.EALREADY,
            "the notification was answered before, or another thread is at work on it",
        )

    def _refuse_copy(self) -> NoReturn:
        raise ValueError("the notification is of the process that this one was forked from")
