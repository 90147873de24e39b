"""Supervisors: handlers and their manners, runs, listeners that come and go."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
import traceback
from pathlib import Path
from typing import Callable

import pytest
from conftest import SLOWNESS, notifying, target, until

import unotify
from unotify import CONTINUE, DEFERRED, NOT_HANDLED, Notification, Supervisor

Start = Callable[..., unotify.Child]
VALUE = "import sys; r = call('getppid'); print(*r, flush=True)"


def answer_of(handler: Callable[[Notification], object], **how: object) -> tuple[int, int, unotify.Stats]:
    """What a target's call comes to under a handler: the result, the error number and the counters."""
    with Supervisor(**how) as supervisor:  # type: ignore[arg-type]
        supervisor.on("getppid")(handler)  # type: ignore[type-var]
        read, write = os.pipe()
        try:
            assert (
                supervisor.run_program(target(VALUE, "getppid"), notifying("getppid"), fds=[(write, 1)]) == 0
            )
        finally:
            os.close(write)
            said = os.read(read, 100)
            os.close(read)
        result, error = map(int, said.split())
        return result, error, supervisor.stats()


# ---- What a handler may do ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 7, -4096, -(1 << 63), (1 << 63) - 1, True])
def test_a_value_is_returned(value: int) -> None:
    result, _, stats = answer_of(lambda call: value)
    assert result == value and stats.values == 1 and stats.received == 1


def test_an_error_is_raised() -> None:
    def handler(call: Notification) -> int:
        raise PermissionError(errno.EPERM, "no")

    assert answer_of(handler)[:2] == (-1, errno.EPERM)


def test_what_the_library_raises_about_the_target_is_its_error() -> None:
    assert answer_of(lambda call: call.read(0, 1))[:2] == (-1, errno.EFAULT)


def test_it_continues() -> None:
    result, _, stats = answer_of(lambda call: CONTINUE)
    assert result == os.getpid() and stats.continued == 1


def test_it_answers_by_itself() -> None:
    assert answer_of(lambda call: call.reply(3))[0] == 3
    assert answer_of(lambda call: call.reply_error(errno.EXDEV))[:2] == (-1, errno.EXDEV)


def test_it_does_nothing() -> None:
    assert answer_of(lambda call: None)[:2] == (-1, errno.ENOSYS)
    result, error, stats = answer_of(lambda call: None, fallback_error=errno.EXDEV)
    assert (result, error, stats.fallbacks) == (-1, errno.EXDEV, 1)


def test_it_lets_go_of_it() -> None:
    assert answer_of(lambda call: call.close())[:2] == (-1, errno.ENOSYS)


def test_it_keeps_it_and_answers_later() -> None:
    threads: list[threading.Thread] = []

    def handler(call: Notification) -> unotify.Verdict:
        threads.append(threading.Timer(0.05, call.reply, (55,)))
        threads[0].start()
        return DEFERRED

    result, _, stats = answer_of(handler)
    threads[0].join()
    assert result == 55 and (stats.deferred, stats.values, stats.deferred_outstanding) == (1, 1, 0)


def test_it_keeps_it_and_lets_go() -> None:
    def handler(call: Notification) -> unotify.Verdict:
        kept.append(call)
        threading.Timer(0.05, kept.clear).start()
        return DEFERRED

    kept: list[Notification] = []
    assert answer_of(handler)[:2] == (-1, errno.ENOSYS)


def test_what_is_deferred_may_be_answered_before_the_handler_has_returned() -> None:
    def handler(call: Notification) -> unotify.Verdict:
        thread = threading.Thread(target=call.reply, args=(56,))
        thread.start()
        thread.join()
        return DEFERRED

    assert answer_of(handler)[0] == 56


def test_what_was_shown_is_over_when_the_handler_has_returned() -> None:
    kept: list[Notification] = []

    def handler(call: Notification) -> int:
        kept.append(call)
        return 8

    assert answer_of(handler)[0] == 8
    assert kept[0].name == "getppid" and not kept[0].pending
    for use in (lambda: kept[0].reply(1), kept[0].identity, kept[0].check_valid):
        with pytest.raises(unotify.Answered):
            use()
    kept[0].close()


def test_what_another_thread_is_at_work_on_is_not_pulled_away(supervise: Start) -> None:
    """A handler returns in the middle of a long read elsewhere: the library does not use that notification
    again, and the target is let go when the other thread is done with it."""
    size = 64 << 20
    script = f"""
        b = ctypes.create_string_buffer(b"x" * {size}, {size})
        print(call("getppid", ctypes.addressof(b))[1])
    """
    child = supervise(target(script, "getppid"), "getppid", stdout=unotify.PIPE, text=True)
    read: list[bytes] = []
    threads: list[threading.Thread] = []
    with Supervisor() as supervisor:

        @supervisor.on("getppid")
        def handler(call: Notification) -> None:
            threads.append(threading.Thread(target=lambda: read.append(call.read(call.args[0], size))))
            threads[0].start()
            until(lambda: not call.pending)

        supervisor.add_listener(child.listener)
        assert supervisor.run() is True
        threads[0].join()
        assert supervisor.stats().deferred == 1
    assert read == [b"x" * size]
    assert child.communicate()[0] == f"{errno.ENOSYS}\n"


