"""What callers give, as the library takes it."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_size_t, c_uint64
from typing import Protocol, Union

Buffer = Union[bytes, bytearray, memoryview]


class HasFileno(Protocol):
    """What has a descriptor, such as a file or a socket."""

    def fileno(self) -> int: ...


# A descriptor of this process.
Descriptor = Union[int, HasFileno]


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("flags", c_uint64),
        ("mode", c_uint64),
        ("resolve", c_uint64),
        ("at_flags", c_uint64),
    )


def as_int(value: int) -> int:
    """A descriptor as it stands in an argument of a call, of which the lower half counts.

    >>> as_int(0xffffff9c), as_int(-100), as_int(3)
    (-100, -100, 3)
    """
    if not -(1 << 63) <= value < 1 << 64:
        raise OverflowError(f"not a number of 64 bits: {value}")
    return ((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


def as_address(address: int) -> int:
    if not 0 <= address < 1 << 64:
        raise OverflowError(f"not an address: {address}")
    return address


def as_descriptor(fd: Descriptor) -> int:
    """A descriptor of this process, or what has one."""
    number = fd if isinstance(fd, int) else fd.fileno()
    if not -0x8000_0000 <= number <= 0x7FFF_FFFF:
        raise OverflowError(f"not a descriptor: {number}")
    return int(number)


def open_how(flags: int, mode: int, resolve: int, at_flags: int) -> _OpenHow:
    # As open(2), which has no use for the mode of a file that is there.
    mode = mode if flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY) else 0
    return _OpenHow(ctypes.sizeof(_OpenHow), flags, mode, resolve, at_flags)
