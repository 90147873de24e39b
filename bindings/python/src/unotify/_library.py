"""Finds and loads the C library, says what its functions take, and turns a status into an exception.

Looked for in this order: the file that the environment variable ``UNOTIFY_LIBRARY`` names, the one
that a platform wheel has put beside this module, and the system's ``libunotify.so.0``.
"""

from __future__ import annotations

import ctypes
import os
import re
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NoReturn

from . import errors

SONAME = "libunotify.so.0"
# The oldest library that has all that is called here.
NEEDED = (0, 1)

# What a function takes and gives: a letter each, the first for the result ("-" for none).
_TYPES: dict[str, Any] = {
    "-": None,
    "i": c_int,  # also a status, a pid_t
    "u": c_uint32,  # also a mode_t
    "U": c_uint64,  # also a dev_t
    "I": c_int64,
    "z": c_size_t,
    "p": c_void_p,
    "s": c_char_p,
}

# Every function of the C library: what it takes, and what has it in Python (docs/names.md is made of it).
FUNCTIONS: dict[str, tuple[str, str]] = {
    "unotify_action_errno": ("uu", "Action.errno"),
    "unotify_agent_accept": ("ipip", "Agent.accept"),
    "unotify_agent_fd": ("ip", "Agent.fileno"),
    "unotify_agent_free": ("-p", "Agent.close"),
    "unotify_agent_from_socket": ("iipp", "Agent.from_socket"),
    "unotify_agent_hand_over": ("ippi", "Agent.hand_over"),
    "unotify_agent_interrupt": ("ip", "Agent.interrupt"),
    "unotify_agent_new": ("ispp", "Agent"),
    "unotify_agent_put_back": ("ipp", "Agent.put_back"),
    "unotify_agent_serve": ("ipppp", "Agent.serve"),
    "unotify_agent_take_over": ("iipp", "Agent.take_over"),
    "unotify_arch_compat": ("u", "arch_compat"),
    "unotify_arch_from_name": ("isp", "arch_from_name"),
    "unotify_arch_name": ("su", "arch_name"),
    "unotify_arch_native": ("u", "arch_native"),
    "unotify_child_exec_error": ("ip", "Child.exec_error"),
    "unotify_child_free": ("-p", "Child.close"),
    "unotify_child_kill": ("ipi", "Child.send_signal"),
    "unotify_child_pid": ("ip", "Child.pid"),
    "unotify_child_pidfd": ("ip", "Child.pidfd"),
    "unotify_child_take_listener": ("ipp", "Child.listener"),
    "unotify_child_wait": ("ipip", "Child.wait"),
    "unotify_container_annotation": ("sps", "Container.annotations"),
    "unotify_container_annotation_key": ("spz", "Container.annotations"),
    "unotify_container_bundle": ("sp", "Container.bundle"),
    "unotify_container_fd": ("ips", "Container.fd"),
    "unotify_container_free": ("-p", "Container.close"),
    "unotify_container_id": ("sp", "Container.id"),
    "unotify_container_init_pid": ("ip", "Container.init_pid"),
    "unotify_container_metadata": ("sp", "Container.metadata"),
    "unotify_container_pid": ("ip", "Container.pid"),
    "unotify_container_status": ("sp", "Container.status"),
    "unotify_container_take_listener": ("ipp", "Container.listener"),
    "unotify_container_version": ("sp", "Container.version"),
    "unotify_container_was_handed_over": ("ip", "Container.was_handed_over"),
    "unotify_exit_like": ("-i", "exit_like"),
    "unotify_family_name": ("sz", "families"),
    "unotify_features": ("U", "features"),
    "unotify_filter_add_arch": ("ipu", "Filter.add_arch"),
    "unotify_filter_add_rule": ("ipuspz", "Filter.add_rule"),
    "unotify_filter_export_bpf": ("ippp", "Filter.export_bpf"),
    "unotify_filter_export_pfc": ("ipi", "Filter.export_pfc"),
    "unotify_filter_free": ("-p", "Filter.close"),
    "unotify_filter_load": ("ippp", "Filter.load"),
    "unotify_filter_new": ("iup", "Filter"),
    "unotify_filter_notify": ("ips", "Filter.notify"),
    "unotify_filter_notify_family": ("ips", "Filter.notify_family"),
    "unotify_last_error": ("zpz", "Error"),
    "unotify_listener_fd": ("ip", "Listener.fileno"),
    "unotify_listener_free": ("-p", "Listener.close"),
    "unotify_listener_from_fd": ("iip", "Listener.from_fd"),
    "unotify_listener_from_pid": ("iiip", "Listener.from_pid"),
    "unotify_listener_from_socket": ("iip", "Listener.from_socket"),
    "unotify_listener_into_fd": ("ip", "Listener.detach"),
    "unotify_listener_receive": ("ipip", "Listener.__iter__"),
    "unotify_listener_receive_with": ("ipiup", "Listener.receive"),
    "unotify_listener_reply_receive": ("ippuIip", "none: reply() says at once what is wrong"),
    "unotify_listener_set_fallback_error": ("ipi", "Listener.set_fallback_error"),
    "unotify_listener_set_interrupted": ("ipi", "Listener.interrupt"),
    "unotify_listener_set_sync_wake_up": ("ipi", "Listener.set_sync_wake_up"),
    "unotify_listener_to_socket": ("ipi", "Listener.send"),
    "unotify_listener_watch_child": ("ipi", "Listener.watch_child"),
    "unotify_notification_add_fd": ("ipiiip", "Notification.add_fd"),
    "unotify_notification_check_valid": ("ip", "Notification.check_valid"),
    "unotify_notification_create": ("ipisiup", "Notification.create"),
    "unotify_notification_executable": ("ippz", "Notification.executable"),
    "unotify_notification_free": ("-p", "Notification.close"),
    "unotify_notification_get_fd": ("ipip", "Notification.get_fd"),
    "unotify_notification_groups": ("ippzp", "Notification.groups"),
    "unotify_notification_identity": ("ipp", "Notification.identity"),
    "unotify_notification_listener_data": ("pp", "Notification.listener_data"),
    "unotify_notification_mkdir": ("ipisu", "Notification.mkdir"),
    "unotify_notification_mknod": ("ipisuU", "Notification.mknod"),
    "unotify_notification_new": ("ip", "Listener.receive"),
    "unotify_notification_open": ("ipiUpp", "Notification.open"),
    "unotify_notification_open_parent": ("ipiUpzp", "Notification.open_parent"),
    "unotify_notification_open_pidfd": ("ipp", "Notification.pidfd"),
    "unotify_notification_open_root": ("ipp", "Notification.open_root"),
    "unotify_notification_open_socket": ("ippzp", "Notification.open_socket"),
    "unotify_notification_open_within": ("ippiUpp", "Notification.open_within"),
    "unotify_notification_read": ("ipUpz", "Notification.read"),
    "unotify_notification_read_path": ("ipiUpz", "Notification.path"),
    "unotify_notification_read_pointers": ("ipUpzp", "Notification.read_pointers"),
    "unotify_notification_read_string": ("ipUpzp", "Notification.read_string"),
    "unotify_notification_reopen": ("ipiUUp", "Notification.reopen"),
    "unotify_notification_reply_connect": ("ipipzi", "Notification.reply_connect"),
    "unotify_notification_reply_continue": ("ip", "Notification.reply_continue"),
    "unotify_notification_reply_error": ("ipi", "Notification.reply_error"),
    "unotify_notification_reply_fd": ("ipii", "Notification.reply_fd"),
    "unotify_notification_reply_interrupted": ("ipp", "Notification.reply_interrupted"),
    "unotify_notification_reply_open": ("ipiiu", "Notification.reply_open"),
    "unotify_notification_reply_open_within": ("ippiUp", "Notification.reply_open_within"),
    "unotify_notification_reply_value": ("ipI", "Notification.reply"),
    "unotify_notification_request": ("pp", "Notification.args"),
    "unotify_notification_run_in": ("ipuipppp", "none: an interpreter may not run where it calls a function"),
    "unotify_notification_watch_exit": ("ipp", "Notification.watch_exit"),
    "unotify_notification_write": ("ipUpz", "Notification.write"),
    "unotify_probe_basics_work": ("ip", "Probe.basics_work"),
    "unotify_probe_free": ("-p", "probe"),
    "unotify_probe_get": ("ipzp", "Probe.parts"),
    "unotify_probe_new": ("iip", "probe"),
    "unotify_roots_add": ("ipsu", "Roots.add"),
    "unotify_roots_free": ("-p", "Roots.close"),
    "unotify_roots_new": ("iup", "Roots"),
    "unotify_spawn": ("ipspppp", "spawn"),
    "unotify_status_message": ("si", "Error"),
    "unotify_status_name": ("si", "Error.status"),
    "unotify_supervisor_add_listener": ("ippp", "Supervisor.add_listener"),
    "unotify_supervisor_dispatch": ("ipp", "Supervisor.dispatch"),
    "unotify_supervisor_fd": ("ip", "Supervisor.fileno"),
    "unotify_supervisor_free": ("-p", "Supervisor.close"),
    "unotify_supervisor_join": ("ipi", "Supervisor.join"),
    "unotify_supervisor_new": ("ipp", "Supervisor"),
    "unotify_supervisor_on": ("ipsupp", "Supervisor.on"),
    "unotify_supervisor_on_close": ("ippp", "Supervisor.on_close"),
    "unotify_supervisor_on_default": ("ippp", "Supervisor.on_default"),
    "unotify_supervisor_on_exit": ("ippp", "Supervisor.on_exit"),
    "unotify_supervisor_remove_listener": ("ipp", "Supervisor.remove_listener"),
    "unotify_supervisor_run": ("ip", "Supervisor.run"),
    "unotify_supervisor_run_program": ("ippspppp", "Supervisor.run_program"),
    "unotify_supervisor_stand_in_for": ("ippspppp", "Supervisor.stand_in_for"),
    "unotify_supervisor_start": ("ip", "Supervisor.start"),
    "unotify_supervisor_stats": ("ipp", "Supervisor.stats"),
    "unotify_supervisor_stop": ("ip", "Supervisor.stop"),
    "unotify_supervisor_take_listener": ("ippp", "Supervisor.take_listener"),
    "unotify_syscall_from_name": ("iusp", "syscall_from_name"),
    "unotify_syscall_name": ("iuipz", "syscall_name"),
    "unotify_version": ("s", "library_version"),
}


