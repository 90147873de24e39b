"""The examples, on real programs."""

from __future__ import annotations

import datetime
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SLOWNESS, target

EXAMPLES = Path(__file__).parents[3] / "examples" / "python"


def example(name: str, *args: str, **how: object) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=60 * SLOWNESS,
        stdin=subprocess.DEVNULL,
        **how,  # type: ignore[call-overload]
    )
    return done


def audited(
    program: list[str], **how: object
) -> tuple[dict[str, dict[str, int]], subprocess.CompletedProcess[str]]:
    done = example("fs_audit.py", "--json", "--", *program, **how)
    report = json.loads(done.stderr[done.stderr.index("{") :])
    assert report["program"] == program and report["status"] == done.returncode
    return {file.pop("path"): file for file in report["files"]}, done


def test_what_python_opens_to_start() -> None:
    files, done = audited(["/usr/bin/python3", "-I", "-c", "import json; print(json.__file__)"])
    assert done.returncode == 0
    opened = [path for path, how in files.items() if "/json/" in path and "read" in how]
    assert opened and all(Path(path).exists() for path in opened)
    assert any("libc.so.6" in path for path in files)


def test_what_a_compiler_opens_and_makes(tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(
        '#include <stdio.h>\n#include "own.h"\nint main(void) { return OWN; }\n'
    )
    (tmp_path / "own.h").write_text("#define OWN 3\n")
    files, done = audited(["cc", "program.c", "-o", "program"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files["/usr/include/stdio.h"]["read"] and files[str(tmp_path / "own.h")]["read"]
    assert any("crt1.o" in path for path in files)
    made = [how for path, how in files.items() if Path(path).name == "program"]
    assert any(how.keys() & {"create", "write"} for how in made), files
    assert subprocess.run([tmp_path / "program"], check=False).returncode == 3


def test_what_is_looked_for_in_vain(tmp_path: Path) -> None:
    files, done = audited(["cat", "none", "there"], cwd=tmp_path)
    assert done.returncode == 1 and files[str(tmp_path / "none")] == {"missing": 1}


def test_a_summary_by_directory(tmp_path: Path) -> None:
    done = example("fs_audit.py", "-o", str(tmp_path / "report"), "--depth", "1", "ls", "/")
    assert done.returncode == 0 and "usr" in done.stdout and not done.stderr
    lines = (tmp_path / "report").read_text().splitlines()
    assert "opens of" in lines[0] and any(line.endswith("   /usr") for line in lines)


def test_the_exit_status_is_the_programs() -> None:
    assert example("fs_audit.py", "sh", "-c", "exit 5").returncode == 5
    assert example("fs_audit.py", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    none = example("fs_audit.py", "/no/such/program")
    assert none.returncode == 1 and "/no/such/program" in none.stderr and "Traceback" not in none.stderr


def test_32_bit_programs_are_seen(tmp_path: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("this machine has no 32-bit programs of its own")
    (tmp_path / "program.c").write_text(
        '#include <stdio.h>\nint main(void) { return !fopen("/dev/null", "r"); }\n'
    )
    if subprocess.run(["cc", "-m32", "program.c", "-o", "program"], cwd=tmp_path, check=False).returncode:
        pytest.skip("no compiler for 32-bit programs")
    files, done = audited([str(tmp_path / "program")])
    assert done.returncode == 0 and files["/dev/null"]["read"] == 1


def on_a_terminal(argv: list[str], until: bytes, then: bytes) -> tuple[bytes, int]:
    """Runs a program on a terminal of its own, types something when it has said something, and gives all
    that it has said, and how it has ended."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    said, typed = b"", False
    try:
        while piece := os.read(terminal, 4096):
            said += piece
            if until in said and not typed:
                time.sleep(0.3 * SLOWNESS)
                os.write(terminal, then)
                typed = True
    except OSError:
        pass  # its end
    os.close(terminal)
    return said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_line_tells_meanwhile_and_control_c_is_the_programs() -> None:
    script = "trap 'echo trapped; exit 9' INT; cat /etc/passwd >/dev/null; echo ready; sleep 50; true"
    argv = [sys.executable, str(EXAMPLES / "fs_audit.py"), "sh", "-c", script]
    said, code = on_a_terminal(argv, b"ready", b"\x03")
    assert code == 9 and b"trapped" in said, said
    assert b"\r\x1b[K" in said and b" opens, " in said and b"opens of" in said


def test_another_date() -> None:
    script = """
        import ctypes
        t = (ctypes.c_int64 * 2)()
        call("clock_gettime", 0, ctypes.addressof(t)); print(t[0])
        call("clock_gettime", 1, ctypes.addressof(t)); print(t[0])
        print(call("clock_gettime", 0, 8)[1])
    """
    argv = target(script, "clock_gettime")
    done = example("fake_time.py", "@2000000000", "--", *argv)
    assert done.returncode == 0 and not done.stderr, done.stderr
    date, monotonic, error = map(int, done.stdout.split())
    assert 0 <= date - 2_000_000_000 < 60 * SLOWNESS
    assert abs(monotonic - time.monotonic()) < 60 * SLOWNESS and error == 14


@pytest.mark.skipif(
    os.uname().machine != "x86_64" or not shutil.which("perl"), reason="takes perl and time(2)"
)
def test_a_real_program_sees_it() -> None:
    """Perl makes system calls by their numbers."""
    done = example("fake_time.py", "2038-01-19T03:14:07+00:00", "perl", "-e", "print syscall(201, 0)")
    assert 0 <= int(done.stdout) - 0x7FFF_FFFF < 60 * SLOWNESS, done.stderr


def test_the_vdso_is_named_where_it_is_in_the_way() -> None:
    done = example("fake_time.py", "2001-02-03", "date", "+%Y")
    assert done.returncode == 0
    if int(done.stdout) == datetime.datetime.now().year:
        assert "date has not asked the kernel" in done.stderr and "vDSO" in done.stderr
    else:
        # A machine whose clock takes a system call to be read.
        assert done.stdout == "2001\n"
