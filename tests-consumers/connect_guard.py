"""What a program meets under connect-guard: connect_guard.py PATH_OF_CONNECT_GUARD"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

Address = str | tuple[str, int]


def connect(family: int, address: Address, kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(family, kind) as s:
        return s.connect_ex(address)


class Alarm(Exception):
    pass


def on_alarm(_number: int, _frame: object) -> None:
    raise Alarm


def guarded(allowed: int, forbidden: int, full: int, directory: str) -> None:
    """What is run under the guard."""
    inet, inet6 = socket.AF_INET, socket.AF_INET6
    assert connect(inet, ("127.0.0.1", allowed)) == 0
    assert connect(inet, ("127.1.2.3", allowed)) == errno.ECONNREFUSED
    assert connect(inet, ("0.0.0.0", allowed)) == 0
    assert connect(inet, ("127.0.0.1", forbidden)) == errno.EACCES
    assert connect(inet, ("192.0.2.1", allowed)) == errno.EACCES
    if os.path.exists("/proc/net/if_inet6"):
        assert connect(inet6, ("::ffff:127.0.0.1", allowed)) == 0
        assert connect(inet6, ("::ffff:127.0.0.1", forbidden)) == errno.EACCES
        assert connect(inet6, ("::ffff:192.0.2.1", allowed)) == errno.EACCES

    # Unix sockets: what the path leads to from where the program is.
    os.chdir(directory)
    unix = socket.AF_UNIX
    assert connect(unix, "good") == 0
    assert connect(unix, directory + "/good") == 0
    assert connect(unix, directory + "/link") == 0
    assert connect(unix, "bad") == errno.EACCES
    assert connect(unix, "\0abstract") == errno.EACCES
    assert connect(unix, "nowhere") == errno.ENOENT

    # A connection is taken away.
    with socket.socket(inet, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", allowed))
        unspecified = bytes(16)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.connect(s.fileno(), unspecified, 16) == 0
        try:
            s.getpeername()
        except OSError as error:
            assert error.errno == errno.ENOTCONN
        else:
            raise AssertionError("it is connected still")

    # One that waits is interrupted.
    signal.signal(signal.SIGALRM, on_alarm)
    begun = time.monotonic()
    with socket.socket(inet) as s:
        signal.alarm(1)
        try:
            s.connect(("127.0.0.1", full))
        except Alarm:
            pass
        else:
            raise AssertionError("it was not to be connected")
    took = time.monotonic() - begun
    assert 0.9 < took < 5, took

    # One that does not wait is on its way, and its time limit is its own.
    with socket.socket(inet) as s:
        s.setblocking(False)
        assert s.connect_ex(("127.0.0.1", full)) == errno.EINPROGRESS
    with socket.socket(inet) as s:
        s.settimeout(0.2)
        assert s.connect_ex(("127.0.0.1", full)) in (errno.EAGAIN, errno.ETIMEDOUT)

    # Many wait, and one that does not have to goes by.
    def wait() -> None:
        with socket.socket(inet) as s:
            s.connect_ex(("127.0.0.1", full))

    for _ in range(64):
        threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.3)
    begun = time.monotonic()
    assert connect(inet, ("127.0.0.1", allowed)) == 0
    assert time.monotonic() - begun < 1

    async def through_asyncio() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", allowed)
        writer.close()

    asyncio.run(through_asyncio())
    sys.stdout.write("all of it\n")
    sys.stdout.flush()
    os._exit(9)


def accept_all(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


def serve(listener: socket.socket) -> None:
    threading.Thread(target=accept_all, args=(listener,), daemon=True).start()


def listen(backlog: int = 64) -> tuple[socket.socket, int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener, listener.getsockname()[1]


def fill(port: int) -> list[socket.socket]:
    """Connects until nobody is let in any more."""
    inside = []
    while True:
        s = socket.socket()
        inside.append(s)
        s.settimeout(0.2)
        if s.connect_ex(("127.0.0.1", port)) != 0:
            return inside


def main(guard: str) -> None:
    good, allowed = listen()
    _bad, forbidden = listen()
    _full, full = listen(0)
    serve(good)
    inside = fill(full)
    with tempfile.TemporaryDirectory() as directory:
        for name in "good", "bad":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{directory}/{name}")
            listener.listen(64)
            serve(listener)
        os.symlink("good", f"{directory}/link")
        where = f"{allowed},{full},{directory}/good"
        command = [guard, where, "--", sys.executable, __file__, "--guarded"]
        command += [str(allowed), str(forbidden), str(full), directory]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, timeout=60)
        assert done.stdout == b"all of it\n", done
        assert done.returncode == 9, done
    del inside


if sys.argv[1] == "--guarded":
    ports = [int(argument) for argument in sys.argv[2:5]]
    guarded(ports[0], ports[1], ports[2], sys.argv[5])
else:
    main(sys.argv[1])
