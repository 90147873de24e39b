"""In an event loop of asyncio."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable

import pytest
from conftest import SLOWNESS, open_descriptors, target

import unotify
from unotify import aio

Start = Callable[..., unotify.Child]


def both(test: Any) -> Any:
    return pytest.mark.parametrize("may_hold", [True, False])(test)


@both
def test_a_loop_ends_with_the_last_target(supervise: Start, may_hold: bool) -> None:
    child = supervise(
        target("[call('getppid', i) for i in range(100)]; import sys; sys.exit(7)", "getppid"), "getppid"
    )

    async def main() -> list[int]:
        seen = []
        async for call in aio.listener(child.listener, may_hold=may_hold):
            call.reply(1)
            seen.append(call.args[0])
        return seen

    assert asyncio.run(main()) == list(range(100))
    assert child.wait() == 7


@both
def test_others_have_their_turn(supervise: Start, may_hold: bool) -> None:
    child = supervise(target("while True: call('getppid')", "getppid"), "getppid")

    async def main() -> tuple[int, float]:
        calls, longest = 0, 0.0

        async def serve() -> None:
            nonlocal calls
            async for call in aio.listener(child.listener, may_hold=may_hold):
                call.reply(1)
                calls += 1

        task = asyncio.create_task(serve())
        end = time.monotonic() + 0.5
        last = time.monotonic()
        while last < end:
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return calls, longest

    calls, longest = asyncio.run(main())
    assert calls > 100 and longest < 0.1 * SLOWNESS


def test_several_listeners_in_one_loop(supervise: Start) -> None:
    children = [
        supervise(target("import sys; sys.exit(call('getppid')[0])", "getppid"), "getppid") for _ in range(5)
    ]

    async def serve(child: unotify.Child, value: int) -> int:
        async for call in aio.listener(child.listener):
            await asyncio.sleep(0.01)
            call.reply(value)
        return await aio.wait(child)

    async def main() -> list[int]:
        return list(await asyncio.gather(*(serve(child, n) for n, child in enumerate(children))))

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_a_time_limit_and_a_second_try(supervise: Start) -> None:
    child = supervise(target("import time; time.sleep(0.3); call('getppid')", "getppid"), "getppid")

    async def main() -> int:
        calls = aio.listener(child.listener).__aiter__()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(calls.__anext__(), 0.05)
        seen = 0
        async for call in aio.listener(child.listener):
            call.reply(1)
            seen += 1
        return seen

    before = open_descriptors()
    assert asyncio.run(main()) == 1
    assert len(open_descriptors()) <= len(before) + 1  # the listener


def test_an_interrupted_listener_ends_the_loop(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "acct")
    child.listener.interrupt()

    async def main() -> list[unotify.Notification]:
        return [call async for call in aio.listener(child.listener)]

    assert asyncio.run(main()) == []


@both
def test_a_supervisor_is_served(supervise: Start, may_hold: bool) -> None:
    child = supervise(target("[call('getppid', i) for i in range(100)]", "getppid"), "getppid")

    async def main() -> tuple[bool, int]:
        with unotify.Supervisor() as supervisor:
            supervisor.on("getppid")(lambda call: 1)
            supervisor.add_listener(child.listener)
            return await aio.serve(supervisor, may_hold=may_hold), supervisor.stats().values

    assert asyncio.run(main()) == (True, 100)


def test_a_supervisor_without_a_listener_is_over_at_once() -> None:
    async def main() -> bool:
        with unotify.Supervisor() as supervisor:
            return await aio.serve(supervisor)

    assert asyncio.run(main()) is True


def test_what_a_handler_has_raised_comes_out(supervise: Start) -> None:
    child = supervise(target("call('getppid')", "getppid"), "getppid")

    class Wrong(Exception):
        pass

    def handler(call: unotify.Notification) -> int:
        raise Wrong

    async def main() -> None:
        with unotify.Supervisor() as supervisor:
            supervisor.on("getppid")(handler)
            supervisor.add_listener(child.listener)
            with pytest.raises(Wrong):
                await aio.serve(supervisor)

    asyncio.run(main())


def test_a_stop_and_a_cancellation(supervise: Start) -> None:
    child = supervise(["sleep", "60"], "acct")

    async def main() -> None:
        with unotify.Supervisor() as supervisor:
            supervisor.add_listener(child.listener)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(aio.serve(supervisor), 0.05)
            asyncio.get_running_loop().call_later(0.05, supervisor.stop)
            assert await aio.serve(supervisor) is False

    asyncio.run(main())


def test_deferred_to_a_task(supervise: Start) -> None:
    child = supervise(target("import sys; sys.exit(call('getppid')[0])", "getppid"), "getppid")

    async def main() -> int:
        tasks = []

        async def answer(call: unotify.Notification) -> None:
            await asyncio.sleep(0.02)
            call.reply(23)

        with unotify.Supervisor() as supervisor:

            @supervisor.on("getppid")
            def handler(call: unotify.Notification) -> unotify.Verdict:
                tasks.append(asyncio.get_running_loop().create_task(answer(call)))
                return unotify.DEFERRED

            supervisor.add_listener(child.listener)
            await aio.serve(supervisor)
        return await aio.wait(child)

    assert asyncio.run(main()) == 23
