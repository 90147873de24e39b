"""The package's listener in an event loop of asyncio: `async for`, or a supervisor with `serve`."""

import asyncio
import sys

import unotify
from unotify import aio


async def receive() -> None:
    async for call in aio.listener(unotify.Listener.from_fd(3)):
        call.reply(1)


async def serve() -> None:
    supervisor = unotify.Supervisor()

    @supervisor.on("getppid")
    def handle(call: unotify.Notification) -> int:
        return 1

    supervisor.add_listener(unotify.Listener.from_fd(3))
    await aio.serve(supervisor)


asyncio.run(serve() if sys.argv[1:] == ["serve"] else receive())
