"""Starting programs, with the manners of subprocess.Popen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable

import pytest
from conftest import notifying, run_python, target, until

import unotify
from unotify import DEVNULL, PIPE, STDOUT

Start = Callable[..., unotify.Child]
# A call that none of these programs makes; a shell asks for its parent.
NEVER = "acct"


def test_streams(supervise: Start, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as out:
        child = supervise(
            ["sh", "-c", "cat; echo wrong >&2; exit 3"], NEVER, stdin=PIPE, stdout=out, stderr=PIPE, text=True
        )
        assert child.stdin is not None and child.stderr is not None and child.stdout is None
        child.stdin.write("some text")
        child.stdin.close()
        assert child.stderr.read() == "wrong\n"
        assert child.wait() == 3 == child.returncode
        out.seek(0)
        assert out.read() == "some text"


def test_errors_with_the_output(supervise: Start) -> None:
    child = supervise(["sh", "-c", "echo a; echo b >&2"], NEVER, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    assert child.communicate() == (b"a\nb\n", None)


def test_communicate_with_much_in_both_directions(supervise: Start) -> None:
    child = supervise(["cat"], NEVER, stdin=PIPE, stdout=PIPE)
    text = os.urandom(1 << 20)
    assert child.communicate(text) == (text, None)
    assert child.returncode == 0


def test_communicate_with_a_limit_can_be_taken_up_again(supervise: Start) -> None:
    child = supervise(["sh", "-c", "sleep 0.3; echo done"], NEVER, stdout=PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        child.communicate(timeout=0.05)
    assert child.communicate() == ("done\n", None)


def test_a_program_that_reads_nothing_is_no_error(supervise: Start) -> None:
    child = supervise(["true"], NEVER, stdin=PIPE)
    assert child.communicate(b"x" * (1 << 20)) == (None, None)


def test_environment_and_directory(supervise: Start, tmp_path: Path) -> None:
    child = supervise(
        ["/bin/sh", "-c", "echo $WORD; pwd"],
        NEVER,
        env={"WORD": "value"},
        cwd=tmp_path,
        stdout=PIPE,
        text=True,
    )
    assert child.communicate()[0] == f"value\n{tmp_path}\n"


def test_another_executable(supervise: Start) -> None:
    child = supervise(["named", "-c", "echo $0"], NEVER, executable="/bin/sh", stdout=PIPE, text=True)
    assert child.communicate()[0] == "named\n"


def test_descriptors_keep_their_numbers_or_get_others(supervise: Start) -> None:
    read, write = os.pipe()
    child = supervise(
        ["sh", "-c", f"echo one >/dev/fd/{write}; echo two >&9"], NEVER, pass_fds=[write], fds={9: write}
    )
    assert child.wait() == 0
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() == "one\ntwo\n"


def test_what_is_not_passed_is_not_inherited(supervise: Start) -> None:
    read, write = os.pipe()
    child = supervise(["sh", "-c", f"echo x >/dev/fd/{write}"], NEVER, stderr=DEVNULL)
    assert child.wait() != 0
    os.close(read)
    os.close(write)


def test_how_it_ended(supervise: Start) -> None:
    child = supervise(["sleep", "60"], NEVER)
    assert child.poll() is None and child.returncode is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.05)
    child.terminate()
    assert child.wait() == -signal.SIGTERM == child.poll()
    assert child.wait_status == signal.SIGTERM
    child.kill()  # says nothing any more


def test_a_child_of_that_number_is_polled(supervise: Start) -> None:
    child = supervise(["true"], NEVER)
    os.stat(f"/proc/{child.pid}")
    until(lambda: child.poll() == 0)
    assert child.pidfd() >= 0 and child.exec_error == 0


def test_an_execve_that_the_supervisor_refuses(supervise: Start) -> None:
    child = supervise(["true"], "execve")
    call = child.listener.receive()
    call.reply_error(1)
    assert child.wait() == 127 and child.exec_error == 1


def test_what_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    filter = notifying(NEVER)
    for argv, kind in (
        (["/no/such/program"], FileNotFoundError),
        ([tmp_path / "text"], PermissionError),
        ([], ValueError),
        (["a\0b"], ValueError),
    ):
        with pytest.raises(kind):
            unotify.spawn(argv, filter, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    with pytest.raises(FileNotFoundError):
        unotify.spawn(["true"], filter, cwd="/no/such/directory")
    with pytest.raises(unotify.InvalidArgument):
        unotify.spawn(["true"], filter, fds={0: 1 << 20})
    with pytest.raises(ValueError, match="STDOUT"):
        unotify.spawn(["true"], filter, stdout=STDOUT)


def test_one_thread_kills_what_another_waits_for(supervise: Start) -> None:
    child = supervise(["sleep", "60"], NEVER)
    threading.Timer(0.05, child.kill).start()
    assert child.wait() == -signal.SIGKILL


def test_two_threads_wait(supervise: Start) -> None:
    child = supervise(["sleep", "0.1"], NEVER)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(child.wait())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]


def test_what_a_closed_child_is_asked_for_raises() -> None:
    child = unotify.spawn(["true"], notifying(NEVER))
    child.wait()
    child.close()
    assert child.wait() == 0 and child.pid > 0
    child = unotify.spawn(["true"], notifying(NEVER))
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    pid = child.pid
    child.close()
    for use in (
        child.wait,
        child.poll,
        child.kill,
        child.pidfd,
        lambda: child.listener,
        lambda: child.exec_error,
    ):
        with pytest.raises(ValueError, match="the child is closed"):
            use()
    os.waitpid(pid, 0)


def test_a_with_block_waits() -> None:
    with unotify.spawn(["sh", "-c", "exit 4"], notifying(NEVER), stdout=PIPE) as child:
        pass
    assert child.returncode == 4
    child.close()


def test_it_is_killed_with_its_parent() -> None:
    done = run_python(
        """
        import os, unotify
        child = unotify.spawn(["sleep", "60"], unotify.Filter().notify("acct"),
                              flags=unotify.SpawnFlags.KILL_ON_PARENT_DEATH)
        print(child.pid, flush=True)
        os._exit(0)
        """
    )
    pid = int(done.stdout)

    def ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(ended)


@pytest.mark.parametrize(("script", "code"), [("exit 5", 5), ("kill -TERM $$", -signal.SIGTERM)])
def test_ending_like_a_program(script: str, code: int) -> None:
    done = run_python(
        """
        import atexit, sys, unotify
        atexit.register(print, "atexit")
        print("before", end=" ")
        child = unotify.spawn(["sh", "-c", sys.argv[1]], unotify.Filter().notify("acct"))
        child.wait()
        unotify.exit_like(child.wait_status)
        """,
        script,
    )
    assert done.returncode == code and done.stdout == "before atexit\n", done.stderr


def test_an_own_environment_is_the_callers_unless_given(
    supervise: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNOTIFY_WORD", "inherited")
    child = supervise(["sh", "-c", "echo $UNOTIFY_WORD"], NEVER, stdout=PIPE, text=True)
    assert child.communicate()[0] == "inherited\n"


def test_starting_from_two_threads_with_one_filter() -> None:
    filter = notifying(NEVER)
    codes: list[int] = []

    def start() -> None:
        for _ in range(10):
            child = unotify.spawn(["true"], filter)
            codes.append(child.wait())
            child.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 30


def test_a_thread_of_python_is_a_target(supervise: Start) -> None:
    """The interpreter itself goes on while one of its calls waits."""
    script = """
        import threading, time
        thread = threading.Thread(target=call, args=("getppid",))
        thread.start()
        time.sleep(0.05)
        print("alive", flush=True)
        thread.join()
    """
    child = supervise(target(script, "getppid"), "getppid", stdout=PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "alive\n"
    call = child.listener.receive()
    call.reply(1)
    assert child.wait() == 0 and sys.executable and time
