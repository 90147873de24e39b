#!/usr/bin/env python3
"""Supervises a program through the installed library with nothing but ctypes.

Usage: ctypes_smoke.py HEADER. The library is found by the dynamic linker, the constants in HEADER.
"""

import ctypes
import errno
import os
import re
import sys
from pathlib import Path

ANSWER = 4242


class Request(ctypes.Structure):
    _fields_ = [
        ("id", ctypes.c_uint64),
        ("pid", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("syscall", ctypes.c_int32),
        ("arch", ctypes.c_uint32),
        ("instruction_pointer", ctypes.c_uint64),
        ("args", ctypes.c_uint64 * 6),
    ]


lib = ctypes.CDLL("libunotify.so.0", use_errno=True)
lib.unotify_notification_request.restype = ctypes.POINTER(Request)
lib.unotify_status_name.restype = ctypes.c_char_p
lib.unotify_version.restype = ctypes.c_char_p
for name in ["filter", "child", "listener", "notification"]:
    free = lib[f"unotify_{name}_free"]
    free.argtypes, free.restype = [ctypes.c_void_p], None


def constants(header: str) -> dict[str, int]:
    """The header's constants: plain numbers, unsigned ones in hexadecimal, and shifts."""
    define = r"^#define (UNOTIFY_\w+) (?:(\d+)|(0x[0-9a-f]+)U|\(1U(?:LL)? << (\d+)\))(?: |$)"
    found: dict[str, int] = {}
    for name, decimal, hexadecimal, bit in re.findall(define, header, re.MULTILINE):
        found[name] = int(hexadecimal, 16) if hexadecimal else 1 << int(bit) if bit else int(decimal)
    statuses = re.findall(r"^ +(UNOTIFY_\w+) = (-?\d+),", header, re.MULTILINE)
    return found | {name: int(number) for name, number in statuses}


def check(status: int) -> None:
    if status != 0:
        sentence = ctypes.create_string_buffer(256)
        lib.unotify_last_error(sentence, ctypes.c_size_t(len(sentence)))
        raise OSError(ctypes.get_errno(), sentence.value.decode())


def supervise(c: dict[str, int], argv: list[str]) -> tuple[int, int]:
    """Runs a program whose parent is said to be ANSWER: the calls it made, and its wait status."""
    handle, child, listener, call = (ctypes.c_void_p() for _ in range(4))
    check(lib.unotify_filter_new(ctypes.c_uint32(c["UNOTIFY_ACTION_ALLOW"]), ctypes.byref(handle)))
    check(lib.unotify_filter_notify(handle, b"getppid"))
    c_argv = (ctypes.c_char_p * (len(argv) + 1))(*(arg.encode() for arg in argv), None)
    check(lib.unotify_spawn(handle, c_argv[0], c_argv, None, None, ctypes.byref(child)))
    check(lib.unotify_child_take_listener(child, ctypes.byref(listener)))
    calls = 0
    while (status := lib.unotify_listener_receive(listener, -1, ctypes.byref(call))) == 0:
        request = lib.unotify_notification_request(call).contents
        assert request.arch == lib.unotify_arch_native() & 0xFFFFFFFF, request.arch
        check(lib.unotify_notification_reply_value(call, ctypes.c_int64(ANSWER)))
        calls += 1
    assert status == c["UNOTIFY_ERR_CLOSED"], lib.unotify_status_name(status)
    wait_status = ctypes.c_int()
    check(lib.unotify_child_wait(child, -1, ctypes.byref(wait_status)))
    lib.unotify_notification_free(call)
    lib.unotify_listener_free(listener)
    lib.unotify_child_free(child)
    lib.unotify_filter_free(handle)
    return calls, wait_status.value


def main() -> None:
    c = constants(Path(sys.argv[1]).read_text())
    calls, status = supervise(c, ["sh", "-c", f"test $PPID = {ANSWER}"])
    assert calls > 0 and os.waitstatus_to_exitcode(status) == 0, (calls, status)
    try:
        supervise(c, ["/no/such/program"])
    except OSError as error:
        assert error.errno == errno.ENOENT and "/no/such/program" in str(error), error
    else:
        raise AssertionError("a program that does not exist was started")
    print(f"libunotify {lib.unotify_version().decode()}: answered {calls} calls")


if __name__ == "__main__":
    main()
