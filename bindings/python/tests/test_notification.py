"""Notifications: what they say, how they are answered, and what may be done to their target."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import Callable

import pytest
from conftest import target, until

import unotify
from unotify import Notification

Start = Callable[..., unotify.Child]


def one_call(supervise: Start, script: str, *names: str, **how: object) -> tuple[unotify.Child, Notification]:
    child = supervise(target(script, *names), *names, stdout=unotify.PIPE, text=True, **how)
    return child, child.listener.receive()


def said(child: unotify.Child) -> str:
    assert child.stdout is not None
    return str(child.stdout.read()).strip()


# ---- Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, -4096, 1 << 40, -(1 << 40), (1 << 63) - 1, -(1 << 63), 0x8000_0000])
def test_values_of_64_bits_arrive(supervise: Start, value: int) -> None:
    child, call = one_call(supervise, "print(call('getppid')[0])", "getppid")
    call.reply(value)
    assert int(said(child)) == value


@pytest.mark.parametrize("value", [-1, -errno.EPERM, -4095])
def test_small_negative_values_are_errors(supervise: Start, value: int) -> None:
    child, call = one_call(supervise, "print(call('getppid')[1])", "getppid")
    call.reply(value)
    assert int(said(child)) == -value


def test_errors_arrive(supervise: Start) -> None:
    child, call = one_call(supervise, "print(call('getppid'))", "getppid")
    call.reply_error(errno.EXDEV)
    assert said(child) == f"(-1, {errno.EXDEV})"


def test_what_is_no_answer_leaves_the_target_waiting(supervise: Start) -> None:
    child, call = one_call(supervise, "print(call('getppid')[0])", "getppid")
    for value in (1 << 63, -(1 << 63) - 1, 1 << 100):
        with pytest.raises(OverflowError):
            call.reply(value)
    with pytest.raises(TypeError):
        call.reply("1")  # type: ignore[arg-type]
    for number in (0, -1, 4096, 1 << 40):
        with pytest.raises(ValueError):
            call.reply_error(number)
    assert call.pending
    call.check_valid()
    call.reply(17)
    assert said(child) == "17" and not call.pending


def test_all_64_bits_of_each_argument(supervise: Start) -> None:
    values = [(1 << 64) - 1 - i for i in range(5)] + [1 << 63]
    _, call = one_call(supervise, f"call('getppid', *{values})", "getppid")
    assert call.args == tuple(values)
    assert call.int_args == (-1, -2, -3, -4, -5, 0)
    assert (call.name, call.arch) == ("getppid", unotify.arch_native())
    assert call.syscall == unotify.syscall_from_name("getppid") and call.instruction_pointer > 0
    assert "getppid" in repr(call) and "pending" in repr(call)
    call.reply(0)
    assert call.args == tuple(values) and "over" in repr(call)


def test_a_call_that_continues_is_the_kernels(supervise: Start) -> None:
    child, call = one_call(supervise, "print(call('getppid')[0])", "getppid")
    call.reply_continue()
    assert int(said(child)) == os.getpid()


def test_a_second_answer_is_refused(supervise: Start) -> None:
    child, call = one_call(supervise, "print(call('getppid')[0])", "getppid")
    call.reply(1)
    for again in (
        lambda: call.reply(2),
        lambda: call.reply_error(1),
        call.reply_continue,
        lambda: call.reply_fd(0),
        call.check_valid,
        lambda: call.read(0, 1),
        call.identity,
    ):
        with pytest.raises(unotify.Answered):
            again()
    call.close()
    assert said(child) == "1"


def test_a_target_that_was_killed_is_gone(supervise: Start) -> None:
    child, call = one_call(supervise, "call('getppid')", "getppid")
    child.kill()
    child.wait()
    with pytest.raises(ProcessLookupError):
        call.reply(1)
    for again in (call.check_valid, lambda: call.reply(1), lambda: call.read(1, 1)):
        with pytest.raises(unotify.Gone):
            again()


def test_what_nobody_answers_gets_the_fallback_error(supervise: Start) -> None:
    child, call = one_call(supervise, "print(call('getppid')[1], call('getppid')[1])", "getppid")
    del call
    with child.listener.receive():
        pass
    assert said(child) == f"{errno.ENOSYS} {errno.ENOSYS}"


# ---- Memory ------------------------------------------------------------------------------------------

BUFFER = "import ctypes; b = ctypes.create_string_buffer(b'some text', 64); a = ctypes.addressof(b); "


def test_memory_is_read_and_written(supervise: Start) -> None:
    child, call = one_call(supervise, BUFFER + "call('getppid', a, 64); print(b.value)", "getppid")
    address = call.args[0]
    assert call.read(address, 9) == b"some text" and call.read(address, 0) == b""
    assert call.read_string(address) == b"some text"
    with pytest.raises(unotify.TooLong):
        call.read_string(address, 9)
    call.write(address, b"OTHER")
    call.write(address + 5, memoryview(b"-more"))
    call.write(address, bytearray())
    call.reply(0)
    assert said(child) == "b'OTHER-more'"


def test_addresses_that_are_none(supervise: Start) -> None:
    _, call = one_call(supervise, "call('getppid')", "getppid")
    for use in (
        lambda: call.read(0, 1),
        lambda: call.read((1 << 64) - 1, 1),
        lambda: call.write(8, b"x"),
        lambda: call.read_string(0),
        lambda: call.read_pointers(1 << 63),
        lambda: call.open(-100, 0),
    ):
        with pytest.raises(unotify.Fault) as caught:
            use()
        assert caught.value.errno == errno.EFAULT
    for wrong in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            call.read(wrong, 1)
    with pytest.raises(ValueError, match="not negative"):
        call.read(0, -1)
    call.reply(0)


def test_a_list_of_pointers(supervise: Start) -> None:
    child = supervise(["env", "-i", "A=1", "true", "one", "two"], "execve")
    call = child.listener.receive()
    call.reply_continue()
    call = child.listener.receive()
    words = [call.read_string(address) for address in call.read_pointers(call.args[1])]
    assert words == [b"true", b"one", b"two"]
    with pytest.raises(unotify.TooLong):
        call.read_pointers(call.args[1], 2)
    assert [call.read_string(p) for p in call.read_pointers(call.args[2])] == [b"A=1"]
    call.reply_continue()


# ---- Descriptors -------------------------------------------------------------------------------------


def test_a_descriptor_of_the_targets(supervise: Start) -> None:
    script = "import os; r, w = os.pipe(); call('getppid', w); print(os.read(r, 10))"
    child, call = one_call(supervise, script, "getppid")
    fd = call.get_fd(call.args[0])
    os.write(fd, b"hello")
    os.close(fd)
    with pytest.raises(unotify.InvalidArgument) as caught:
        call.get_fd(1 << 20)
    assert caught.value.errno == errno.EBADF
    call.reply(0)
    assert said(child) == "b'hello'"


def test_a_descriptor_as_the_answer(supervise: Start, tmp_path: Path) -> None:
    script = "import os; fd = call('getppid')[0]; print(os.read(fd, 10), os.get_inheritable(fd))"
    child, call = one_call(supervise, script, "getppid")
    (tmp_path / "file").write_text("contents")
    with pytest.raises(unotify.InvalidArgument):
        call.reply_fd(1 << 20)
    with (tmp_path / "file").open() as file:
        call.reply_fd(file, cloexec=True)
    assert said(child) == "b'contents' False"


def test_a_descriptor_is_put_in_place(supervise: Start, tmp_path: Path) -> None:
    script = "import os; call('getppid'); print(os.read(77, 10))"
    child, call = one_call(supervise, script, "getppid")
    (tmp_path / "file").write_text("contents")
    with (tmp_path / "file").open() as file:
        assert call.add_fd(file.fileno(), 77) == 77
        assert call.add_fd(file.fileno()) > 2
    assert call.pending
    call.reply(0)
    assert said(child) == "b'contents'"


def test_a_pidfd_of_the_targets(supervise: Start) -> None:
    child, call = one_call(supervise, "call('getppid')", "getppid")
    pidfd = call.pidfd()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    assert child.wait() == -signal.SIGKILL


# ---- Opening -----------------------------------------------------------------------------------------

OPENS = "import os, sys; print(os.read(os.open(sys.argv[1], os.O_RDONLY), 20))"


def opens(
    supervise: Start, path: Path, script: str = OPENS, names: tuple[str, ...] = ("openat",)
) -> tuple[unotify.Child, Notification]:
    """A target whose call for ``path`` waits; all before it have continued."""
    child = supervise([*target(script, *names), str(path)], *names, stdout=unotify.PIPE, text=True)
    for call in child.listener:
        if call.name != "openat" or call.read_string(call.args[1]) == os.fsencode(path):
            return child, call
        call.reply_continue()
    raise AssertionError("it did not call")


def test_what_a_target_names_is_opened_and_handed_over(supervise: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("contents")
    child, call = opens(supervise, tmp_path / "file")
    assert call.path(call.args[0], call.args[1]) == str(tmp_path / "file")
    known = call.open(call.args[0], call.args[1], os.O_PATH)
    assert stat.S_ISREG(os.fstat(known).st_mode) and not os.get_inheritable(known)
    fd = call.reopen(known, os.O_RDONLY)
    call.reply_fd(fd)
    os.close(fd)
    os.close(known)
    for call in child.listener:
        call.reply_continue()
    assert said(child) == "b'contents'"


def test_what_is_not_there_is_an_error_to_answer_with(supervise: Start, tmp_path: Path) -> None:
    child, call = opens(
        supervise,
        tmp_path / "none",
        "import os, sys\ntry: os.open(sys.argv[1], 0)\nexcept OSError as e: print(e.errno)",
    )
    with pytest.raises(FileNotFoundError) as caught:
        call.open(call.args[0], call.args[1])
    call.reply_error(caught.value.errno or 0)
    for call in child.listener:
        call.reply_continue()
    assert said(child) == str(errno.ENOENT)


def test_only_what_lies_in_the_roots(supervise: Start, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("secret")
    (tmp_path / "in" / "file").write_text("contents")
    roots = unotify.Roots()
    roots.add(tmp_path / "in", unotify.Right.READ)
    child, call = opens(supervise, tmp_path / "in" / "file")
    os.close(call.open_within(roots, call.args[0], call.args[1]))
    with pytest.raises(PermissionError) as caught:
        call.open_within(roots, call.args[0], call.args[1], os.O_WRONLY)
    assert caught.value.errno == errno.EACCES
    call.reply_open_within(roots, call.args[0], call.args[1])
    for call in child.listener:
        call.reply_continue()
    assert said(child) == "b'contents'"
    with pytest.raises(FileNotFoundError):
        roots.add(tmp_path / "none", unotify.Right.READ)
    roots.close()
    with pytest.raises(ValueError, match="the set of directories is closed"):
        roots.add(tmp_path, unotify.Right.READ)


def test_waiting_for_the_other_end_of_a_fifo_is_the_librarys(supervise: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    child, call = opens(supervise, tmp_path / "fifo")
    known = call.open(call.args[0], call.args[1], os.O_PATH)
    call.reply_open(known, os.O_RDONLY)
    assert not call.pending
    os.close(known)
    (tmp_path / "fifo").write_text("through")
    for call in child.listener:
        call.reply_continue()
    assert said(child) == "b'through'"


def test_files_are_made_as_the_targets(supervise: Start, tmp_path: Path) -> None:
    script = "import os, sys; os.umask(0o27); call('getppid'); os.open(sys.argv[1], os.O_RDONLY)"
    child, call = opens(supervise, tmp_path / "new", script, ("getppid", "openat"))
    while call.name != "openat":
        call.reply(0)
        call = child.listener.receive()
    directory, name = call.open_parent(call.args[0], call.args[1])
    assert name == "new"
    os.close(call.create(directory, name, os.O_WRONLY, 0o666))
    call.mkdir(directory, "directory", 0o777)
    call.mknod(directory, "pipe", stat.S_IFIFO | 0o666)
    with pytest.raises(FileExistsError):
        call.create(directory, name)
    os.close(directory)
    modes = {p.name: oct(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"new": "0o100640", "directory": "0o40750", "pipe": "0o10640"}
    call.reply_error(errno.EPERM)


def test_a_targets_socket_is_connected(supervise: Start) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    script = """
        import socket
        s = socket.socket()
        print(s.connect_ex(("192.0.2.1", 9)), s.recv(10), flush=True)
    """
    child, call = one_call(supervise, script, "connect")
    address = bytearray(call.read(call.args[1], call.args[2]))
    assert socket.inet_ntoa(bytes(address[4:8])) == "192.0.2.1"
    address[2:8] = server.getsockname()[1].to_bytes(2, "big") + socket.inet_aton("127.0.0.1")
    call.reply_connect(call.args[0], address)
    connection, _ = server.accept()
    connection.sendall(b"welcome")
    connection.close()
    server.close()
    assert said(child) == "0 b'welcome'"


def test_the_path_of_a_unix_socket(supervise: Start, tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.listen()
    script = "import socket, sys; print(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))"
    child = supervise([*target(script), str(tmp_path / "socket")], "connect", stdout=unotify.PIPE, text=True)
    call = child.listener.receive()
    address = call.read(call.args[1], call.args[2])
    file = call.open_socket(address)
    assert stat.S_ISSOCK(os.fstat(file).st_mode)
    call.reply_connect(call.args[0], address, file)
    os.close(file)
    assert said(child) == "0"
    server.close()


def test_the_targets_root_directory(supervise: Start) -> None:
    _, call = one_call(supervise, "call('getppid')", "getppid")
    root = call.open_root()
    assert os.path.samestat(os.fstat(root), os.stat("/"))
    os.close(root)
    call.reply(0)


# ---- Who it is ---------------------------------------------------------------------------------------


def test_who_calls(supervise: Start) -> None:
    child, call = one_call(supervise, "import os; os.umask(0o31); call('getppid')", "getppid")
    identity = call.identity()
    assert (identity.tgid, identity.uid, identity.egid) == (child.pid, os.getuid(), os.getegid())
    assert identity.umask == 0o31 and identity.same_user_namespace is True
    assert call.groups() == sorted(os.getgroups())
    assert Path(call.executable()).name.startswith("python3")
    call.reply(0)


def test_a_signal_that_waits_can_end_the_call(supervise: Start) -> None:
    script = """
        import signal
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.siginterrupt(signal.SIGUSR1, True)
        print(call('getppid'))
    """
    child, call = one_call(supervise, script, "getppid")
    assert call.reply_interrupted() is False and call.pending
    child.send_signal(signal.SIGUSR1)
    until(call.reply_interrupted)
    assert not call.pending
    for call in child.listener:
        call.reply(5)
    assert said(child) in (f"(-1, {errno.EINTR})", "(5, 0)")


# ---- Threads -----------------------------------------------------------------------------------------


def test_answered_on_another_thread(supervise: Start) -> None:
    child, call = one_call(supervise, "print(call('getppid')[0])", "getppid")
    thread = threading.Thread(target=call.reply, args=(31,))
    thread.start()
    thread.join()
    assert said(child) == "31"


def test_two_threads_at_the_same_time_are_refused_and_answer_once(supervise: Start) -> None:
    child = supervise(target("[call('getppid') for i in range(200)]", "getppid"), "getppid")
    answered: list[int] = []
    refused: list[Exception] = []

    def answer(call: Notification, barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            call.identity()
        except (unotify.Answered, unotify.Gone) as error:
            refused.append(error)
        try:
            call.reply(1)
            answered.append(call.id)
        except (unotify.Answered, unotify.Gone) as error:
            refused.append(error)

    for call in child.listener:
        barrier = threading.Barrier(2)
        threads = [threading.Thread(target=answer, args=(call, barrier)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        call.close()
    assert len(answered) == len(set(answered)) and refused
