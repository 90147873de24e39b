"""Filters: rules, conditions, and what they are written out as."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
from conftest import notifying, target

import unotify
from unotify import Action, Arg, Filter


def test_what_a_filter_is_exported_as_is_a_program_of_the_kernels() -> None:
    program = notifying("getppid").export_bpf()
    instructions = [struct.unpack_from("=HBBI", program, i) for i in range(0, len(program), 8)]
    assert instructions[-1][0] == 0x06 and any(i[3] == Action.NOTIFY for i in instructions)


def test_pfc_goes_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "pfc").open("w") as file:
        notifying("getppid").export_pfc(file)
    assert "getppid" in (tmp_path / "pfc").read_text()


def test_an_unknown_call_is_named() -> None:
    with pytest.raises(unotify.UnknownSyscall, match="no_such_call") as caught:
        Filter().notify("no_such_call")
    assert isinstance(caught.value, LookupError) and caught.value.status is unotify.Status.UNKNOWN_SYSCALL


def test_architectures_come_before_rules() -> None:
    with pytest.raises(unotify.InvalidArgument):
        Filter().notify("getppid").add_arch(
            "x86" if unotify.arch_name(unotify.arch_native()) == "x86_64" else "arm"
        )
    with pytest.raises(unotify.UnknownArch):
        Filter().add_arch("no_such_arch")


def test_masks_compare_for_equality_only() -> None:
    with pytest.raises(TypeError):
        (Arg(0) & 1) < 2  # noqa: B015
    with pytest.raises(ValueError, match="0 to 5"):
        Arg(6) == 0  # noqa: B015
    with pytest.raises(OverflowError):
        Arg(0) == 1 << 64  # noqa: B015
    with pytest.raises(TypeError):
        bool(Arg(0) == 1)


CASES = [
    (Arg(0) == 5, [(5, True), (4, False)]),
    (Arg(0) == -1, [((1 << 64) - 1, True), (0xFFFF_FFFF, False)]),
    (Arg(0) != 5, [(5, False), (6, True)]),
    (Arg(0) < 5, [(4, True), (5, False)]),
    (Arg(0) <= 5, [(5, True), (6, False)]),
    (Arg(0) > 1 << 63, [((1 << 63) + 1, True), (1, False)]),
    (Arg(0) >= 5, [(5, True), (4, False)]),
    ((Arg(0) & 0xF0) == 0x30, [(0x3F, True), (0x4F, False)]),
]


@pytest.mark.parametrize(("condition", "calls"), CASES, ids=[repr(c) for c, _ in CASES])
def test_conditions_decide(condition: unotify.Condition, calls: list[tuple[int, bool]]) -> None:
    script = f"for value in {[value for value, _ in calls]}: print(call('getppid', value)[0], flush=True)"
    filter = Filter().add_rule(Action.NOTIFY, "getppid", condition)
    child = unotify.spawn(target(script, "getppid"), filter, stdout=unotify.PIPE, text=True)
    with child, child.listener as listener:
        for call in listener:
            call.reply(4242)
        assert child.stdout is not None
        said = child.stdout.read().split()
    assert [word == "4242" for word in said] == [notified for _, notified in calls]
    child.close()


def test_actions_without_a_supervisor() -> None:
    filter = Filter().add_rule(Action.errno(errno.EXDEV), "getppid").notify("getpgid")
    script = "import sys; sys.exit(call('getppid')[1])"
    child = unotify.spawn(target(script, "getppid"), filter)
    with child.listener:
        assert child.wait() == errno.EXDEV
    child.close()


def test_a_family_is_notified() -> None:
    assert "open" in unotify.families()
    filter = Filter().notify_family("open")
    child = unotify.spawn(["cat", "/dev/null"], filter)
    with child.listener as listener:
        names = set()
        for call in listener:
            names.add(call.name)
            call.reply_continue()
    assert child.wait() == 0 and names & {"openat", "open"}
    child.close()
    with pytest.raises(unotify.InvalidArgument, match="no_such_family"):
        Filter().notify_family("no_such_family")


def test_a_filter_that_notifies_nothing_is_loaded_without_a_listener() -> None:
    pid = os.fork()
    if pid == 0:
        filter = Filter().add_rule(Action.errno(errno.EXDEV), "getppid")
        os._exit(3 if filter.load() is None and ctypes_getppid() == errno.EXDEV else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def ctypes_getppid() -> int:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.syscall(unotify.syscall_from_name("getppid")) == -1 else 0


def test_what_a_closed_filter_is_asked_for_raises() -> None:
    filter = notifying("getppid")
    filter.close()
    filter.close()
    assert filter.closed
    for use in (
        lambda: filter.notify("getpid"),
        filter.export_bpf,
        filter.load,
        lambda: filter.add_arch("native"),
        lambda: unotify.spawn(["true"], filter),
    ):
        with pytest.raises(ValueError, match="the filter is closed"):
            use()


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(OverflowError):
        Filter(-1)
    with pytest.raises(ValueError, match="0 to 65535"):
        Action.errno(-1)


def test_names_of_calls_and_architectures() -> None:
    native = unotify.arch_native()
    assert unotify.arch_from_name("native") == native
    assert unotify.arch_name(0xDEAD) is None
    number = unotify.syscall_from_name("openat", native)
    assert unotify.syscall_name(number) == "openat" == unotify.syscall_name(number, native)
    with pytest.raises(unotify.UnknownSyscall):
        unotify.syscall_name(-5)
