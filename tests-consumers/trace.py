#!/usr/bin/env python3
"""Tests of the example `trace`: one behaviour each, beside strace(1) where that is installed.

Usage: trace.py DIRECTORY [TEST…]. In DIRECTORY are trace, make_calls and connect_to, compiled.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
SLOWNESS = int(os.environ.get("UNOTIFY_TEST_SLOWNESS", "1"))
LIMIT_S = 60 * SLOWNESS
LINE = re.compile(r"\[\d+\] \w+\(.*\)")
Found = TypeVar("Found")
programs = Path()


def run(*argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program, which is killed when it hangs."""
    return subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_S, check=False, errors="backslashreplace")  # fmt: skip


def trace(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return run(programs / "trace", *argv)


def is_traced() -> bool:
    """Whether somebody traces this already, so that strace cannot."""
    return "TracerPid:\t0\n" not in Path("/proc/self/status").read_text()


def has_strace() -> bool:
    return not is_traced() and bool(shutil.which("strace")) and run("strace", "true").returncode == 0


def comparable(lines: list[str]) -> list[str]:
    """Calls, since make_calls began if it is that, without what differs: thread, result, addresses."""
    marks = [i for i, line in enumerate(lines) if '"/begin", F_OK)' in line]
    lines = [re.sub(r"^(\[\d+\]|\d+) +", "", line) for line in lines[marks[0] if marks else 0 :]]
    lines = [re.sub(r" += (-?\d+.*|\?.*|0x.*)$", "", line) for line in lines]
    lines = [line for line in lines if not line.startswith(("+++", "---", "[ Process"))]
    # Older versions of strace show this as a union.
    lines = [re.sub(r"{u32=\d+, u64=(\d+)}", lambda m: hex(int(m[1])), line) for line in lines]
    return [re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", line) for line in lines]


def counts(table: str) -> Counter[str]:
    """What the table of -c says, of strace or of trace, but for exits, which strace does not count."""
    found: Counter[str] = Counter()
    for line in table.splitlines():
        row = line.split()
        number = row[3] if len(row) > 3 else row[0] if row else ""
        if number.isdigit() and row[-1] not in ("total", "exit", "exit_group"):
            found[row[-1]] += int(number)
    return found


def state(process: int) -> str:
    """The letter that /proc has for a process: R, S, T, Z; X when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_writing(process: int, descriptor: int) -> bool:
    """Whether a thread of the process is in write(2), by its number on x86_64 or aarch64."""
    calls = [task.read_text() for task in Path(f"/proc/{process}/task").glob("*/syscall")]
    return any(call.startswith((f"1 {descriptor:#x} ", f"64 {descriptor:#x} ")) for call in calls)


def child_of(process: int) -> int | None:
    """The child of a process, once there is one."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                return int(entry.name)
    return None


def eventually(what: Callable[[], Found | None]) -> Found:
    """What it gives, once that is true."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise TimeoutError


class TraceTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="unotify-trace-")
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def lines(self, *argv: str | Path) -> list[str]:
        """What trace writes of a program that ends with 0."""
        out = self.scratch / "lines"
        done = trace("-o", out, *argv)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out.read_text(errors="backslashreplace").splitlines()

    def empty(self, name: str) -> Path:
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


class BesideStrace(TraceTest):
    """The same run under both gives the same."""

    def setUp(self) -> None:
        super().setUp()
        if not has_strace():
            self.skipTest("strace does not work here")

    def strace(self, *argv: str | Path) -> list[str]:
        out = self.scratch / "strace"
        done = run("strace", "-f", "-o", out, *argv)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out.read_text(errors="backslashreplace").splitlines()

    def same_lines(self, which: str, program: Path) -> None:
        theirs = self.strace("-e", f"trace={which}", program, self.empty("work"))
        ours = self.lines("-e", which, program, self.empty("work"))
        self.assertEqual(comparable(ours), comparable(theirs))
        self.assertGreater(len(comparable(ours)), 10)

    def same_of_real_program(self, *program: str) -> None:
        """A program of several processes, in whatever order they come."""
        run(*program)  # It may leave something behind, which the next one finds.
        which = "openat,execve,access,socket,connect,unlink,mkdir,chdir,dup2,kill"
        # What is interrupted by another thread's line is shown in two.
        theirs = [line for line in self.strace("-e", f"trace={which}", *program) if "resumed>" not in line]
        theirs = [line.replace(" <unfinished ...>", ")") for line in theirs]
        self.assertEqual(sorted(comparable(self.lines("-e", which, *program))), sorted(comparable(theirs)))

    def test_a_shell(self) -> None:
        self.same_of_real_program("sh", "-c", "ls /usr | sort -r | head -n 2; cd /; echo end >/dev/null")

    def test_python(self) -> None:
        program = "import json, socket; socket.socket().connect_ex(('127.0.0.1', 1))"
        self.same_of_real_program("/usr/bin/python3", "-c", program)

    def test_a_compiler(self) -> None:
        source = ROOT / "tests-c" / "examples" / "connect_to.c"
        self.same_of_real_program("cc", "-E", str(source), "-o", str(self.scratch / "preprocessed"))

    def narrow(self, name: str) -> Path:
        """A program for i386."""
        out = self.scratch / f"{name}-32"
        source = ROOT / "tests-c" / "examples" / f"{name}.c"
        built = run("cc", "-m32", "-std=c99", "-w", source, "-o", out, "-pthread")
        if built.returncode or run(out).returncode != 2:
            self.skipTest("no 32-bit programs can be built or run here")
        return out

    def test_all_calls_of_a_program(self) -> None:
        self.same_lines("all", programs / "make_calls")

    def test_what_descriptors_are_open_on(self) -> None:
        def told(lines: list[str]) -> list[str]:
            lines = [line.replace(" (deleted)>", ">(deleted)") for line in comparable(lines)]
            return [re.sub(r"socket:\[\d+\]", "socket:[N]", line) for line in lines]

        theirs = self.strace("-y", "-e", "trace=all", programs / "make_calls", self.empty("work"))
        ours = self.lines("-y", "-e", "all", programs / "make_calls", self.empty("work"))
        self.assertEqual(told(ours), told(theirs))
        self.assertTrue(any("work/file>" in line for line in ours))

    def test_calls_on_files_of_a_32_bit_program(self) -> None:
        self.same_lines("%file", self.narrow("make_calls"))

    def test_calls_on_sockets_of_a_32_bit_program(self) -> None:
        self.same_lines("%network,faccessat", self.narrow("make_calls"))

    def test_what_socketcall_stands_for(self) -> None:
        program = self.narrow("connect_to")
        trace("-o", self.scratch / "log", "-e", "socket,connect", program, "4", "127.0.0.1", "1")
        shown = re.sub(r"(?m)^\[\d+\] ", "", (self.scratch / "log").read_text())
        address = '{sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("127.0.0.1")}'
        expected = f"socket(AF_INET, SOCK_STREAM, IPPROTO_IP)\nconnect(3, {address}, 16)\n"
        self.assertEqual(shown, expected)

    def same_set(self, name: str) -> None:
        """The calls that a set has, of all that make_calls makes."""

        def names(lines: list[str]) -> list[str]:
            return [line.split("(")[0] for line in comparable(lines)]

        theirs = self.strace("-e", f"trace={name},faccessat", programs / "make_calls", self.empty("work"))
        ours = self.lines("-e", f"{name},faccessat", programs / "make_calls", self.empty("work"))
        self.assertEqual(names(ours), names(theirs))

    def test_the_set_of_files(self) -> None:
        self.same_set("%file")

    def test_the_set_of_the_network(self) -> None:
        self.same_set("%network")

    def test_the_set_of_processes(self) -> None:
        self.same_set("%process")

    def same_counts(self, which: str, *program: str | Path) -> None:
        theirs, ours = self.scratch / "strace", self.scratch / "counts"
        run("strace", "-c", "-f", "-o", theirs, "-e", f"trace={which}", *program)
        trace("-c", "-o", ours, "-e", which, *program)
        self.assertEqual(counts(ours.read_text()), counts(theirs.read_text()))
        self.assertGreater(sum(counts(ours.read_text()).values()), 3)

    def test_counts_of_a_pipeline(self) -> None:
        script = "ls /usr/bin | sort -r | head -n 3 >/dev/null; cat /etc/passwd >/dev/null; true"
        self.same_counts("openat,execve,pipe2,getdents64", "sh", "-c", script)

    def test_counts_of_a_program_with_200_threads(self) -> None:
        self.same_counts("faccessat", programs / "make_calls", "threads", "200", "20")


class Lines(TraceTest):
    """How a call is shown."""

    def shown(self, name: str) -> list[str]:
        lines = self.lines("-e", f"{name},faccessat", programs / "make_calls", self.empty("work"))
        return [line for line in comparable(lines) if line.startswith(f"{name}(")]

    def test_flags_have_names(self) -> None:
        shown = self.shown("openat")
        self.assertEqual(shown[0], 'openat(AT_FDCWD, "missing", O_RDONLY|O_CLOEXEC|O_DIRECTORY)')

    def test_a_mode_is_shown_where_it_counts(self) -> None:
        self.assertEqual(self.shown("openat")[2],
                         'openat(AT_FDCWD, "file", O_WRONLY|O_CREAT|O_EXCL|O_TRUNC, 0640)')  # fmt: skip

    def test_a_path_is_whole(self) -> None:
        self.assertIn(f'openat(AT_FDCWD, "{"n" * 299}", O_RDONLY|O_PATH)', self.shown("openat"))

    def test_bytes_are_escaped(self) -> None:
        self.assertIn(r'"a \"quoted\"\n\t\\name\1\177\3777"', self.shown("openat")[1])

    def test_an_address_that_cannot_be_read_is_shown(self) -> None:
        self.assertIn("openat(AT_FDCWD, 0x1, O_RDONLY)", self.shown("openat"))
        self.assertIn("openat(AT_FDCWD, NULL, O_RDONLY)", self.shown("openat"))

    def test_socket_addresses(self) -> None:
        shown = self.shown("connect")
        self.assertIn('{sa_family=AF_UNIX, sun_path="socket in here"}', shown[0])
        self.assertIn('{sa_family=AF_UNIX, sun_path=@"hidden"}', shown[1])
        self.assertIn('{sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("127.0.0.1")}', shown[2])

    def test_arguments_of_a_program(self) -> None:
        shown = self.lines("-e", "execve", "/bin/echo", "two words", "x" * 40)[0]
        begin = f'execve("/bin/echo", ["/bin/echo", "two words", "{"x" * 32}"...], 0x'
        self.assertIn(begin, shown)
        self.assertRegex(shown, r"/\* \d+ vars? \*/\)$")

    def test_how_much_of_a_string_is_shown(self) -> None:
        shown = self.lines("-s", "3", "-e", "execve", "/bin/echo", "abcd", "abc", "")[0]
        self.assertIn('["/bi"..., "abc"..., "abc", ""]', shown)

    def test_other_calls_have_as_many_numbers_as_arguments(self) -> None:
        names = "sched_yield,rseq,set_tid_address"
        shown = self.lines("-e", names, programs / "make_calls", self.scratch)
        counted = {
            re.sub(r"[^(,]+(?=[,)])", "", line.split()[1] + "".join(line.split()[2:])) for line in shown
        }
        self.assertEqual(counted - {"rseq(,,,)"}, {"sched_yield()", "set_tid_address()"})

    def test_whatever_is_in_memory(self) -> None:
        for seed in ("1", "2", "3"):
            for size in ("0", "32", "4096"):
                shown = self.lines("-s", size, "-e", "all", programs / "make_calls", "garbage", seed)
                self.assertGreater(len(shown), 20_000)
                for line in shown:
                    self.assertRegex(line, r"^\[\d+\] \w+\([ -~]*(\)|\.\.\.)$")

    def test_lines_of_200_threads_are_not_mixed(self) -> None:
        shown = self.lines("-e", "faccessat", programs / "make_calls", "threads", "200", "50")
        mine = [line for line in shown if '"nnn' in line]
        self.assertEqual(len(mine), 200 * 50)
        self.assertEqual(len({line.split()[0] for line in mine}), 200)
        name = "n" * 399
        for line in mine:
            self.assertRegex(line, rf'^\[\d+\] faccessat\(AT_FDCWD, "{name}", R_OK\)$')


class Choosing(TraceTest):
    """Which calls are shown."""

    def names(self, *options: str) -> set[str]:
        lines = self.lines(*options, "sh", "-c", "true & wait; cat /dev/null")
        for line in lines:
            self.assertRegex(line, LINE)
        return {line.split()[1].split("(")[0] for line in lines}

    def test_those_that_are_named(self) -> None:
        self.assertEqual(self.names("-e", "trace=openat,execve"), {"openat", "execve"})

    def test_all_but_those_that_are_named(self) -> None:
        names = self.names("-e", "trace=!openat,%process")
        self.assertFalse(names & {"openat", "execve", "exit_group", "wait4"})
        self.assertTrue(names >= {"mmap", "close", "read"})

    def test_all(self) -> None:
        self.assertTrue(self.names("-e", "all") >= {"mmap", "close", "read", "openat", "execve"})

    def test_by_default_none_that_must_not_be_interrupted(self) -> None:
        names = self.names()
        self.assertFalse(names & {"mmap", "close", "clone", "vfork", "rt_sigaction", "dup2", "fcntl"})
        self.assertTrue(names >= {"execve", "openat", "read", "exit_group"})

    def test_a_name_that_need_not_exist(self) -> None:
        self.assertEqual(self.names("-e", "?opennat,execve"), {"execve"})

    def test_an_unknown_name_is_an_error(self) -> None:
        done = trace("-e", "opennat", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("opennat", done.stderr)

    def test_an_unknown_set_is_an_error(self) -> None:
        done = trace("-e", "%files", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("%files", done.stderr)

    def test_children_are_followed_with_and_without_asking(self) -> None:
        for option in ([], ["-f"]):
            lines = self.lines(*option, "-e", "execve", "sh", "-c", "cat /dev/null & wait")
            self.assertEqual(len({line.split()[0] for line in lines}), 2)


class Output(TraceTest):
    """Where lines go, and what happens when they cannot."""

    def test_standard_error(self) -> None:
        done = trace("-e", "execve", "echo", "said")
        self.assertEqual(done.stdout, "said\n")
        self.assertRegex(done.stderr, r"^\[\d+\] execve\(.*\)\n$")

    def test_a_file(self) -> None:
        done = trace("-o", self.scratch / "log", "sh", "-c", "echo said >&2")
        self.assertEqual(done.stderr, "said\n")
        self.assertIn("execve(", (self.scratch / "log").read_text())

    def test_a_file_that_cannot_be_written_to(self) -> None:
        done = trace("-o", "/no/such/directory/log", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such/directory/log", done.stderr)

    def test_a_full_disk_ends_it(self) -> None:
        if not Path("/dev/full").exists():
            self.skipTest("no /dev/full")
        done = trace("-o", "/dev/full", "sleep", "1000")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "trace: /dev/full: No space left on device\n")

    def test_a_full_disk_is_told_of_counts(self) -> None:
        if not Path("/dev/full").exists():
            self.skipTest("no /dev/full")
        done = trace("-c", "-o", "/dev/full", "true")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "trace: /dev/full: No space left on device\n")

    def test_a_file_size_limit_ends_it(self) -> None:
        limited = 'ulimit -f 1; exec "$0" -o "$1" -e openat find /usr -name nothing'
        done = run("bash", "-c", limited, programs / "trace", self.scratch / "log")
        self.assertEqual(done.returncode, 1)
        self.assertIn("File too large", done.stderr)

    def test_a_closed_pipe_ends_it(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        argv = [str(programs / "trace"), "sleep", "1000"]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=writing)
        os.close(writing)
        try:
            self.assertEqual(child.wait(LIMIT_S), 1)
        finally:
            child.kill()

    def test_a_call_that_is_interrupted_meanwhile_is_told_of(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"\n")
        os.set_blocking(writing, True)
        argv = [str(programs / "trace"), "-e", "execve", "sleep", "1000"]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=writing)
        os.close(writing)
        try:
            # The line of its execve does not fit into the pipe, so the program waits to begin.
            eventually(lambda: is_writing(child.pid, 2))
            program = eventually(lambda: child_of(child.pid))
            os.kill(program, signal.SIGKILL)
            eventually(lambda: state(program) in "ZX")
            with open(reading, errors="backslashreplace") as pipe:
                lines = pipe.read().lstrip("\n").splitlines()
            child.wait(LIMIT_S)
        finally:
            child.kill()
        self.assertRegex(lines[0], rf"^\[{program}\] execve\(")
        self.assertEqual(lines[1], f"[{program}] execve: interrupted before it began")

    def test_the_program_prints_what_it_prints_alone(self) -> None:
        command = ("sh", "-c", "ls -l /usr/bin | sort -r | tail -n 100")
        traced = trace("-o", "/dev/null", *command)
        self.assertEqual(traced.stdout, run(*command).stdout)


class Signals(TraceTest):
    """All calls are traced, of programs that have to do with signals."""

    def test_each_signal_is_handled_once(self) -> None:
        script = """if True:
            import os, signal
            seen = []
            signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
            for _ in range(1000):
                os.kill(os.getpid(), signal.SIGUSR1)
            print(len(seen))"""
        done = trace("-e", "all", "-o", "/dev/null", sys.executable, "-c", script)
        self.assertEqual((done.stdout, done.returncode), ("1000\n", 0))

    def test_a_sleep_goes_on_after_a_stop(self) -> None:
        log = self.scratch / "log"
        argv = [str(programs / "trace"), "-e", "all", "-o", str(log), "sleep", "2"]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: log.exists() and "nanosleep(" in log.read_text())
            program = int(log.read_text()[1:].split("]")[0])
            os.kill(program, signal.SIGSTOP)
            eventually(lambda: state(program) == "T")
            os.kill(program, signal.SIGCONT)
            self.assertEqual(child.wait(LIMIT_S), 0)
        finally:
            child.kill()
        self.assertIn("restart_syscall()", log.read_text())


class Ends(TraceTest):
    """The status that it exits with."""

    def test_the_programs(self) -> None:
        self.assertEqual(trace("-o", "/dev/null", "sh", "-c", "exit 7").returncode, 7)

    def test_of_a_program_that_a_signal_ended(self) -> None:
        done = trace("-o", "/dev/null", "sh", "-c", "kill -TERM $$")
        self.assertEqual(done.returncode, -signal.SIGTERM)

    def test_of_a_program_that_is_told_to_end(self) -> None:
        script = 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
        argv = [str(programs / "trace"), "-o", "/dev/null", "sh", "-c", script]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            assert child.stdout
            self.assertEqual(child.stdout.readline(), b"ready\n")
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(LIMIT_S), 5)
            child.stdout.close()
        finally:
            child.kill()

    def test_of_one_that_is_not_there(self) -> None:
        done = trace("/no/such/program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("/no/such/program", done.stderr)

    def test_of_one_that_may_not_be_executed(self) -> None:
        self.assertEqual(trace("/etc/passwd").returncode, 126)
        self.assertEqual(trace("/etc").returncode, 126)

    def test_of_a_wrong_option(self) -> None:
        for wrong in (["-x", "true"], ["-s", "x", "true"], ["-s", "5000", "true"], []):
            self.assertEqual(trace(*wrong).returncode, 2)

    def test_help_and_version(self) -> None:
        for option, word in (("--help", "%network"), ("--version", "libunotify")):
            done = trace(option)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(word, done.stdout)


if __name__ == "__main__":
    programs = Path(sys.argv.pop(1)).resolve()
    unittest.main()
