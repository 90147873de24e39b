"""Programs that open many files, and who supervises them."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.build import BENCHES, Programs

# What a row of the page is called, and the last word of the case's name.
SUPERVISORS = (
    ("unsupervised", "unsupervised"),
    ("unotify", "libunotify"),
    ("trace", "libunotify, the example trace"),
    ("broker", "libunotify, the example open-broker"),
    ("broker-bound", "the same, all on one processor"),
    ("sandlock", "sandlock, chroot mode"),
    ("strace", "strace -f --seccomp-bpf"),
    ("strace-f", "strace -f"),
)
STRACE = ("-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=openat")
PYTHON_STARTS = 20


@dataclass(frozen=True)
class Work:
    """A program, and what it does.

    strace may stop it at every call unless that takes too long; sandlock runs it unless it cannot."""

    what: str
    argv: Callable[[Path], list[str]]
    with_strace_f: bool = False
    with_sandlock: bool = True


@dataclass(frozen=True)
class Run:
    """One of them under a supervisor, once in all or in many rounds; `count` gives the calls it has seen.

    `program` is what it needs built."""

    name: str
    program: str
    argv: tuple[str, ...]
    count: Callable[[], float] | None = None
    once: bool = False


def compiler(scratch: Path) -> list[str]:
    directory = scratch / "make"
    if not directory.exists():
        directory.mkdir()
        sources = ("target", "launch", "baseline", "instructions", "open-file", "first")
        objects = " ".join(f"{name}.o" for name in sources)
        rule = f"%.o: {BENCHES}/%.c\n\tcc -std=c99 -O2 -pthread -c -o $@ $<\n"
        (directory / "Makefile").write_text(f"all: {objects}\n{rule}")
    return ["make", "-s", "-B", "-j2", "-C", str(directory)]


def empty_directories(scratch: Path) -> list[str]:
    tree = scratch / "tree"
    if not tree.exists():
        for i in range(100):
            for j in range(100):
                (tree / str(i) / str(j)).mkdir(parents=True)
    return ["find", str(tree), "-name", "nothing"]


def starts_of_python(_scratch: Path) -> list[str]:
    return ["sh", "-c", f'for _ in $(seq {PYTHON_STARTS}); do "$0" -c pass; done', sys.executable]


WORK = {
    "compile": Work("`make -j2` of six files in C", compiler, with_strace_f=True, with_sandlock=False),
    "find": Work(
        "`find /usr -xdev -size +1G`",
        lambda _: ["find", "/usr", "-xdev", "-size", "+1G"],
    ),
    "find-empty": Work(
        "`find` over 10,000 empty directories, which does nothing but open them",
        empty_directories,
        with_strace_f=True,
    ),
    "tar": Work(
        "`tar` of /usr/include into a file",
        lambda scratch: ["tar", "-cf", str(scratch / "archive.tar"), "-C", "/usr", "include"],
    ),
    "python": Work(f"{PYTHON_STARTS} starts of Python", starts_of_python),
}


def plain_count(file: Path) -> float:
    return float(file.read_text())


def table_count(table: Path) -> float:
    """The calls column of openat's row in the table that strace -c writes, or the example trace -c."""
    rows = (line.split() for line in table.read_text().splitlines())
    return next(float(row[3] if len(row) > 2 else row[0]) for row in rows if row and row[-1] == "openat")


def runs(programs: Programs, scratch: Path) -> list[Run]:
    """All of them, each under all supervisors that could be built."""
    found = []
    for name, work in WORK.items():
        command = work.argv(scratch)
        found.append(Run(f"work/{name}/unsupervised", "", tuple(command)))
        for run in before_command(programs, scratch / name, work):
            if run.program in programs.path:
                found.append(replace(run, name=f"work/{name}/{run.name}", argv=(*run.argv, *command)))
    return found


def before_command(programs: Programs, place: Path, work: Work) -> Iterator[Run]:
    """What comes before a command for it to be supervised. Counts are written beside the place."""

    def run(name: str, program: str, *options: str, before: tuple[str, ...] = ()) -> Run:
        return Run(name, program, (*before, programs.path.get(program, ""), *options))

    number = place.with_suffix(".count")
    yield replace(run("unotify", "continue-openat", str(number)), count=partial(plain_count, number))
    yield run("trace", "trace", *STRACE[2:])
    yield run("broker", "open-broker", "/", "--")
    one = str(min(os.sched_getaffinity(0)))
    yield run("broker-bound", "open-broker", "/", "--", before=("taskset", "--cpu-list", one))
    # Which takes its time.
    if work.with_sandlock:
        yield replace(run("sandlock", "sandlock", str(place.parent)), once=True)
    yield run("strace", "strace", *STRACE)
    # As it is mostly called: it then stops the program at every call.
    if work.with_strace_f:
        yield run("strace-f", "strace", *(word for word in STRACE if word != "--seccomp-bpf"))
    # Counting takes them another run, which is not for their time.
    for tracer, how in (("strace", STRACE[:2]), ("trace", ())):
        table = place.with_suffix(f".{tracer}")
        counting = run(f"{tracer}-count", tracer, "-c", *how, "-o", str(table), *STRACE[4:])
        yield replace(counting, count=partial(table_count, table), once=True)
