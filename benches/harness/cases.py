"""Every measurement there is: its name, what it runs, and how often."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import work
from harness.build import RUNTIMES, WITH_CGROUPS, Programs

TARGETS = (1, 2, 4, 16)
WORKERS = (1, 2, 4)
KINDS = ("herd", "mutex", "epoll")
WAKE_UPS = ("on", "off")
IDLE = (2, 1000)
BUSY = (200, 1000)
CONTAINERS = (10, 1000)
BUSY_CONTAINERS = (200, 1000)
HAND_OVER_MS = 300  # what a runtime and an agent may take for a thousand
CONTAINER_STARTS = 3  # of a container, in one run
PEERS = ("libseccomp", "libseccomp-crate", "libseccomp-golang", "greenhook", "strace")
SLEEP_US = 1000
READS = ("unotify", "bare", "mem")
LARGE_MIB = 512
# Who starts a program, from a process of how many MiB.
STARTS = (("unotify", 0), ("fork", 0), ("unotify", LARGE_MIB), ("posix_spawn", LARGE_MIB))
# What benches/brokered.c does, and how much longer than raw calls it may take, if there is a limit.
BROKERED = {
    "absolute": ("open an absolute path, decide, open for good, hand over", 1.15),
    "relative": ("the same for a path below the working directory", 1.20),
    "path": ("read a path and continue", 1.05),
    "within": ("open within an allowed directory and hand over", None),
    "same-paths": ("the same for targets that see the same paths", 1.15),
}


@dataclass(frozen=True)
class Case:
    """One measurement. `program` is what it needs built; it joins every `every`-th round."""

    name: str
    program: str
    argv: tuple[str, ...]
    every: int = 1
    count: Callable[[], float] | None = None  # how many calls were seen, if the run left that behind


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure."""

    rounds: int
    seldom: int  # the sleeping handlers and the real work take part in every `seldom`-th round
    milliseconds: int
    grid: int  # the grid takes part in every `grid`-th round: the best of many loops is to be no luck
    grid_milliseconds: int  # longer: what libunotify chooses, it chooses by measuring
    grid_warm_up: int  # calls, of all targets together, before the measurement


FULL = Plan(rounds=21, seldom=3, milliseconds=300, grid=2, grid_milliseconds=500, grid_warm_up=20_000)
QUICK = Plan(rounds=3, seldom=3, milliseconds=100, grid=3, grid_milliseconds=100, grid_warm_up=4_000)


def naive_settings(workers: int) -> list[tuple[str, str]]:
    """The (kind, wake-up) of the hand-written loops with that many workers."""
    kinds = KINDS if workers > 1 else ("herd", "epoll")
    return [(kind, wake_up) for kind in kinds for wake_up in WAKE_UPS]


