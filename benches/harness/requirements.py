"""What libunotify must reach, and whether this run shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import ge

from harness.cases import (
    BROKERED,
    BUSY,
    BUSY_CONTAINERS,
    CONTAINERS,
    IDLE,
    LARGE_MIB,
    PEERS,
    TARGETS,
    WORKERS,
    naive_settings,
)
from harness.measure import Results
from harness.work import WORK

KIB = 1024


@dataclass(frozen=True)
class Verdict:
    """One requirement, what was measured, and whether that is enough (None: not measured)."""

    what: str
    must: str
    measured: str
    met: bool | None


def judge(
    what: str,
    must: str,
    value: float | None,
    met: Callable[[float], bool],
    show: str = "{:.2f}x",
) -> Verdict:
    if value is None:
        return Verdict(what, must, "not measured", None)
    return Verdict(what, must, show.format(value), met(value))


def at_most(what: str, limit: float, value: float | None) -> Verdict:
    digits = 3 if limit < 1.1 else 2  # where hundredths are the difference
    show = f"{{:.{digits}f}}x"
    return judge(what, f"at most {show.format(limit)}", value, lambda ratio: ratio <= limit, show)


def at_least(what: str, limit: float, value: float | None) -> Verdict:
    return judge(what, f"at least {limit:g}x", value, lambda ratio: ratio >= limit)


def all_verdicts(results: Results) -> list[Verdict]:
    few, many = IDLE
    verdicts = [
        at_most("one target, C handler, supervisor : baseline loop", 1.03,
                results.ratio("supervisor/1", "loop/on")),
        at_most("one target, plain receive and reply : baseline loop", 1.015,
                results.ratio("receive", "loop/on")),
        at_most("one target, reply_receive : baseline loop", 1.015,
                results.ratio("reply-receive", "loop/on")),
        at_most("Go, ReceiveInto and reply : baseline loop", 1.25, results.ratio("go/receive", "loop/on")),
        at_most("Go, supervisor with a handler : baseline loop", 1.30, results.ratio("go/supervise", "loop/on")),
        at_most("Go without cgo, ReceiveInto and reply : baseline loop", 1.20, results.ratio("go/notify", "loop/on")),
        at_most("Python, for loop and reply : baseline loop", 1.60, results.ratio("python/receive", "loop/on")),
        at_most("Python, supervisor with a handler : baseline loop", 1.50, results.ratio("python/supervise", "loop/on")),
        at_most("Python, async for and reply : baseline loop", 2.00, results.ratio("python/aio-receive", "loop/on")),
        at_most("Python, supervisor in asyncio : baseline loop", 2.00, results.ratio("python/aio-serve", "loop/on")),
        *(
            judge(f"instructions outside of the kernel for a notification, {what}", f"at most {limit}",
                  results.median(f"instructions/{case}", "instructions"), partial(ge, limit), "{:.0f}")
            for what, case, limit in (("receive and reply", "receive", 145),
                                      ("reply_receive", "reply-receive", 160),
                                      ("supervisor with a C handler", "supervisor", 290))
        ),
        *(
            at_least(f"faster than {peer}, both as they come", 5,
                     results.ratio(f"peer/{peer}", "supervisor/1"))
            for peer in PEERS
        ),
        at_most("one target, 16 workers : one worker", 1.04,
                results.ratio("supervisor/16", "supervisor/1")),
        at_least("8 targets, handler sleeps 1 ms and is flagged blocking, 8 workers : one", 7.5,
                 results.ratio("sleep/unotify/1", "sleep/unotify/8-flagged")),
        at_least("8 targets, handler sleeps 1 ms and is not flagged, 8 workers : one", 7.5,
                 results.ratio("sleep/unotify/1", "sleep/unotify/8")),
        grid(results),
        at_most(f"{many} idle listeners beside the busy one : baseline loop", 1.25,
                results.ratio(f"idle/unotify/{many}", "loop/on")),
        at_most(f"{many} idle listeners : {few} idle listeners", 1.05,
                results.ratio(f"idle/unotify/{many}", f"idle/unotify/{few}")),
        at_most(f"{many} idle listeners : epoll by hand", 0.92,
                results.ratio(f"idle/unotify/{many}", f"idle/naive/{many}")),
        at_most("{} of {} listeners busy, processor time : epoll by hand".format(*BUSY), 1.10,
                results.ratio("busy/unotify", "busy/naive", "cpu_ns_per_call")),
        judge("how evenly they are served (Jain's index)", "at least 0.95",
              results.median("busy/unotify", "jain"), lambda index: index >= 0.95, "{:.3f}"),
        judge("memory of an idle listener", "under 4 KiB", each_bytes(results, "idle/unotify", IDLE),
              lambda size: size < 4 * KIB, "{:.0f} bytes"),
        at_most("an agent with {1} containers : with {0}".format(*CONTAINERS), 1.05,
                results.ratio(f"agent/{CONTAINERS[1]}", f"agent/{CONTAINERS[0]}")),
        judge("memory of an idle container", "under 8 KiB", each_bytes(results, "agent", CONTAINERS),
              lambda size: size < 8 * KIB, "{:.0f} bytes"),
        judge("how evenly {} busy containers of {} are served (Jain's index)".format(*BUSY_CONTAINERS),
              "at least 0.9", results.median("agent/busy", "jain"), lambda index: index >= 0.9, "{:.3f}"),
        at_most("a path of 40 bytes read from a target : its two bare system calls", 1.20,
                results.ratio("read/unotify", "read/bare")),
        at_least("a path of 40 bytes read faster than by opening /proc/PID/mem", 3,
                 results.ratio("read/mem", "read/unotify")),
        at_most("a program started, to its first notification : fork, seccomp and exec by hand", 1.05,
                results.ratio("start/unotify/0", "start/fork/0")),
        at_most(f"the same from a process with {LARGE_MIB} MiB of touched memory : posix_spawn", 1.5,
                results.ratio(f"start/unotify/{LARGE_MIB}", f"start/posix_spawn/{LARGE_MIB}")),
        judge("a supervisor made", "at most 20 us", results.median("make-supervisor"),
              lambda ns: ns <= 20_000, "{:.0f} ns"),
        *(
            at_most(f"{what} : raw calls that do the same", limit,
                    results.median(f"brokered/{kind}", "ratio"))
            for kind, (what, limit) in BROKERED.items() if limit
        ),
        at_most("find over /usr under the example open-broker, processor time : unsupervised", 2.00,
                results.ratio("work/find/broker", "work/find/unsupervised", "processor_seconds")),
        *(same_calls(results, name) for name in WORK),
        *(
            judge(f"heap allocations per notification, {name}", "0",
                  allocations(results, case), lambda number: number == 0, "{:g}")
            for name, case in (("receive and reply", "receive"), ("supervisor", "supervisor/1"))
        ),
    ]  # fmt: skip
    return verdicts


def naive(processes: int, workers: int) -> list[str]:
    """The hand-written loops at a point of the grid."""
    return [f"grid/{k}-{w}/{processes}x{workers}" for k, w in naive_settings(workers)]


def grid_ratios(results: Results) -> dict[tuple[int, int], float | None]:
    """At each point of the grid, libunotify's time by the best hand-written loop's."""
    return {
        (processes, workers): results.ratio_to_best(
            f"grid/unotify/{processes}x{workers}", naive(processes, workers)
        )
        for processes in TARGETS
        for workers in WORKERS
    }


def grid(results: Results) -> Verdict:
    what = "grid of targets and workers : best hand-written loop at each point"
    must = "at most 1.10x at each"
    ratios = grid_ratios(results)
    known = {point: ratio for point, ratio in ratios.items() if ratio is not None}
    if len(known) < len(ratios):
        return Verdict(what, must, "not measured", None)
    (processes, workers), worst = max(known.items(), key=lambda item: item[1])
    within = sum(ratio <= 1.10 for ratio in known.values())
    measured = f"{within} of {len(known)} points; worst {worst:.2f}x ({processes} targets, {workers} workers)"
    return Verdict(what, must, measured, within == len(known))


def each_bytes(results: Results, case: str, numbers: tuple[int, int]) -> float | None:
    """Peak resident memory with many idle ones less that with few, for each one more."""
    few, many = numbers
    less = results.median(f"{case}/{few}", "peak_rss_kib")
    more = results.median(f"{case}/{many}", "peak_rss_kib")
    return None if less is None or more is None else (more - less) * KIB / (many - few)


def same_calls(results: Results, name: str) -> Verdict:
    ours = results.median(f"work/{name}/unotify", "calls")
    theirs = results.median(f"work/{name}/strace-count", "calls")
    what, must = f"openat calls of {name} counted as strace does", "the same"
    if ours is None or theirs is None:
        return Verdict(what, must, "not measured", None)
    return Verdict(what, must, f"{ours:.0f} and {theirs:.0f}", ours == theirs)


def allocations(results: Results, case: str) -> float | None:
    """The most of any round: not one allocation is allowed."""
    rounds = results.samples.get(case, {}).values()
    known = [s["allocations"] / s["notifications"] for s in rounds if "allocations" in s]
    return max(known, default=None)
