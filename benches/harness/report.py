"""Writes the figures down: docs/benchmarks.md."""

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from harness.build import RUNTIMES, Programs
from harness.cases import CONTAINERS, IDLE, LARGE_MIB, SLEEP_US, TARGETS, WORKERS, Plan
from harness.measure import Results, Summary
from harness.requirements import Verdict, all_verdicts, grid_ratios, naive
from harness.work import SUPERVISORS, WORK

CALLS = [
    ("unsupervised", "unsupervised"),
    ("libunotify, receive and reply", "receive"),
    ("libunotify, reply_receive", "reply-receive"),
    ("libunotify, supervisor", "supervisor/1"),
    ("libunotify, max_workers 4", "supervisor/4"),
    ("libunotify, max_workers 8", "supervisor/8"),
    ("libunotify, max_workers 16", "supervisor/16"),
    ("loop by hand, sync wake-up, calls in place", "loop/in-place"),
    ("loop by hand, sync wake-up", "loop/on"),
    ("loop by hand", "loop/off"),
    ("libunotify from Go, ReceiveInto and reply", "go/receive"),
    ("libunotify from Go, supervisor", "go/supervise"),
    ("Go without cgo, ReceiveInto and reply", "go/notify"),
    ("libunotify from Python, for loop and reply", "python/receive"),
    ("libunotify from Python, supervisor", "python/supervise"),
    ("libunotify from Python, async for and reply", "python/aio-receive"),
    ("libunotify from Python, supervisor in asyncio", "python/aio-serve"),
    ("loop by hand in Python, fcntl.ioctl, sync wake-up", "python/ioctl"),
    ("libseccomp's Python binding", "peer/seccomp"),
    ("pyseccomp", "peer/pyseccomp"),
    ("libseccomp's Go binding", "peer/libseccomp-golang"),
    ("libseccomp crate", "peer/libseccomp-crate"),
    ("libseccomp's C API", "peer/libseccomp"),
    ("greenhook crate", "peer/greenhook"),
    ("strace --seccomp-bpf", "peer/strace"),
]

READ = [
    ("the two bare system calls", "read/bare"),
    ("libunotify", "read/unotify"),
    ("open, read and close /proc/PID/mem", "read/mem"),
]

OPEN = [
    ("unsupervised", "open/unsupervised"),
    ("libunotify, continue", "open/continue"),
    ("libunotify, open broker", "open/broker"),
]

START = [
    ("libunotify", "start/unotify/0"),
    ("fork, seccomp and exec by hand", "start/fork/0"),
]

START_LARGE = [
    (f"libunotify, {LARGE_MIB} MiB", f"start/unotify/{LARGE_MIB}"),
    (f"posix_spawn, {LARGE_MIB} MiB", f"start/posix_spawn/{LARGE_MIB}"),
]

INTRODUCTION = """\
# Benchmarks

`scripts/bench` measured everything here in one go and wrote this page. What is measured is the time
between a target's `getppid` and its return, when a seccomp filter notifies a supervisor of that call
and the supervisor answers with a value. The *baseline* is the loop one would write by hand in C, with
nothing to it but `memset`, `RECV` and `SEND`, and synchronous wake-up on.

All supervisors serve the same target, under the same filter, handed the same way (`benches/launch.c`);
`greenhook` and `strace` insist on their own filter. Each comes as it is: no peer's options are set, nor
libunotify's unless the row says so. The cases of a round run one after the other, in an order that
changes from round to round; a figure is the median of the rounds, the spread its quartiles, and a ratio
the median of the ratios within each round.

![Time per call](benchmarks.svg)
"""

IN_PLACE = """\
libunotify does more than the baseline and keeps up with it, as it makes its system calls in place. A call through
the C library ends in a return, and on its way the kernel has filled the processor's return predictor with
addresses of its own; on some processors that first return costs a tenth of a supervised call
(`src/kernel/syscall.rs`). The loop with its calls in place is the least there can be: two instructions
and what the kernel does.
"""

LOOPS = """\
The loops by hand are those of `benches/baseline.c`: a herd that blocks in `RECV` together, one
receiver at a time behind a mutex, and an exclusive epoll for each worker; each with synchronous
wake-up on and off. The best of them, which is another from point to point, is what libunotify
is compared with, and libunotify is left to choose by itself. It does so by trying, so these runs are
longer, and the targets warm up for longer. Which loop is the best is asked of one half of the rounds, and
the ratio to it taken in the other half, and the other way round: where several take about as long, the one
that looks best was lucky, in the rounds that show it. So the ratio is not always that of the two medians.
"""

