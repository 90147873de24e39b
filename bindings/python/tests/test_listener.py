"""Listeners: receiving, ending, passing them on."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import Callable

import pytest
from conftest import SLOWNESS, notifying, target, until

import unotify
from unotify import Listener

Start = Callable[..., unotify.Child]
ASKS = ["sh", "-c", "exit $PPID"]


def test_a_loop_ends_with_the_last_target(supervise: Start) -> None:
    child = supervise(ASKS, "getppid")
    calls = []
    for call in child.listener:
        calls.append(call)
        call.reply(42)
    assert child.wait() == 42
    assert [call.name for call in calls] == ["getppid"] and calls[0].pid == child.pid
    with pytest.raises(unotify.Closed):
        child.listener.receive()


def test_each_notification_is_an_object_of_its_own(supervise: Start) -> None:
    child = supervise(target("for i in range(20): call('getppid', i)", "getppid"), "getppid")
    kept = []
    for call in child.listener:
        call.reply(0)
        kept.append(call)
    assert [call.args[0] for call in kept] == list(range(20))
    assert len({call.id for call in kept}) == 20


def test_several_can_be_pending_at_once(supervise: Start) -> None:
    script = """
        import threading
        threads = [threading.Thread(target=call, args=("getppid", i)) for i in range(5)]
        for t in threads: t.start()
        for t in threads: t.join()
    """
    child = supervise(target(script, "getppid"), "getppid")
    calls = [child.listener.receive() for _ in range(5)]
    assert sorted(call.args[0] for call in calls) == [0, 1, 2, 3, 4]
    for call in reversed(calls):
        call.reply(0)
    assert list(child.listener) == [] and child.wait() == 0


def test_a_time_limit_passes(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")
    start = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        child.listener.receive(timeout=0.25)
    assert caught.value.status is unotify.Status.TIMEOUT  # type: ignore[attr-defined]
    assert 0.2 < time.monotonic() - start < 0.25 + SLOWNESS
    with pytest.raises(unotify.Timeout):
        child.listener.receive(0)
    with pytest.raises(ValueError, match="not negative"):
        child.listener.receive(-1)
    with pytest.raises(ValueError, match="not negative"):
        child.listener.receive(float("nan"))


def test_an_interruption_ends_receives_until_it_is_taken_back(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")
    listener = child.listener
    timer = threading.Timer(0.05, listener.interrupt)
    timer.start()
    with pytest.raises(unotify.Stopped):
        listener.receive()
    assert list(listener) == []
    listener.interrupt(False)
    with pytest.raises(unotify.Timeout):
        listener.receive(0)
    timer.join()


@pytest.mark.parametrize("how", ["receive", "for"])
def test_closing_ends_a_receive_on_another_thread(supervise: Start, how: str) -> None:
    child = supervise(["sleep", "60"], "getppid")
    listener = child.listener
    caught: list[Exception] = []

    def receive() -> None:
        try:
            listener.receive() if how == "receive" else next(iter(listener))
        except Exception as error:  # noqa: BLE001 - looked at below
            caught.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    time.sleep(0.05)
    listener.close()
    thread.join()
    assert type(caught[0]) is ValueError and "the listener is closed" in str(caught[0])


def test_what_a_closed_listener_is_asked_for_raises(supervise: Start) -> None:
    listener = supervise(["sleep", "60"], "getppid").listener
    listener.close()
    listener.close()
    supervisor = unotify.Supervisor()
    for use in (
        listener.receive,
        listener.fileno,
        listener.detach,
        listener.interrupt,
        lambda: next(iter(listener)),
        lambda: listener.set_sync_wake_up(True),
        lambda: listener.set_fallback_error(1),
        lambda: listener.watch_child(0),
        lambda: listener.send(0),
        lambda: supervisor.add_listener(listener),
    ):
        with pytest.raises(ValueError, match="the listener is closed"):
            use()
    assert "closed" in repr(listener)


def test_without_its_listener_a_targets_calls_fail(supervise: Start) -> None:
    child = supervise(target("import sys; sys.exit(call('getppid')[1])", "getppid"), "getppid")
    call = child.listener.receive()
    child.listener.close()
    call.close()
    assert child.wait() == 38  # ENOSYS


def test_the_fallback_error_can_be_chosen(supervise: Start) -> None:
    child = supervise(target("import sys; sys.exit(call('getppid')[1])", "getppid"), "getppid")
    child.listener.set_fallback_error(95)
    child.listener.receive()
    assert list(child.listener) == [] and child.wait() == 95
    with pytest.raises(unotify.InvalidArgument):
        child.listener.set_fallback_error(0)


def test_an_answered_notification_holds_no_descriptor(supervise: Start) -> None:
    child = supervise(ASKS, "getppid")
    call = child.listener.receive()
    call.reply(3)
    fd = child.listener.fileno()
    child.listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert child.wait() == 3 and call.name == "getppid"


def test_it_polls_readable(supervise: Start) -> None:
    child = supervise(ASKS, "getppid")
    poll = select.poll()
    poll.register(child.listener, select.POLLIN)
    assert poll.poll(10_000 * SLOWNESS)
    child.listener.receive(0).reply(1)


def test_passed_over_a_socket(supervise: Start) -> None:
    child = supervise(ASKS, "getppid")
    here, there = socket.socketpair()
    with here, there:
        child.listener.send(here)
        child.listener.close()
        listener = Listener.from_socket(there)
        for call in listener:
            call.reply(9)
        here.close()
        with pytest.raises(unotify.Closed):
            Listener.from_socket(there)
    listener.close()
    assert child.wait() == 9


def test_as_a_descriptor(supervise: Start) -> None:
    child = supervise(ASKS, "getppid")
    fd = child.listener.detach()
    assert child.listener.closed
    listener = Listener.from_fd(fd)
    assert listener.fileno() == fd
    for call in listener:
        call.reply(9)
    listener.close()
    assert child.wait() == 9
    for wrong in (fd, 0, -1, 1 << 20):
        with pytest.raises(unotify.InvalidArgument) as caught:
            Listener.from_fd(wrong)
        assert isinstance(caught.value, ValueError)


def test_taken_from_a_process() -> None:
    """A child loads its filter by itself; the listener is found by its number."""
    theirs, ours = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        listener = notifying("getppid").load()
        assert listener is not None
        theirs.sendall(listener.fileno().to_bytes(4, "little"))
        theirs.recv(1)
        os._exit(os.getppid())
    with ours, theirs:
        number = int.from_bytes(ours.recv(4), "little")
        listener = Listener.from_pid(pid, number)
        with pytest.raises(unotify.InvalidArgument):
            Listener.from_pid(pid, 1 << 20)
        ours.sendall(b"x")
    pidfd = os.pidfd_open(pid)
    listener.watch_child(pidfd)
    for call in listener:
        call.reply(77)
        break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 77
    listener.close()
    os.close(pidfd)
    with pytest.raises(ProcessLookupError):
        Listener.from_pid(pid, number)


def test_many_threads_receive_and_each_call_is_answered_once(supervise: Start) -> None:
    script = """
        import threading
        def work(): [call("getppid", i) for i in range(100)]
        threads = [threading.Thread(target=work) for i in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
    """
    child = supervise(target(script, "getppid"), "getppid")
    seen: list[int] = []

    def serve() -> None:
        for call in child.listener:
            seen.append(call.id)
            call.reply(1)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert child.wait() == 0 and len(seen) == len(set(seen)) == 400


def test_wake_up_can_be_switched(supervise: Start) -> None:
    child = supervise(ASKS, "getppid")
    try:
        child.listener.set_sync_wake_up(False)
    except unotify.Unsupported:
        pass
    for call in child.listener:
        call.reply(5)
    assert child.wait() == 5


def test_nobody_makes_one_out_of_nothing() -> None:
    for kind in (Listener, unotify.Notification, unotify.Child):
        with pytest.raises(TypeError):
            kind()


def test_a_loop_that_is_left_can_be_taken_up_again(supervise: Start) -> None:
    child = supervise(target("[call('getppid') for i in range(6)]", "getppid"), "getppid")
    counts = []
    for _ in range(3):
        count = 0
        for call in child.listener:
            call.reply(1)
            count += 1
            if count == 2:
                break
        counts.append(count)
    assert counts == [2, 2, 2]
    until(lambda: child.poll() is not None)