def all_cases(programs: Programs, plan: Plan, scratch: Path) -> list[Case]:
    """The cases whose programs could be built, in the order of a round."""
    cases: list[Case] = []
    path = programs.path

    def target(processes: int = 1, slow: bool = False) -> list[str]:
        warm_up = 1 if slow else 1000
        batch = 1 if slow else 16
        options = f"-n {processes} -t {plan.milliseconds} -w {warm_up} -b {batch}"
        return [path["target"], *options.split()]

    def supervised(
        name: str, program: str, options: str, command: list[str], idle: int = 0, every: int = 1
    ) -> None:
        if program in path:
            argv = [path["launch"], "-i", str(idle), path[program], *options.split(), "--", *command]
            cases.append(Case(name, program, tuple(argv), every))

    def wrapped(name: str, program: str, options: list[str], every: int = 1) -> None:
        if program in path:
            cases.append(Case(name, program, (path[program], *options), every))

    wrapped("unsupervised", "target", target()[1:])
    for wake_up in WAKE_UPS:
        supervised(f"loop/{wake_up}", "baseline", f"herd -s {int(wake_up == 'on')}", target())
    supervised("loop/in-place", "baseline", "herd -s 1 -i", target())
    supervised("receive", "receive", "", target())
    supervised("reply-receive", "receive", "-r", target())
    for workers in (1, 4, 8, 16):
        supervised(f"supervisor/{workers}", "supervise", f"-w {workers}", target())

    for how in ("receive", "supervise"):
        supervised(f"go/{how}", "go", how, target())
    supervised("go/notify", "go-notify", "", target())

    for how in ("receive", "supervise", "ioctl"):
        supervised(f"python/{how}", f"python-{how}", "", target())
    for how in ("receive", "serve"):
        supervised(f"python/aio-{how}", "python-aio", how, target())
    for module in ("seccomp", "pyseccomp"):
        wrapped(f"peer/{module}", module, target())

    for peer in ("libseccomp", "libseccomp-crate", "libseccomp-golang"):
        supervised(f"peer/{peer}", peer, "", target())
    wrapped("peer/greenhook", "greenhook", target())
    strace = ["-f", "--seccomp-bpf", "-o", "/dev/null", "-e"]
    wrapped("peer/strace", "strace", [*strace, "trace=getppid", *target()])

    for idle in IDLE:
        for name, program, options in (
            (f"idle/naive/{idle}", "baseline", f"epoll -s 1 -k {idle + 1}"),
            (f"idle/unotify/{idle}", "supervise", f"-k {idle + 1}"),
        ):
            supervised(name, program, options, target(), idle)

    # Of so many listeners, so many are busy. What counts is the supervisor's processor time.
    few, many = BUSY
    loops = (("naive", "baseline", f"epoll -s 1 -k {many + 1}"), ("unotify", "supervise", f"-k {many + 1}"))
    for name, program, options in loops:
        if program in path:
            own = [path["launch"], "-u", "-i", str(many), "-b", str(few), path[program], *options.split()]
            argv = (*own, "--", "sleep", str(plan.milliseconds / 1000))
            cases.append(Case(f"busy/{name}", program, argv))

    # The same through an agent, which a runtime hands each listener as a container's.
    for number in CONTAINERS:
        supervised(f"agent/{number}", "agent", f"-k {number}", target(), number - 1)
    few, many = BUSY_CONTAINERS
    if "agent" in path:
        own = [path["launch"], "-u", "-i", str(many), "-b", str(few), path["agent"], "-k", str(many + 1)]
        argv = (*own, "--", "sleep", str((HAND_OVER_MS + plan.milliseconds) / 1000))
        cases.append(Case("agent/busy", "agent", argv))
        for runtime in RUNTIMES:
            for how in ("notified", "plain") if runtime in path else ():
                argv = (*WITH_CGROUPS, path[runtime], how, str(CONTAINER_STARTS), path["agent"])
                cases.append(Case(f"container/{runtime}/{how}", runtime, argv))

    # Counted in a copy of the run that is stopped all the time, so that its time means nothing.
    if "instructions" in path:
        for name, program, options in (
            ("loop", "baseline", "herd -s 1"),
            ("receive", "receive", ""),
            ("reply-receive", "receive", "-r"),
            ("supervisor", "supervise", ""),
        ):
            if program in path:
                own = [path["launch"], path[program], *options.split(), "--", path["target"], "-t", "20000"]
                argv = (path["instructions"], "-n", "31", *own)
                cases.append(Case(f"instructions/{name}", program, argv, every=plan.rounds))

    for kind in READS:
        wrapped(f"read/{kind}", "read-string", [kind, "-t", str(plan.milliseconds)])

    for how, mib in STARTS:
        limits = ["-t", str(plan.milliseconds), "-m", str(mib)]
        wrapped(f"start/{how}/{mib}", "start", [how, path["first"], *limits])
    wrapped("make-supervisor", "make-supervisor", ["-t", str(plan.milliseconds)])
    for kind in BROKERED:
        wrapped(f"brokered/{kind}", "brokered", [kind, "-t", str(plan.milliseconds)])

    # The file is the target's program, which is one of those that the broker has to allow anyway.
    opening = [path["open-file"], path["open-file"], "-t", str(plan.milliseconds)]
    allowed = [place for place in ("/usr", "/lib", "/lib64", "/etc/ld.so.cache") if Path(place).exists()]
    wrapped("open/unsupervised", "open-file", opening[1:])
    wrapped("open/continue", "continue-openat", [str(scratch / "opened"), *opening])
    wrapped("open/broker", "open-broker", [path["open-file"], *allowed, "--", *opening])

    seldom = plan.seldom
    sleep = f"-z {SLEEP_US}"
    for name, program, options in (
        ("sleep/naive/8", "baseline", f"mutex -s 1 -w 8 {sleep}"),
        ("sleep/unotify/1", "supervise", sleep),
        ("sleep/unotify/8", "supervise", f"-w 8 {sleep}"),
        ("sleep/unotify/8-flagged", "supervise", f"-w 8 -b {sleep}"),
    ):
        supervised(name, program, options, target(8, slow=True), every=seldom)

    for processes in TARGETS:
        for workers in WORKERS:
            point = f"{processes}x{workers}"
            warm_up = plan.grid_warm_up // processes
            options = f"-n {processes} -t {plan.grid_milliseconds} -w {warm_up}"
            command = [path["target"], *options.split()]
            supervised(f"grid/unotify/{point}", "supervise", f"-w {workers}", command,
                       every=plan.grid)  # fmt: skip
            for kind, wake_up in naive_settings(workers):
                options = f"{kind} -s {int(wake_up == 'on')} -w {workers}"
                supervised(f"grid/{kind}-{wake_up}/{point}", "baseline", options, command, every=plan.grid)

    for run in work.runs(programs, scratch):
        cases.append(Case(run.name, run.program, run.argv, plan.rounds if run.once else seldom, run.count))
    return cases