READING = """\
A path of 40 bytes, read over and over from a target that waits. The two bare system calls are
`process_vm_readv` and the check that the notification is still pending, without which nobody knows whose
bytes they are.
"""

OPENING = """\
A target opens and closes a file in a loop. The open broker (`examples/c/open-broker.c`) opens it on the
target's behalf, decides on what was opened, and hands that over, where continue decides nothing.
"""

STARTING = """\
From the call to the first notification of a small program (`benches/start.c`). By hand the child sends
its listener over a socket. `posix_spawn` has no filter; there the program writes a byte into a pipe where
it would be notified. The large process has touched its memory before, which a copy would take long for.
"""

AGENT = """\
An agent and a supervisor (`benches/agent.c`) have so many containers' listeners, which it was sent as runc sends
them; one of them is busy.
"""

CONTAINER = """\
From the start of a runtime to the first answer that a container gets, and to the same point of the same container
when its profile allows the call instead (`benches/container.py`): a shell of busybox's calls `getppid`, and writes
a line. Almost all of it is the runtime's own time.
"""

REAL_WORK = """\
These programs open many files:

{programs}

Each `openat` is seen by the supervisor. What is called libunotify lets it continue; `examples/c/trace` and
strace write a line for it, to `/dev/null`; the open broker opens each file itself, and why it matters to it
whether another processor is idle is in [loops.md](loops.md). sandlock (its wheel for Python) does likewise, with
`/` as the new root, and its time is from the start of the Python that calls it; under it no compiler finds its
headers, as it says EACCES where there is no such directory. Without `--seccomp-bpf` strace
stops a program at all its other calls too, which would take too long for some.
"""


def how_much(plan: Plan) -> str:
    return (
        f"{plan.rounds} rounds of {plan.milliseconds} ms a run, {plan.rounds // plan.seldom} for the sleeping "
        f"handlers and the real work; {-(-plan.rounds // plan.grid)} of {plan.grid_milliseconds} ms for the grid, "
        f"after {plan.grid_warm_up} calls to warm up"
    )


