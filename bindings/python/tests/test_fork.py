"""A copy of the process forgets the handles of its parent, and answers nobody."""

from __future__ import annotations

import multiprocessing
import os
from typing import Callable

from conftest import notifying, run_python, target

import unotify

Start = Callable[..., unotify.Child]


def in_a_copy(use: Callable[[], object]) -> str:
    """What ``use`` comes to in a child by fork."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = repr(use())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as file:
        return file.read()


def test_every_handle_is_forgotten(supervise: Start) -> None:
    child = supervise(
        target("print(call('getppid')[0], flush=True)", "getppid"), "getppid", stdout=unotify.PIPE
    )
    call = child.listener.receive()
    filter, supervisor, roots = notifying("getppid"), unotify.Supervisor(), unotify.Roots()
    uses: dict[str, Callable[[], object]] = {
        "listener": child.listener.receive,
        "notification": lambda: call.reply(666),
        "child": child.kill,
        "filter": lambda: filter.notify("getpid"),
        "supervisor": supervisor.run,
        "set of directories": lambda: roots.add("/", 1),
    }
    for noun, use in uses.items():
        assert in_a_copy(use) == f"ValueError: the {noun} is of the process that this one was forked from"
    assert in_a_copy(lambda: call.read(0, 1)).startswith("ValueError: the notification is of the process")
    assert in_a_copy(lambda: next(iter(child.listener))).startswith("ValueError: the listener")
    assert in_a_copy(lambda: [h.close() for h in (filter, supervisor, roots, child.listener, child, call)])
    # In the parent all is as before.
    call.reply(31)
    assert child.stdout is not None and child.stdout.read() == b"31\n"
    supervisor.close()


def test_a_loop_in_a_copy_ends(supervise: Start) -> None:
    child = supervise(target("[call('getppid') for i in range(3)]", "getppid"), "getppid")
    seen = 0
    for call in child.listener:
        if seen == 0:
            pid = os.fork()
            if pid == 0:
                try:
                    call.reply(666)
                except ValueError:
                    os._exit(9)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        call.reply(1)
        seen += 1
    assert seen == 3 and child.wait() == 0


def test_a_copy_does_not_keep_targets_waiting(supervise: Start) -> None:
    """The listener's descriptor is closed in the copy, or the kernel would go on waiting for it."""
    child = supervise(target("import sys; sys.exit(call('getppid')[1])", "getppid"), "getppid")
    call = child.listener.receive()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    child.listener.close()
    call.close()
    assert child.wait() == 38
    os.close(write)
    os.waitpid(pid, 0)


def test_a_copy_uses_the_library_for_itself() -> None:
    unotify.Supervisor().close()

    def use() -> int:
        with unotify.Supervisor() as supervisor:
            supervisor.on("getppid")(lambda call: 21)
            return supervisor.run_program(["sh", "-c", "exit $PPID"], notifying("getppid"))

    assert in_a_copy(use) == "21"


def square(number: int) -> int:
    return number * number


def test_multiprocessing_under_a_supervisor_that_runs(supervise: Start) -> None:
    child = supervise(
        target("import time\nfor i in range(50): call('getppid'); time.sleep(0.005)", "getppid"), "getppid"
    )
    with unotify.Supervisor() as supervisor:
        supervisor.on("getppid")(lambda call: 1)
        supervisor.add_listener(child.listener)
        supervisor.start()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(square, range(50)) == [n * n for n in range(50)]
        assert supervisor.join() is True
        assert supervisor.stats().values == 50


def test_the_end_of_a_copy_ends_no_run_of_its_parent() -> None:
    done = run_python(
        """
        import os, sys, unotify
        supervisor = unotify.Supervisor()
        supervisor.on("getppid")(lambda call: 1)
        script = "import os, time; [(os.getppid(), time.sleep(0.01)) for i in range(30)]"
        child = unotify.spawn([sys.executable, "-c", script], unotify.Filter().notify("getppid"))
        supervisor.add_listener(child.listener)
        supervisor.start()
        pid = os.fork()
        if pid == 0:
            sys.exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), supervisor.join(), supervisor.stats().values)
        """
    )
    assert done.stdout == "5 True 30\n", done.stderr


def test_a_handler_may_fork() -> None:
    done = run_python(
        """
        import os, subprocess, sys, unotify
        supervisor = unotify.Supervisor()
        @supervisor.on("getppid")
        def handler(call):
            subprocess.run(["true"], check=True)
            pid = os.fork()
            if pid == 0:
                if sys.argv[1] == "returns":
                    return 666
                os._exit(3)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(code, flush=True)
            return code
        print(supervisor.run_program(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid")))
        """,
        "ends",
    )
    assert done.stdout == "3\n3\n", done.stderr


def test_a_handler_that_returns_in_a_copy_ends_it() -> None:
    script = """
        import os, sys, unotify
        supervisor = unotify.Supervisor()
        @supervisor.on("getppid")
        def handler(call):
            pid = os.fork()
            if pid == 0:
                return 666
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(supervisor.run_program(["sh", "-c", "exit $PPID"], unotify.Filter().notify("getppid")))
        """
    done = run_python(script)
    assert done.stdout == "70\n" and "in a copy of its process" in done.stderr, done.stderr