def test_others_are_asked_in_order() -> None:
    asked = []
    with Supervisor() as supervisor:

        @supervisor.on("getppid")
        def first(call: Notification) -> unotify.Verdict:
            asked.append("first")
            return NOT_HANDLED

        @supervisor.on("getppid")
        def second(call: Notification) -> unotify.Verdict:
            asked.append("second")
            return NOT_HANDLED

        @supervisor.on_default
        def default(call: Notification) -> int:
            asked.append("default")
            return 5

        assert supervisor.run_program(["sh", "-c", "exit $PPID"], notifying("getppid")) == 5
    assert asked == ["first", "second", "default"]


# ---- What goes wrong in a handler ---------------------------------------------------------------------


class Wrong(Exception):
    pass


def explode(call: Notification) -> int:
    raise Wrong("at line so and so")


@pytest.mark.parametrize("flags", [{}, {"max_workers": 3}])
@pytest.mark.parametrize("blocking", [False, True])
def test_an_exception_ends_the_run_and_comes_out_with_its_traceback(
    supervise: Start, flags: dict[str, int], blocking: bool
) -> None:
    child = supervise(target(VALUE, "getppid"), "getppid", stdout=unotify.PIPE)
    with Supervisor(**flags) as supervisor:  # type: ignore[arg-type]
        supervisor.on("getppid", blocking=blocking)(explode)
        supervisor.add_listener(child.listener)
        with pytest.raises(Wrong, match="so and so") as caught:
            supervisor.run()
        assert "explode" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert child.wait() == 0
        assert child.stdout is not None and child.stdout.read() == b"-1 %d\n" % errno.ENOSYS
        # The next run begins anew.
        assert supervisor.run() is True


@pytest.mark.parametrize("result", ["text", 1.5, [], object()])
def test_what_is_no_answer_is_an_exception(result: object) -> None:
    with pytest.raises(TypeError):
        answer_of(lambda call: result)


def test_numbers_that_are_too_large_are_an_exception() -> None:
    with pytest.raises(OverflowError):
        answer_of(lambda call: 1 << 63)


def test_an_error_after_the_answer_is_not_lost() -> None:
    def handler(call: Notification) -> int:
        call.reply(1)
        raise OSError(errno.ENOSPC, "the log is full")

    with pytest.raises(OSError, match="the log is full"):
        answer_of(handler)


def test_errors_without_a_number_are_exceptions() -> None:
    def handler(call: Notification) -> int:
        raise OSError("just so")

    with pytest.raises(OSError, match="just so"):
        answer_of(handler)


def test_a_second_answer_is_an_exception() -> None:
    def handler(call: Notification) -> int:
        call.reply(1)
        return 2

    with pytest.raises(unotify.Answered):
        answer_of(handler)


def test_even_the_end_of_the_program_is_one() -> None:
    def handler(call: Notification) -> int:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        answer_of(handler)


def test_a_target_that_is_gone_is_nobodys_failure(supervise: Start) -> None:
    child = supervise(target("call('getppid')", "getppid"), "getppid")
    with Supervisor() as supervisor:

        @supervisor.on("getppid")
        def handler(call: Notification) -> int:
            child.kill()
            child.wait()
            call.check_valid()
            return 1

        supervisor.add_listener(child.listener)
        assert supervisor.run() is True
        assert supervisor.stats().gone == 1


# ---- Runs --------------------------------------------------------------------------------------------


def test_in_the_background(supervise: Start) -> None:
    child = supervise(["sh", "-c", "exit $PPID"], "getppid")
    names = []
    with Supervisor() as supervisor:

        @supervisor.on("getppid")
        def handler(call: Notification) -> int:
            names.append(threading.current_thread().name)
            return 12

        supervisor.add_listener(child.listener)
        supervisor.start()
        with pytest.raises(unotify.InvalidArgument):
            supervisor.start()
        assert child.wait() == 12
        assert supervisor.join() is True
        with pytest.raises(unotify.InvalidArgument):
            supervisor.join()
    assert names == ["unotify supervisor"]