def _candidates() -> list[str]:
    if named := os.environ.get("UNOTIFY_LIBRARY"):
        return [named]
    bundled = Path(__file__).with_name(SONAME)
    return [str(bundled)] if bundled.exists() else [SONAME]


def _find() -> str:
    """The library's name, for the dynamic linker, once it has been found to load."""
    (name,) = _candidates()
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise ImportError(
            f"the C library of unotify cannot be loaded: {error}. Install libunotify (scripts/setup build, then "
            f"meson setup, compile and install, and ldconfig), or name its file in UNOTIFY_LIBRARY"
        ) from None
    return name


def version_numbers(version: str) -> tuple[int, ...]:
    """
    >>> version_numbers("0.1.0")
    (0, 1, 0)
    """
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


class Library:
    """The functions of the C library as attributes, by their names without ``unotify_``."""

    def __init__(self, dll: ctypes.CDLL, path: str) -> None:
        for name, (types, _) in FUNCTIONS.items():
            try:
                function = getattr(dll, name)
            except AttributeError:
                found = _version(dll)
                raise ImportError(
                    f"{path} is libunotify {found} and has no {name}: this package needs a library of "
                    f"version {NEEDED[0]}.{NEEDED[1]} or later"
                ) from None
            function.restype, *function.argtypes = [_TYPES[letter] for letter in types]
            setattr(self, name[len("unotify_") :], function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _version(dll: ctypes.CDLL) -> str:
    try:
        function = dll.unotify_version
    except AttributeError:
        return "of an unknown version"
    function.restype = c_char_p
    return str(function().decode())


PATH = _find()
# Lets other threads run meanwhile, and keeps errno.
lib = Library(ctypes.CDLL(PATH, use_errno=True), PATH)
# For what never waits: other threads need not be let run.
quick = Library(ctypes.PyDLL(PATH, use_errno=True), PATH)
# For finalizers, which come at any moment: errno stays as it is.
final = Library(ctypes.CDLL(PATH), PATH)
# For the way of a notification: arguments are passed as they are, without a look at their types.
raw = ctypes.CDLL(PATH, use_errno=True)
raw_quick = ctypes.PyDLL(PATH, use_errno=True)
# And where nobody asks why it failed.
raw_final = ctypes.PyDLL(PATH)

if version_numbers(_version(raw)) < NEEDED:
    raise ImportError(
        f"{PATH} is libunotify {_version(raw)}: this package needs {NEEDED[0]}.{NEEDED[1]} or later"
    )


def last_sentence() -> str:
    """What the library says about this thread's last error."""
    room = ctypes.create_string_buffer(256)
    length = quick.last_error(room, len(room))
    if length >= len(room):
        room = ctypes.create_string_buffer(length + 1)
        quick.last_error(room, len(room))
    return room.value.decode(errors="replace")


def error(status: int) -> errors.Error:
    """The exception for a status that this thread's last call has come to."""
    errnum = ctypes.get_errno()
    return errors.make(status, errnum, last_sentence())


def check(status: int) -> None:
    """Raises the exception for a status, unless that is 0."""
    if status:
        raise error(status)


def fail(status: errors.Status, errnum: int, sentence: str) -> NoReturn:
    """Raises what the library would have, had it been asked."""
    raise errors.make(status, errnum, sentence)


def milliseconds(timeout: float | None) -> int:
    """A time limit in seconds as the library takes it: rounded up, and -1 for none.

    >>> milliseconds(None), milliseconds(0), milliseconds(0.0001), milliseconds(2)
    (-1, 0, 1, 2000)
    """
    if timeout is None:
        return -1
    if not timeout >= 0:
        raise ValueError(f"a time limit is not negative: {timeout}")
    # A fraction of a millisecond is one; what is too long for the library is 24 days.
    whole = min(timeout * 1000, 0x7FFF_FFFF)
    return int(whole) + (int(whole) < whole)
