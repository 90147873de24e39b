"""Signals: Python's own handlers run while the library waits, and ^C on a real terminal ends it."""

from __future__ import annotations

import os
import pty
import signal
import sys
import textwrap
import threading
import time
from typing import Callable

import pytest
from conftest import SLOWNESS, run_python, target

import unotify

Start = Callable[..., unotify.Child]

WAITS = {
    "receive": "child.listener.receive()",
    "receive with a limit": "child.listener.receive(timeout=50)",
    "for": "for call in child.listener: pass",
    "run": "supervisor.add_listener(child.listener); supervisor.run()",
    "run_program": "supervisor.run_program(['setsid', '-w', 'sleep', '50'], filter)",
    "join": "supervisor.add_listener(child.listener); supervisor.start(); supervisor.join()",
    "wait": "child.wait()",
    "communicate": "child.communicate()",
    "async for": "asyncio.run(receive())",
    "serve": "supervisor.add_listener(child.listener); asyncio.run(aio.serve(supervisor))",
}

# The target is in a session of its own, where ^C does not reach it. The time is taken from the signal to the
# exception's being caught; what Python does at its end is not the library's.
SCRIPT = """
import asyncio, os, signal, sys, time
import unotify
from unotify import aio
filter = unotify.Filter().notify("acct")
child = unotify.spawn(["setsid", "-w", "sleep", "50"], filter, stdin=unotify.DEVNULL)
supervisor = unotify.Supervisor()
async def receive():
    async for call in aio.listener(child.listener): pass
print("ready", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", time.monotonic(), flush=True)
else:
    print("went on", flush=True)
os.killpg(os.getpgid(child.pid), signal.SIGKILL) if os.getpgid(child.pid) != os.getpgid(0) else child.kill()
"""


@pytest.mark.parametrize("wait", WAITS)
def test_control_c_on_a_terminal_comes_within_a_tenth_of_a_second(wait: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        script = SCRIPT.replace("{wait}", WAITS[wait])
        os.execv(sys.executable, [sys.executable, "-X", "faulthandler", "-c", script])
    said = b""
    try:
        while b"ready" not in said:
            said += os.read(terminal, 1000)
        # Until it is in the middle of its wait.
        time.sleep(0.15 * SLOWNESS)
        start = time.monotonic()
        os.write(terminal, b"\x03")
        while b"interrupted" not in said and b"went on" not in said:
            said += os.read(terminal, 1000)
        while not said.endswith(b"\n"):
            said += os.read(terminal, 1000)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
    words = said.decode().replace("^C", "").split()
    assert "interrupted" in words, said
    # The time, and no more: a loaded machine may take its own to let the process run.
    assert float(words[words.index("interrupted") + 1]) - start < 0.1 * max(SLOWNESS, 2)


def test_a_handler_of_pythons_runs_and_the_wait_goes_on(supervise: Start) -> None:
    child = supervise(target("import time; time.sleep(0.4); call('getppid')", "getppid"), "getppid")
    came: list[float] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: came.append(time.monotonic()))
    try:
        start = time.monotonic()
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        call = child.listener.receive()
        assert came and came[0] - start < 0.35 * SLOWNESS
        call.reply(1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_many_signals_lose_no_notification(supervise: Start) -> None:
    child = supervise(target("[call('getppid', i) for i in range(300)]", "getppid"), "getppid")
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        seen = []
        for call in child.listener:
            call.reply(1)
            seen.append(call.args[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen == list(range(300))


@pytest.mark.parametrize("wait", ["receive", "for", "supervisor"])
def test_an_exception_of_a_signal_handler_leaves_no_target_waiting(wait: str) -> None:
    """Whatever line it comes at."""
    done = run_python(
        """
        import random, signal, sys, unotify
        class Now(Exception): pass
        def now(*_):
            raise Now
        signal.signal(signal.SIGALRM, now)
        script = "import os; [os.getppid() for i in range(1000)]"
        child = unotify.spawn([sys.executable, "-S", "-c", script], unotify.Filter().notify("getppid"))
        supervisor = unotify.Supervisor()
        supervisor.on("getppid")(lambda call: 1)
        if sys.argv[1] == "supervisor":
            supervisor.add_listener(child.listener, "it")
        came = 0
        while True:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.004))
                if sys.argv[1] == "receive":
                    while True:
                        child.listener.receive().reply(1)
                elif sys.argv[1] == "for":
                    for call in child.listener:
                        call.reply(1)
                else:
                    supervisor.run()
                break
            except Now:
                # It may have come before the answer, and a notification that is kept waits.
                call = None
                came += 1
            except unotify.Closed:
                break
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(child.wait(), came > 0)
        """,
        wait,
    )
    assert done.stdout == "0 True\n", done.stderr


def test_an_exception_that_breaks_a_wait_of_pythons_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Now(Exception):
        pass

    def wait(_event: threading.Event, _timeout: float | None = None) -> bool:
        try:
            raise Now
        finally:
            threading.Lock().release()  # which it did not have

    supervisor = unotify.Supervisor(keep_running=True)
    with monkeypatch.context() as patch, pytest.raises(Now):
        patch.setattr("unotify._run.threading.Event.wait", wait)
        supervisor.run()
    supervisor.close()


def test_a_second_control_c_leaves_a_handler_that_hangs() -> None:
    done = run_python(
        """
        import os, signal, sys, threading, time, unotify
        hangs = threading.Event()
        supervisor = unotify.Supervisor()
        @supervisor.on("getppid")
        def handler(call):
            hangs.set()
            time.sleep(3)
            return 1
        def twice():
            hangs.wait()
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
        threading.Thread(target=twice).start()
        try:
            supervisor.run_program(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid"))
        except KeyboardInterrupt:
            print("out", flush=True)
        os._exit(0)
        """
    )
    assert done.stdout == "out\n", done.stderr


def test_a_program_that_is_stood_in_for_has_control_c_to_itself() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        script = textwrap.dedent(
            """
            import unotify
            supervisor = unotify.Supervisor()
            status = supervisor.stand_in_for(
                ["sh", "-c", "trap 'echo trapped; exit 7' INT; echo ready; sleep 50; true"],
                unotify.Filter().notify("getpgid"))
            unotify.exit_like(status)
            """
        )
        os.execv(sys.executable, [sys.executable, "-c", script])
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1000)
    # Until the shell waits for its sleep: in between a signal can be lost on it.
    time.sleep(0.3 * SLOWNESS)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    try:
        while True:
            said += os.read(terminal, 1000)
    except OSError:
        pass  # the terminal is closed
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 7 and b"trapped" in said and b"Traceback" not in said, said
