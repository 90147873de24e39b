"""Exceptions: what they are, and what they say."""

from __future__ import annotations

import errno
import pickle

import pytest
from conftest import notifying

import unotify
from unotify import errors

ALSO = {
    unotify.Gone: ProcessLookupError,
    unotify.Closed: EOFError,
    unotify.Timeout: TimeoutError,
    unotify.Answered: ValueError,
    unotify.InvalidArgument: ValueError,
    unotify.UnknownSyscall: LookupError,
    unotify.UnknownArch: LookupError,
    unotify.Unsupported: NotImplementedError,
    unotify.Permission: PermissionError,
    unotify.NotVisible: ProcessLookupError,
    unotify.NoMemory: MemoryError,
    unotify.Panic: RuntimeError,
    unotify.Interrupted: InterruptedError,
    unotify.HandlerFailed: RuntimeError,
}


@pytest.mark.parametrize(("kind", "python"), ALSO.items())
def test_each_is_also_what_python_has(kind: type[unotify.Error], python: type[Exception]) -> None:
    error = errors.make(kind.status, errno.EIO, "a sentence")
    assert type(error) is kind and isinstance(error, (unotify.Error, OSError)) and isinstance(error, python)
    assert (error.errno, error.strerror, error.status) == (errno.EIO, "a sentence", kind.status)
    assert str(error) == "[Errno 5] a sentence"


@pytest.mark.parametrize(
    ("number", "python"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.ESRCH, ProcessLookupError),
        (errno.ECHILD, ChildProcessError),
        (errno.EEXIST, FileExistsError),
        (errno.EXDEV, OSError),
    ],
)
def test_what_the_kernel_says_is_what_python_has_for_it(number: int, python: type[OSError]) -> None:
    error = errors.make(unotify.Status.SYSTEM, number, "a sentence")
    assert isinstance(error, python) and isinstance(error, unotify.System)
    assert error.errno == number and error.status is unotify.Status.SYSTEM


def test_every_status_has_an_exception() -> None:
    for status in unotify.Status:
        if status is not unotify.Status.OK:
            assert errors.make(status, 1, "").status is status


def test_a_sentence_names_the_culprit() -> None:
    with pytest.raises(FileNotFoundError, match="/no/such/program") as caught:
        unotify.spawn(["/no/such/program"], notifying("getppid"))
    assert caught.value.errno == errno.ENOENT


def test_exceptions_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(errors.make(unotify.Status.GONE, errno.ENOENT, "a sentence")))
    assert type(error) is unotify.Gone and error.strerror == "a sentence"
