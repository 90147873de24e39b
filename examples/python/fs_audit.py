#!/usr/bin/env python3
"""Which files does this program open?

    fs_audit.py [--json] [--depth N] [-o FILE] [--] PROGRAM [ARGUMENT...]

Runs the program, and says at its end how many files it and all that it has started have opened, by
directory: read, written, or looked for in vain. On a terminal a line tells meanwhile. The program runs
as it would without: its output, ^C and its exit status are its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from typing import IO

import unotify

WRITES = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
CALLS = ("open", "openat", "openat2", "creat")


def opened(call: unotify.Notification) -> tuple[int, int, int]:
    """Where the path of a call starts, where it is in the target's memory, and the flags."""
    at_cwd = -100
    if call.name == "open":
        return at_cwd, call.args[0], call.int_args[1]
    if call.name == "creat":
        return at_cwd, call.args[0], os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    if call.name == "openat2":
        return call.int_args[0], call.args[1], int.from_bytes(call.read(call.args[2], 8), sys.byteorder)
    return call.int_args[0], call.args[1], call.int_args[2]


class Audit:
    """What was opened so far: for each path, how often and how."""

    def __init__(self) -> None:
        self.files: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.opens = 0

    def see(self, call: unotify.Notification) -> str:
        """Notes the file that a call opens, and gives its path. It is a log and decides nothing: the target
        may still exchange what it names."""
        dirfd, address, flags = opened(call)
        # As the target sees it, with links and ".." resolved.
        path = call.path(dirfd, address)
        how = "write" if flags & WRITES else "read"
        try:
            os.close(call.open(dirfd, address, os.O_PATH))
        except FileNotFoundError:
            how = "create" if flags & os.O_CREAT else "missing"
        self.opens += 1
        self.files[path][how] += 1
        return path

    def directories(self, depth: int) -> dict[str, Counter[str]]:
        """The number of files by directory, no deeper than so many parts."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for path, hows in self.files.items():
            parts = os.path.dirname(path).split("/")
            directory = "/".join(parts[: depth + 1]) or ("/" if path.startswith("/") else ".")
            for how in hows:
                found[directory][how] += 1
        return found

    def as_json(self, program: list[str], code: int) -> str:
        files = [{"path": path, **hows} for path, hows in sorted(self.files.items())]
        return json.dumps({"program": program, "status": code, "opens": self.opens, "files": files}, indent=1)

    def summary(self, depth: int) -> str:
        hows = ("read", "write", "create", "missing")
        lines = [f"{self.opens} opens of {len(self.files)} files", "   ".join(f"{how:>7}" for how in hows)]
        counts = sorted(self.directories(depth).items(), key=lambda item: (-sum(item[1].values()), item[0]))
        for directory, count in counts:
            lines.append("   ".join(f"{count[how] or '':>7}" for how in hows) + f"   {directory}")
        return "\n".join(lines)


class Progress:
    """A line on a terminal that is written over, ten times a second at most."""

    def __init__(self, terminal: IO[str]) -> None:
        self._terminal = terminal if terminal.isatty() else None
        self._next = 0.0

    def show(self, audit: Audit, path: str) -> None:
        now = time.monotonic()
        if self._terminal is None or now < self._next:
            return
        self._next = now + 0.1
        width = os.get_terminal_size(self._terminal.fileno()).columns
        line = f"{audit.opens} opens, {len(audit.files)} files: {path}".encode(errors="replace").decode()
        self._terminal.write(f"\r\x1b[K{line[: width - 1]}")
        self._terminal.flush()

    def clear(self) -> None:
        if self._terminal is not None:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()


def filter_of_opens() -> unotify.Filter:
    # 32-bit programs are killed otherwise.
    filter = unotify.Filter().add_arch(unotify.arch_compat())
    for name in CALLS:
        try:
            filter.notify(name)
        except unotify.UnknownSyscall:
            pass  # newer architectures have openat and openat2 only
    return filter


def main() -> None:
    parser = argparse.ArgumentParser(description="Say which files a program opens.")
    parser.add_argument("--json", action="store_true", help="write all files as JSON")
    parser.add_argument(
        "--depth", type=int, default=3, help="of the directories in the summary (%(default)s)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of to standard error")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM", help="and its arguments")
    options = parser.parse_args()
    program = options.program[options.program[:1] == ["--"] :]
    if not program:
        parser.error("which program?")

    audit, progress = Audit(), Progress(sys.stderr)
    supervisor = unotify.Supervisor()

    @supervisor.on_default
    def handler(call: unotify.Notification) -> unotify.Verdict:
        try:
            progress.show(audit, audit.see(call))
        except unotify.Gone:
            pass
        except OSError:
            audit.opens += 1  # it will not work for the program either
        return unotify.CONTINUE

    with contextlib.ExitStack() as opened:
        report = opened.enter_context(open(options.output, "w")) if options.output else sys.stderr
        try:
            status = supervisor.stand_in_for(program, filter_of_opens())
        except unotify.Error as error:
            sys.exit(f"fs_audit: {error.strerror}")
        progress.clear()
        code = os.waitstatus_to_exitcode(status)
        print(audit.as_json(program, code) if options.json else audit.summary(options.depth), file=report)
    unotify.exit_like(status)


if __name__ == "__main__":
    main()
