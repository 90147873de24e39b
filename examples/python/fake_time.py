#!/usr/bin/env python3
"""Runs a program that sees another date.

    fake_time.py DATE [--] PROGRAM [ARGUMENT...]

DATE is as in 2038-01-19T03:14:07 (local time, or with an offset such as +00:00), or @SECONDS; time goes
on from there. Only where the program asks the kernel: most C libraries read the clock without a system
call, through the vDSO, a page of code that the kernel puts into each program. No filter sees that, and if
nothing else was seen this says so at the end.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from datetime import datetime

import unotify

# The clocks that tell the date; the others are left to the kernel.
DATES = (time.CLOCK_REALTIME, 5, 11)  # and CLOCK_REALTIME_COARSE, CLOCK_TAI
CALLS = ("clock_gettime", "gettimeofday", "time")
NANOSECONDS = 1_000_000_000


def moment(text: str) -> int:
    """A date in nanoseconds since 1970."""
    if text.startswith("@"):
        return int(text[1:]) * NANOSECONDS
    return int(datetime.fromisoformat(text).timestamp()) * NANOSECONDS


class Clock:
    """Answers the calls that tell the date, with one that is so far away from the real one."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self.answered = 0

    def _now(self) -> tuple[int, int]:
        self.answered += 1
        return divmod(time.time_ns() + self._offset, NANOSECONDS)

    def clock_gettime(self, call: unotify.Notification) -> int | unotify.Verdict:
        if call.int_args[0] not in DATES:
            return unotify.CONTINUE
        call.write(call.args[1], struct.pack("=qq", *self._now()))
        return 0

    def gettimeofday(self, call: unotify.Notification) -> int:
        seconds, nanoseconds = self._now()
        if call.args[0]:
            call.write(call.args[0], struct.pack("=qq", seconds, nanoseconds // 1000))
        if call.args[1]:
            call.write(call.args[1], bytes(8))  # no time zone
        return 0

    def time(self, call: unotify.Notification) -> int:
        seconds, _ = self._now()
        if call.args[0]:
            call.write(call.args[0], struct.pack("=q", seconds))
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a program that sees another date.")
    parser.add_argument("date", metavar="DATE", type=moment, help="such as 2038-01-19T03:14:07, or @SECONDS")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM", help="and its arguments")
    options = parser.parse_args()
    program = options.program[options.program[:1] == ["--"] :]
    if not program:
        parser.error("which program?")

    clock = Clock(options.date - time.time_ns())
    filter, supervisor = unotify.Filter(), unotify.Supervisor()
    for name in CALLS:
        try:
            filter.notify(name)
        except unotify.UnknownSyscall:
            continue  # newer architectures have the first only
        supervisor.on(name)(getattr(clock, name))
    try:
        status = supervisor.stand_in_for(program, filter)
    except unotify.Error as error:
        sys.exit(f"fake_time: {error.strerror}")
    if not clock.answered:
        print(
            f"fake_time: {program[0]} has not asked the kernel for the date: if it knows it, then from the "
            "vDSO, which no filter sees",
            file=sys.stderr,
        )
    unotify.exit_like(status)


if __name__ == "__main__":
    main()
