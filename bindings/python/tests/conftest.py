"""What the tests have in common. What hangs is ended by the time limit in pyproject.toml."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

import unotify

SLOWNESS = float(os.environ.get("UNOTIFY_TEST_SLOWNESS", "1"))
LIMIT = 60 * SLOWNESS


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a descriptor behind."""
    before = open_descriptors()
    yield
    # Exceptions that a test has caught keep the frames they came through.
    gc.collect()
    after = open_descriptors()
    assert len(after) <= len(before), f"left open: {set(after.items()) - set(before.items())}"


def open_descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # of the listing itself
    return found


def notifying(*names: str) -> unotify.Filter:
    return unotify.Filter().notify(*names)


# A target in Python, which makes system calls by their numbers.
TARGET = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(name_or_number, *args):
    number = {names}[name_or_number]
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_uint64(a & (1 << 64) - 1) if isinstance(a, int) else a for a in args])
    return result, ctypes.get_errno() if result == -1 else 0
"""


def target(script: str, *names: str) -> list[str]:
    """A program that runs ``script``, in which ``call(name, ...)`` makes a system call of ``names``."""
    numbers = {name: unotify.syscall_from_name(name) for name in names}
    head = TARGET.replace("{names}", repr(numbers))
    return [sys.executable, "-S", "-E", "-c", head + textwrap.dedent(script)]


@pytest.fixture
def supervise() -> Iterator[Callable[..., unotify.Child]]:
    """Starts a program, which is killed at the end of the test if it is still there."""
    children: list[unotify.Child] = []

    def start(argv: list[str], *names: str, **how: object) -> unotify.Child:
        child = unotify.spawn(argv, notifying(*names), **how)  # type: ignore[arg-type]
        children.append(child)
        return child

    yield start
    for child in children:
        if not child.closed:
            if child.poll() is None:
                child.kill()
                child.wait()
            if child._listener is not None:
                child._listener.close()
            child.close()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def until(condition: Callable[[], bool], what: str = "what was waited for") -> None:
    end = time.monotonic() + 20 * SLOWNESS
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.005)


def run_python(script: str, *args: str, **how: object) -> subprocess.CompletedProcess[str]:
    """Runs a script in an interpreter of its own."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script), *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT * 0.8,
        **how,  # type: ignore[call-overload]
    )
    return done


@pytest.fixture
def in_directory(tmp_path: Path) -> Path:
    return tmp_path
