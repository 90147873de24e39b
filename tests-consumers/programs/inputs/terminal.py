"""Job control on a terminal: a shell that is supervised itself (inside), or one whose jobs are (outside).

The command line of the supervisor is in the environment, as JSON. Says what came, step by step.
"""

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import termios
import time
from pathlib import Path

LIMIT_S = 10 * int(os.environ.get("UNOTIFY_TEST_SLOWNESS", "1"))
PROMPT = r"ready> $"
CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH = "\x03", "\x04", "\x1a", "\x1c"


class Terminal:
    def __init__(self, *argv: str) -> None:
        self.master, slave = pty.openpty()
        # setsid(1) makes it the controlling terminal, which takes no code between fork and exec.
        self.child = subprocess.Popen(["setsid", "--ctty", "--wait", *argv], stdin=slave, stdout=slave, stderr=slave)  # fmt: skip
        os.close(slave)
        self.seen = ""

    def expect(self, pattern: str) -> None:
        """Waits for this in what has come since the last."""
        end = time.monotonic() + LIMIT_S
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(end - time.monotonic(), 0))
            if not ready:
                sys.exit(f"no {pattern!r} came, but {self.seen!r}")
            self.seen += os.read(self.master, 65536).decode()
        print("came:", " ".join(found[0].split()))
        self.seen = self.seen[found.end() :]

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def run(self, line: str) -> None:
        self.send(line + "\n")
        self.expect(re.escape(line) + r"\r\n")

    def type(self, line: str) -> None:
        """A line for the program that has been started, not for the shell that still edits lines."""
        end = time.monotonic() + LIMIT_S
        both = termios.ICANON | termios.ECHO
        while termios.tcgetattr(self.master)[3] & both != both and time.monotonic() < end:
            time.sleep(0.01)
        self.run(line)
        self.expect(line + r"\r\n")

    def end(self) -> None:
        """Exits from the shell."""
        self.run("exit 7")
        print("exit status", self.child.wait(LIMIT_S))


def job_control(terminal: Terminal, run: str) -> None:
    """A job is stopped, goes on, is interrupted, in the foreground and in the background."""
    terminal.expect(PROMPT)
    terminal.run(run + "cat")
    terminal.type("hello")
    terminal.send(CTRL_Z)
    terminal.expect(r"\[1\]\+  Stopped +.*cat\r\n" + PROMPT)
    terminal.run("fg")
    terminal.expect(r"cat\r\n")
    terminal.type("again")
    terminal.send(CTRL_C)
    terminal.expect(PROMPT)
    terminal.run("echo status $?")
    terminal.expect(r"status \d+\r\n" + PROMPT)
    terminal.run(run + "sh -c 'echo begun; sleep 100; echo not this' || echo status $?")
    terminal.expect(r"begun\r\n")
    terminal.send(CTRL_BACKSLASH)
    terminal.expect(r"status \d+\r\n" + PROMPT)
    # Of the background nobody may read from the terminal.
    terminal.run(run + "cat &")
    terminal.expect(PROMPT)
    time.sleep(0.3)
    terminal.run("jobs")
    terminal.expect(r"\[1\]\+  Stopped +.*cat\r\n" + PROMPT)
    terminal.run("fg")
    terminal.expect(r"cat\r\n")
    terminal.type("foreground")
    terminal.send(CTRL_D)
    terminal.expect(PROMPT)
    # Maybe before it runs, but not while the job is the shell's own copy, which this signal may not end.
    terminal.run(run + "sleep 100 &")
    terminal.expect(PROMPT)
    terminal.run("while [ $(</proc/$!/comm) = bash ]; do :; done")
    terminal.expect(PROMPT)
    terminal.run("kill %1; wait %1; echo status $?")
    terminal.expect(r"status \d+\r\n" + PROMPT)
    terminal.end()


def main() -> None:
    under: list[str] = json.loads(os.environ["UNDER"])
    shell = ["bash", "--norc", "--noprofile", "-i"]
    os.environ.update(PS1="ready> ", TERM="dumb", HISTFILE="")
    if sys.argv[1] == "inside":
        job_control(Terminal(*under, *shell), "")
    else:
        Path("run").write_text(f'#!/bin/sh\nexec {shlex.join(under)} "$@"\n', encoding="utf-8")
        Path("run").chmod(0o755)
        job_control(Terminal(*shell), "./run ")


main()
