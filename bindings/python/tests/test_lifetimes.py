"""Memory, descriptors and threads: nothing is left over, and nothing crashes, in whatever order things end."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from pathlib import Path
from typing import Callable

import pytest
from conftest import notifying, open_descriptors, run_python, target

import unotify

Start = Callable[..., unotify.Child]
CYCLES = 10_000


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def leaks_nothing(cycle: Callable[[], object], times: int = CYCLES) -> None:
    """Memory does not grow with the cycles, nor do descriptors and threads."""
    for _ in range(times // 10):
        cycle()
    gc.collect()
    before = len(open_descriptors()), threading.active_count(), len(os.listdir("/proc/self/task"))
    memory = resident_kib()
    for _ in range(times):
        cycle()
    gc.collect()
    after = len(open_descriptors()), threading.active_count(), len(os.listdir("/proc/self/task"))
    assert after == before
    # 10,000 times the smallest thing that could be forgotten, 100 bytes, is a MiB.
    assert resident_kib() - memory < 1000


def test_filters() -> None:
    def cycle() -> None:
        filter = unotify.Filter().add_rule(unotify.Action.NOTIFY, "getppid", unotify.Arg(0) == 1)
        if cycle.__doc__ is None:
            filter.close()

    leaks_nothing(cycle)


def test_supervisors() -> None:
    def cycle() -> None:
        supervisor = unotify.Supervisor()
        supervisor.on("getppid")(lambda call: 1)
        supervisor.on_close(print)
        supervisor.stop()
        supervisor.run()

    leaks_nothing(cycle, 1000)
    leaks_nothing(lambda: unotify.Supervisor().on("getppid")(lambda call: 1))


def test_sets_of_directories() -> None:
    leaks_nothing(lambda: unotify.Roots().add("/usr", unotify.Right.READ))


def test_errors(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")

    def cycle() -> None:
        with pytest.raises(unotify.Timeout):
            child.listener.receive(0)
        with pytest.raises(unotify.UnknownSyscall):
            unotify.syscall_from_name("no_such_call")

    leaks_nothing(cycle)


def test_notifications_however_they_end(supervise: Start) -> None:
    script = (
        "b = ctypes.create_string_buffer(b'text'); a = ctypes.addressof(b)\nwhile True: call('getppid', a)"
    )
    child = supervise(target(script, "getppid"), "getppid")
    count = 0

    def cycle() -> None:
        nonlocal count
        count += 1
        call = child.listener.receive()
        assert call.read_string(call.args[0]) == b"text"
        if count % 5 == 0:
            call.reply(1)
        elif count % 5 == 1:
            call.reply_error(1)
        elif count % 5 == 2:
            call.reply_continue()
        elif count % 5 == 3:
            call.close()
        # or it is dropped

    leaks_nothing(cycle)


def test_handled_and_deferred_notifications(supervise: Start) -> None:
    child = supervise(target("while True: call('getppid')", "getppid"), "getppid")
    supervisor = unotify.Supervisor()
    kept: list[unotify.Notification] = []
    count = 0

    @supervisor.on("getppid")
    def handler(call: unotify.Notification) -> int | unotify.Verdict:
        nonlocal count
        count += 1
        if count % 3 == 0:
            return 1
        if count % 3 == 1:
            raise OSError(1, "no")
        kept.append(call)
        return unotify.DEFERRED

    supervisor.add_listener(child.listener, "data")

    def cycle() -> None:
        supervisor.dispatch()
        if kept:
            kept.pop().reply(1)

    leaks_nothing(cycle)
    supervisor.close()


def test_children() -> None:
    filter = notifying("getppid")

    def cycle() -> None:
        child = unotify.spawn(["/bin/true"], filter, stdout=unotify.PIPE)
        child.communicate()

    leaks_nothing(cycle, 300)


def test_listeners(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "getppid")
    fd = child.listener.detach()
    leaks_nothing(lambda: unotify.Listener.from_fd(os.dup(fd)))
    os.close(fd)


def test_loops_in_the_background(supervise: Start) -> None:
    def cycle() -> None:
        with unotify.Supervisor(keep_running=True) as supervisor:
            supervisor.start()
            supervisor.stop()
            supervisor.join()

    leaks_nothing(cycle, 300)


def test_collected_in_a_cycle_of_references(supervise: Start) -> None:
    child = supervise(target("import sys; sys.exit(call('getppid')[1])", "getppid"), "getppid")
    call = child.listener.receive()
    cycle: list[object] = [call]
    cycle.append(cycle)
    del call, cycle
    gc.collect()
    assert child.wait() == 38


def test_a_supervisor_is_collected_with_its_handlers(supervise: Start) -> None:
    child = supervise(target("import sys; sys.exit(call('getppid')[1])", "getppid"), "getppid")
    left: list[object] = []
    supervisor = unotify.Supervisor()
    supervisor.on("getppid")(lambda call, cycle=supervisor: 1)
    supervisor.on_close(left.append)
    supervisor.add_listener(child.listener, "data")
    del supervisor
    gc.collect()
    assert child.wait() == 38


def test_collection_at_any_moment() -> None:
    """The collector runs at every few allocations, on whatever thread, within handlers as well."""
    done = run_python(
        """
        import gc, sys, threading, unotify
        gc.set_threshold(3, 1, 1)
        class Cycle:
            def __init__(self, what): self.me, self.what = self, what
        kept = []
        supervisor = unotify.Supervisor(max_workers=2)
        @supervisor.on("getppid")
        def handler(call):
            Cycle(call)
            if call.args[0] % 3 == 0:
                kept.append(call)
                threading.Thread(target=kept.pop(0).reply, args=(1,)).start()
                return unotify.DEFERRED
            if call.args[0] % 3 == 1:
                Cycle(call.identity())
                raise PermissionError(1, "no")
            return 1
        @supervisor.on("getpgid", blocking=True)
        def slow(call):
            Cycle(call)
            return 1
        script = '''
        import ctypes
        libc = ctypes.CDLL(None)
        for i in range(300):
            libc.syscall(%d, i)
            libc.syscall(%d, i)
        ''' % (unotify.syscall_from_name("getppid"), unotify.syscall_from_name("getpgid"))
        import textwrap
        argv = [sys.executable, "-S", "-c", textwrap.dedent(script)]
        filter = unotify.Filter().notify("getppid", "getpgid")
        print(supervisor.run_program(argv, filter), supervisor.stats().received)
        child = unotify.spawn(argv, filter)
        for call in child.listener:
            Cycle(call)
            Cycle(call.identity())
            call.reply(1)
        print(child.wait())
        """
    )
    assert done.stdout == "0 600\n0\n", done.stderr


EXITS = {
    "in the background": "supervisor.start()",
    "on a thread": "threading.Thread(target=supervisor.run, daemon=True).start()",
    "in the middle of handlers": "supervisor.start(); time.sleep(0.1)",
    "with one deferred": "supervisor.start(); until(lambda: kept)",
    "never started": "pass",
    "dispatched": "supervisor.dispatch()",
    "with a listener": "supervisor.take_listener('it').receive()",
    "while a thread receives": (
        "listener = supervisor.take_listener('it'); threading.Thread(target=list, args=(listener,), daemon=True).start()"
    ),
    "with an exception": "supervisor.start(); raise SystemExit(0)",
    "in an event loop": "import asyncio; from unotify import aio; asyncio.run(asyncio.wait_for(aio.serve(supervisor), 0.1))",
}


@pytest.mark.parametrize("how", EXITS)
def test_the_end_of_the_interpreter(how: str) -> None:
    """It ends in good order, and the target with it: no crash, nobody waits."""
    script = f"""
        import sys, threading, time, unotify
        def until(condition):
            while not condition(): time.sleep(0.001)
        kept = []
        supervisor = unotify.Supervisor()
        @supervisor.on("getppid")
        def handler(call):
            if len(kept) < 1:
                kept.append(call)
                return unotify.DEFERRED
            return 1
        script = '''import os, sys, threading
        threads = [threading.Thread(target=lambda: [os.getppid() for i in range(10**9)], daemon=True) for _ in range(2)]
        [t.start() for t in threads]
        sys.stdin.read()
        os._exit(0)'''.replace("        ", "")
        child = unotify.spawn([sys.executable, "-S", "-c", script], unotify.Filter().notify("getppid"), stdin=unotify.PIPE)
        supervisor.add_listener(child.listener, "it")
        try:
            {EXITS[how]}
        except Exception as error:
            # Which one it is, depends on Python's version.
            if type(error).__name__ != "TimeoutError": raise
        """
    start = time.monotonic()
    done = run_python(script)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert "Fatal" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert time.monotonic() - start < 20


def use_for_ever(listener: unotify.Listener, caught: list[BaseException]) -> None:
    try:
        while True:
            listener.fileno()
            listener.set_fallback_error(1)
            with contextlib.suppress(unotify.Timeout):
                listener.receive(0)
    except BaseException as error:  # noqa: BLE001 - looked at by the test
        caught.append(error)


def test_closed_while_others_use_it(supervise: Start) -> None:
    """Whatever two threads do at the same time, a closed handle raises."""
    for _ in range(100):
        child = supervise(["sleep", "60"], "getppid")
        listener = child.listener
        caught: list[BaseException] = []

        threads = [threading.Thread(target=use_for_ever, args=(listener, caught)) for _ in range(2)]
        for thread in threads:
            thread.start()
        listener.close()
        for thread in threads:
            thread.join()
        assert [type(error) for error in caught] == [ValueError] * 2
        child.kill()
        child.wait()
        child.close()


@pytest.mark.parametrize("how", ["a supervisor", "a descriptor"])
def test_given_away_while_others_receive(supervise: Start, how: str) -> None:
    """Who receives leaves first, and nothing is lost."""
    for _ in range(50):
        child = supervise(target("import sys; sys.exit(call('getppid')[0])", "getppid"), "getppid")
        listener = child.listener
        caught: list[BaseException] = []
        threads = [threading.Thread(target=receive_for_ever, args=(listener, caught)) for _ in range(2)]
        for thread in threads:
            thread.start()
        with unotify.Supervisor() as supervisor:
            supervisor.on("getppid")(lambda call: 5)
            if how == "a descriptor":
                listener = unotify.Listener.from_fd(listener.detach())
            supervisor.add_listener(listener)
            for thread in threads:
                thread.join()
            # Or one was fast, and the program has ended.
            assert len(caught) == 2 and {type(error) for error in caught} <= {ValueError, unotify.Closed}
            assert supervisor.run() is True
        assert child.wait() in (4, 5)
        child.close()


def receive_for_ever(listener: unotify.Listener, caught: list[BaseException]) -> None:
    try:
        while True:
            listener.receive().reply(4)
    except BaseException as error:  # noqa: BLE001 - looked at by the test
        caught.append(error)


def test_modules_can_be_imported_again_and_again() -> None:
    done = run_python(
        """
        import importlib, sys
        for _ in range(5):
            import unotify
            child = unotify.spawn(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
            for call in child.listener:
                call.reply(3)
            assert child.wait() == 3
            for name in [n for n in sys.modules if n.split(".")[0] == "unotify"]:
                del sys.modules[name]
        print("ok")
        """
    )
    assert done.stdout == "ok\n", done.stderr
