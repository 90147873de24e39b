"""Runs the cases round after round, so that what disturbs the machine disturbs them all."""

import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from harness.cases import Case, Plan

RUN_LIMIT_S = 30
COLD_LIMIT_S = 300  # where nothing of a disk is in memory
TRIES = 2  # a case that fails this often is given up
HANGS = 3  # and a program that hangs this often, with all its cases

Sample = dict[str, float]


class Hang(RuntimeError):
    """A run that had to be ended."""


@dataclass(frozen=True)
class Summary:
    """The median of a case's rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


@dataclass
class Results:
    """The samples of each case by round, and what went wrong."""

    samples: dict[str, dict[int, Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def values(self, name: str, key: str) -> list[float]:
        rounds = self.samples.get(name, {})
        return [sample[key] for sample in rounds.values() if key in sample]

    def summary(self, name: str, key: str = "ns_per_call") -> Summary | None:
        values = self.values(name, key)
        if not values:
            return None
        median = statistics.median(values)
        if len(values) < 3:
            return Summary(median, min(values), max(values))
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return Summary(median, low, high)

    def median(self, name: str, key: str = "ns_per_call") -> float | None:
        summary = self.summary(name, key)
        return summary.median if summary else None

    def ratios(self, name: str, base: str, key: str = "ns_per_call") -> dict[int, float]:
        """name/base by round: within one the machine was the same."""
        ours, theirs = self.samples.get(name, {}), self.samples.get(base, {})
        return {
            i: ours[i][key] / theirs[i][key]
            for i in ours.keys() & theirs.keys()
            if key in ours[i] and key in theirs[i]
        }

    def ratio(self, name: str, base: str, key: str = "ns_per_call") -> float | None:
        """The median of the rounds' ratios."""
        return middle(self.ratios(name, base, key).values())

    def best(self, names: Iterable[str], rounds: set[int] | None = None) -> str | None:
        """The one with the least median, in these rounds or in all."""
        medians = {}
        for name in names:
            taken = self.samples.get(name, {})
            counted = taken.keys() if rounds is None else taken.keys() & rounds
            median = middle([taken[i]["ns_per_call"] for i in counted if "ns_per_call" in taken[i]])
            if median is not None:
                medians[name] = median
        return min(medians, key=lambda name: medians[name], default=None)

    def ratio_to_best(self, name: str, others: Collection[str]) -> float | None:
        """The ratio to the best of the others. Which one that is, is asked of the other half of the rounds: of
        several that take about as long the one that looks best was lucky, in those rounds."""
        rounds = sorted(self.samples.get(name, {}))
        halves = rounds[::2], rounds[1::2] or rounds
        ratios = {}
        for half, other in (halves, halves[::-1]):
            if best := self.best(others, set(other)):
                ratios.update({i: ratio for i, ratio in self.ratios(name, best).items() if i in half})
        return middle(ratios.values())


def middle(values: Collection[float]) -> float | None:
    return statistics.median(values) if values else None


def run(argv: tuple[str, ...], limit_s: float = RUN_LIMIT_S) -> str:
    """Runs a program and all it starts, none of which outlives the limit; gives what it prints."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=limit_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Hang(f"not done after {limit_s:g} s") from None
            raise
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}: {errors.strip()[-300:]}")
    return output


def processor_seconds() -> float:
    """What all processes have used that were run here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sample(case: Case) -> Sample:
    start, used = time.monotonic(), processor_seconds()
    output = run(case.argv)
    taken: Sample = {"seconds": time.monotonic() - start, "processor_seconds": processor_seconds() - used}
    if case.count:
        taken["calls"] = case.count()
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        try:
            taken[key] = float(value)
        except ValueError:
            continue
    return taken


def read_files_first(cases: list[Case]) -> None:
    """Runs the programs that read many files once, so that no case's first round waits for a disk."""
    for case in cases:
        if case.name.startswith("work/") and case.name.endswith("/unsupervised"):
            run(case.argv, COLD_LIMIT_S)


def all_rounds(cases: list[Case], plan: Plan, progress: Callable[[str], None]) -> Results:
    results = Results(samples={case.name: {} for case in cases})
    read_files_first(cases)
    failed: Counter[str] = Counter()
    hung: Counter[str] = Counter()
    for i in range(plan.rounds):
        now = [case for case in cases if i % case.every == 0]
        for group in groups(now):
            random.Random(i).shuffle(group)
            for case in group:
                if failed[case.name] >= TRIES or hung[case.program] >= HANGS:
                    results.failures.setdefault(case.name, f"{case.program} was given up")
                    continue
                progress(f"round {i + 1} of {plan.rounds}: {case.name}")
                try:
                    results.samples[case.name][i] = sample(case)
                except (OSError, RuntimeError, ValueError) as error:
                    failed[case.name] += 1
                    hung[case.program] += isinstance(error, Hang)
                    results.failures[case.name] = str(error)
                    print(f"\n{case.name}: {error}", file=sys.stderr)
    return results


def groups(cases: list[Case]) -> list[list[Case]]:
    """Cases that are compared with each other run next to each other: by point of the grid, and by
    the first word of the name otherwise, with the loop, the supervisor and the peers as one; starting
    a program by what it is started from, and a container by its runtime."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        words = case.name.split("/")
        key = words[0]
        if key in ("grid", "start"):
            key = words[2]
        elif key == "container":
            key = words[1]
        elif key not in ("sleep", "work", "agent"):
            key = "calls"
        found.setdefault(key, []).append(case)
    return list(found.values())