def test_a_stop_ends_it_from_another_thread(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")
    with Supervisor() as supervisor:
        supervisor.add_listener(child.listener)
        threading.Timer(0.05, supervisor.stop).start()
        assert supervisor.run() is False
        supervisor.start()
        with pytest.raises(TimeoutError):
            supervisor.join(0.05)
        supervisor.stop()
        assert supervisor.join(10) is False


def test_a_stop_from_a_handler() -> None:
    with pytest.raises(unotify.Stopped), Supervisor() as supervisor:

        @supervisor.on("getppid")
        def handler(call: Notification) -> int:
            supervisor.stop()
            return 1

        script = "call('getppid'); import time; time.sleep(60)"
        supervisor.run_program(target(script, "getppid"), notifying("getppid"))


def test_it_runs_on_without_a_listener(supervise: Start) -> None:
    with Supervisor(keep_running=True) as supervisor:
        supervisor.on("getppid")(lambda call: 3)
        supervisor.start()
        for _ in range(3):
            child = supervise(["sh", "-c", "exit $PPID"], "getppid")
            supervisor.add_listener(child.listener)
            assert child.wait() == 3
        supervisor.stop()
        assert supervisor.join() is False


def test_run_on_a_thread_of_the_programs(supervise: Start) -> None:
    child = supervise(["sh", "-c", "exit $PPID"], "getppid")
    threads = []
    with Supervisor() as supervisor:

        @supervisor.on("getppid")
        def handler(call: Notification) -> int:
            threads.append(threading.current_thread())
            return 4

        supervisor.add_listener(child.listener)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        thread.join()
    assert threads == [thread] and child.wait() == 4


def test_two_runs_at_once_are_refused(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")
    with Supervisor() as supervisor:
        supervisor.add_listener(child.listener)
        supervisor.start()
        with pytest.raises(unotify.InvalidArgument):
            supervisor.run()
        with pytest.raises(unotify.InvalidArgument):
            supervisor.on("getppid")(lambda call: 1)


def test_blocking_handlers_run_beside_the_others(supervise: Start) -> None:
    script = """
        import threading
        threads = [threading.Thread(target=call, args=("getppid", i)) for i in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        call("getpgid", 0)
    """
    child = supervise(target(script, "getppid", "getpgid"), "getppid", "getpgid")
    together = threading.Barrier(4)
    with Supervisor(max_workers=4) as supervisor:

        @supervisor.on("getppid", blocking=True)
        def handler(call: Notification) -> int:
            together.wait(20 * SLOWNESS)
            return 1

        supervisor.on("getpgid")(lambda call: 1)
        supervisor.add_listener(child.listener)
        assert supervisor.run() is True
        assert supervisor.stats().values == 5
    assert child.wait() == 0


def test_one_at_a_time_unless_asked_for(supervise: Start) -> None:
    script = """
        import threading
        threads = [threading.Thread(target=call, args=("getppid", i)) for i in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
    """
    child = supervise(target(script, "getppid"), "getppid")
    busy = threading.Lock()
    with Supervisor() as supervisor:

        @supervisor.on("getppid", blocking=True)
        def handler(call: Notification) -> int:
            assert busy.acquire(blocking=False)
            time.sleep(0.01)
            busy.release()
            return 1

        supervisor.add_listener(child.listener)
        assert supervisor.run() is True


def test_the_end_of_a_program() -> None:
    with Supervisor() as supervisor:
        supervisor.on("getppid")(lambda call: 1)
        filter = notifying("getppid")
        assert supervisor.run_program(["sh", "-c", "kill -9 $$"], filter) == -signal.SIGKILL
        assert supervisor.run_program(["sh", "-c", "exit 3"], filter, cwd="/") == 3
        with pytest.raises(FileNotFoundError):
            supervisor.run_program(["/no/such/program"], filter)
        with pytest.raises(ValueError, match="argv"):
            supervisor.run_program("true", filter)
        with pytest.raises(ValueError, match="NUL"):
            supervisor.run_program(["tr\0ue"], filter)


def test_in_the_place_of_a_program() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Supervisor() as supervisor:
        supervisor.on("getppid")(lambda call: 6)
        status = supervisor.stand_in_for(["sh", "-c", "exit $PPID"], notifying("getppid"))
    assert os.waitstatus_to_exitcode(status) == 6
    assert signal.getsignal(signal.SIGINT) is before


# ---- Listeners ---------------------------------------------------------------------------------------


def test_listeners_are_told_apart_and_told_of(supervise: Start) -> None:
    left: list[object] = []
    with Supervisor() as supervisor:
        supervisor.on("getppid")(lambda call: call.listener_data)
        supervisor.on_close(left.append)
        children = [supervise(["sh", "-c", "exit $PPID"], "getppid") for _ in range(3)]
        for number, child in enumerate(children, 10):
            supervisor.add_listener(child.listener, number)
            assert child.listener.closed
        assert supervisor.run() is True
    assert [child.wait() for child in children] == [10, 11, 12]
    assert sorted(left) == [10, 11, 12]  # type: ignore[type-var]


def test_a_listener_is_taken_back(supervise: Start) -> None:
    child = supervise(["sh", "-c", "exit $PPID"], "getppid")
    with Supervisor() as supervisor:
        supervisor.add_listener(child.listener, "mine")
        with pytest.raises(unotify.Closed):
            supervisor.take_listener("another's")
        with supervisor.take_listener("mine") as listener:
            for call in listener:
                call.reply(8)
        assert child.wait() == 8
        with pytest.raises(unotify.Closed):
            supervisor.remove_listener("mine")


def test_what_is_deferred_shows_its_listeners_data(supervise: Start) -> None:
    child = supervise(target("call('getppid')", "getppid"), "getppid")
    kept: list[Notification] = []
    with Supervisor() as supervisor:

        @supervisor.on("getppid")
        def handler(call: Notification) -> unotify.Verdict:
            kept.append(call)
            return DEFERRED

        supervisor.add_listener(child.listener, "data")
        supervisor.start()
        until(lambda: bool(kept))
    assert kept[0].listener_data == "data"
    kept[0].reply(1)
    assert child.wait() == 0


def test_an_exception_about_a_listener_that_has_left(supervise: Start) -> None:
    child = supervise(["true"], "getppid")
    with Supervisor() as supervisor:
        supervisor.on_close(explode)
        supervisor.add_listener(child.listener)
        with pytest.raises(Wrong):
            supervisor.run()


def test_the_ends_of_processes_are_told(supervise: Start) -> None:
    ended: list[int] = []
    child = supervise(target("call('getppid')", "getppid"), "getppid")
    with Supervisor() as supervisor:
        supervisor.on_exit(ended.append)
        supervisor.on("getppid")(lambda call: call.watch_exit())
        supervisor.add_listener(child.listener)
        assert supervisor.run() is True
    assert ended == [child.pid]


# ---- In an event loop --------------------------------------------------------------------------------


def test_dispatch_handles_what_is_pending(supervise: Start) -> None:
    child = supervise(target("[call('getppid') for i in range(10)]", "getppid"), "getppid")
    handled = 0
    with Supervisor() as supervisor:
        supervisor.on("getppid")(lambda call: 1)
        supervisor.add_listener(child.listener)
        poll = select.poll()
        poll.register(supervisor, select.POLLIN)
        with pytest.raises(unotify.Closed):
            while True:
                poll.poll(1000)
                handled += supervisor.dispatch()
        assert supervisor.stats().values == 10 and handled == 10


def test_dispatch_raises_what_a_handler_has_raised(supervise: Start) -> None:
    child = supervise(target("call('getppid')", "getppid"), "getppid")
    with Supervisor() as supervisor:
        supervisor.on("getppid")(explode)
        supervisor.add_listener(child.listener)
        with pytest.raises(Wrong):
            while True:
                select.select([supervisor], [], [], 1)
                supervisor.dispatch()


# ---- Closing -----------------------------------------------------------------------------------------


def test_what_a_closed_supervisor_is_asked_for_raises() -> None:
    supervisor = Supervisor()
    supervisor.close()
    supervisor.close()
    for use in (
        supervisor.run,
        supervisor.start,
        supervisor.stop,
        supervisor.fileno,
        supervisor.dispatch,
        supervisor.stats,
        lambda: supervisor.on("getppid")(explode),
        lambda: supervisor.on_default(explode),
        lambda: supervisor.on_close(print),
        lambda: supervisor.on_exit(print),
        lambda: supervisor.take_listener(1),
        lambda: supervisor.run_program(["true"], notifying("getppid")),
    ):
        with pytest.raises(ValueError, match="the supervisor is closed"):
            use()
    with pytest.raises(ValueError, match="joined"):
        supervisor.join()


def test_closing_stops_it(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")
    supervisor = Supervisor()
    supervisor.add_listener(child.listener)
    supervisor.start()
    supervisor.close()
    assert supervisor.closed


def test_a_handler_cannot_close_its_supervisor() -> None:
    with Supervisor() as supervisor:
        supervisor.on("getppid")(lambda call: supervisor.close())
        with pytest.raises(RuntimeError, match="cannot close"):
            supervisor.run_program(["sh", "-c", "exit $PPID"], notifying("getppid"))


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="max_workers"):
        Supervisor(max_workers=0)
    with pytest.raises(unotify.InvalidArgument):
        Supervisor(fallback_error=5000)
    with pytest.raises(unotify.UnknownSyscall):
        Supervisor().on("no_such_call")(explode)


def test_a_path_is_logged(tmp_path: Path) -> None:
    seen = []
    with Supervisor() as supervisor:

        @supervisor.on("openat")
        def handler(call: Notification) -> unotify.Verdict:
            seen.append(call.path(call.args[0], call.args[1]))
            return CONTINUE

        assert supervisor.run_program(["cat", "/dev/null"], notifying("openat")) == 0
    assert "/dev/null" in seen