def machine() -> list[str]:
    """What the figures depend on, and nothing that tells whose machine it is."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    flags = Path("/proc/cpuinfo").read_text()
    virtual = " (virtual machine)" if " hypervisor" in flags else ""
    kernel = ".".join(platform.release().split(".")[:3]).partition("-")[0]
    facts = [
        f"processor: {cpu}, {os.cpu_count()} cores{virtual}",
        f"kernel: Linux {kernel}, {platform.machine()}",
    ]
    for command in ("cc --version", "rustc --version", "pkg-config --modversion libseccomp",
                    "go version", "strace --version"):  # fmt: skip
        try:
            words = command.split()
            done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
            line = done.stdout.splitlines()[0]
            facts.append(f"libseccomp {line}" if words[0] == "pkg-config" else line)
        except (OSError, subprocess.SubprocessError, IndexError):
            continue
    return facts


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    ruled = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ruled, *rows)) + "\n"


def microseconds(summary: Summary | None) -> tuple[str, str]:
    if summary is None:
        return "not measured", ""
    low, high = summary.low / 1e3, summary.high / 1e3
    return f"{summary.median / 1e3:.2f}", f"{low:.2f} to {high:.2f}"


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def requirements(verdicts: list[Verdict]) -> str:
    word = {True: "PASS", False: "MISS", None: "NOT MEASURED"}
    return table(
        ("what", "must", "measured", "verdict"),
        ((v.what, v.must, v.measured, word[v.met]) for v in verdicts),
    )


def against_baseline(results: Results, rows: Iterable[tuple[str, str]]) -> str:
    return compared(results, rows, "loop/on", "to the baseline")


def compared(results: Results, rows: Iterable[tuple[str, str]], base: str, to_what: str) -> str:
    return table(
        ("supervisor", "µs per call", "spread", to_what),
        (
            (label, *microseconds(results.summary(name)), times(results.ratio(name, base)))
            for label, name in rows
        ),
    )


def grid(results: Results) -> str:
    ratios = grid_ratios(results)
    rows = []
    for processes in TARGETS:
        for workers in WORKERS:
            best = results.best(naive(processes, workers))
            ours, spread = microseconds(results.summary(f"grid/unotify/{processes}x{workers}"))
            theirs, _ = microseconds(results.summary(best) if best else None)
            name = best.split("/")[1].replace("-", ", wake-up ") if best else ""
            if workers == 1:
                name = name.replace("herd", "the plain loop")
            rows.append((str(processes), str(workers), ours, spread, theirs, name,
                         times(ratios[processes, workers])))  # fmt: skip
    head = ("targets", "workers", "libunotify, µs per call", "spread", "best loop by hand", "which", "ratio")
    return table(head, rows)


def sleeping(results: Results) -> str:
    one = "sleep/unotify/1"
    rows = (
        ("libunotify, one worker", one),
        ("libunotify, max_workers 8", "sleep/unotify/8"),
        ("libunotify, max_workers 8, handler flagged blocking", "sleep/unotify/8-flagged"),
        ("mutex loop by hand, 8 workers", "sleep/naive/8"),
    )
    return table(
        ("supervisor", "µs per call", "spread", "throughput to one worker"),
        (
            (label, *microseconds(results.summary(name)), times(results.ratio(one, name)))
            for label, name in rows
        ),
    )


def containers(results: Results) -> str:
    rows = []
    for runtime in RUNTIMES:
        notified, plain = (f"container/{runtime}/{how}" for how in ("notified", "plain"))
        for label, name in ((f"{runtime}, answered by an agent", notified), (f"{runtime}, allowed", plain)):
            summary = results.summary(name)
            rows.append((
                label,
                f"{summary.median / 1e6:.1f}" if summary else "not measured",
                f"{summary.low / 1e6:.1f} to {summary.high / 1e6:.1f}" if summary else "",
                times(results.ratio(name, plain)),
            ))  # fmt: skip
    return table(("container", "ms", "spread", "to the allowed one"), rows)


def real_work(results: Results) -> str:
    rows = []
    for name in WORK:
        for how, label in SUPERVISORS:
            case = f"work/{name}/{how}"
            if case not in results.samples:
                continue
            counted = f"{case}-count" if how in ("trace", "strace") else case
            summary = results.summary(case, "seconds")
            calls = results.median(counted, "calls")
            rows.append((
                name,
                label,
                f"{summary.median * 1e3:.1f}" if summary else "not measured",
                f"{summary.low * 1e3:.1f} to {summary.high * 1e3:.1f}" if summary else "",
                times(results.ratio(case, f"work/{name}/unsupervised", "seconds")),
                times(results.ratio(case, f"work/{name}/unsupervised", "processor_seconds")),
                "" if calls is None else f"{calls:.0f}",
            ))  # fmt: skip
    head = ("program", "supervisor", "ms", "spread", "slowdown", "processor time", "openat calls seen")
    return table(head, rows)


def markdown(results: Results, programs: Programs, plan: Plan) -> str:
    few, many = IDLE
    idle = [
        (f"{who}, {count} idle", f"idle/{kind}/{count}")
        for who, kind in (("libunotify", "unotify"), ("epoll loop by hand, sync wake-up", "naive"))
        for count in (few, many)
    ]
    agents = [(f"{count} containers", f"agent/{count}") for count in CONTAINERS]
    parts = [
        INTRODUCTION,
        "## What it must reach\n",
        requirements(all_verdicts(results)),
        "## One target\n",
        against_baseline(results, CALLS),
        IN_PLACE,
        "## Targets and workers\n",
        LOOPS,
        grid(results),
        f"## Handlers that sleep {SLEEP_US / 1000:g} ms, 8 targets\n",
        sleeping(results),
        "## One busy listener beside idle ones\n",
        against_baseline(results, idle),
        "## An agent's containers\n",
        AGENT,
        compared(results, agents, agents[0][1], f"to {CONTAINERS[0]}"),
        CONTAINER,
        containers(results),
        "## Reading a string\n",
        READING,
        compared(results, READ, "read/bare", "to the bare calls"),
        "## Opening for a target\n",
        OPENING,
        compared(results, OPEN, "open/unsupervised", "to the unsupervised call"),
        "## Starting a program\n",
        STARTING,
        compared(results, START, "start/fork/0", "to that by hand"),
        compared(results, START_LARGE, f"start/posix_spawn/{LARGE_MIB}", "to posix_spawn"),
        "## Real work\n",
        REAL_WORK.format(programs="\n".join(f"- {name}: {work.what}" for name, work in WORK.items())),
        real_work(results),
        "## Where the figures are from\n",
        "\n".join(f"- {fact}" for fact in [*machine(), how_much(plan)]),
    ]
    failures = [f"- {name}: {why}" for name, why in results.failures.items()]
    failures += [f"- {name}: not built" for name in programs.missing]
    if failures:
        parts += ["\n## What could not be measured\n", "\n".join(failures)]
    return "\n".join(parts).rstrip() + "\n"
