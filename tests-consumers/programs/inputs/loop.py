"""asyncio: children, connections over IPv4 and IPv6, a server of its own, a time limit: PORT SOCKET."""

import asyncio
import signal
import sys


async def get(port: int, host: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /asyncio HTTP/1.0\r\n\r\n")
    text = await reader.read()
    writer.close()
    return text.splitlines()[-1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    writer.close()


async def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    for host in ("127.0.0.1", "::1", "localhost"):
        print(host, *await asyncio.gather(*(get(port, host) for _ in range(10))))
    children = [
        await asyncio.create_subprocess_exec(
            "sh", "-c", f"echo {i}; exit {i}", stdout=asyncio.subprocess.PIPE
        )
        for i in range(5)
    ]
    for child in children:
        print(await child.communicate(), child.returncode)
    server = await asyncio.start_unix_server(echo, path)
    async with server:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"to myself\n")
        print(await reader.readline())
        writer.close()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    signal.raise_signal(signal.SIGUSR1)
    await told.wait()
    try:
        await asyncio.wait_for(asyncio.sleep(100), 0.05)
    except TimeoutError:
        print("time is up")


asyncio.run(main())
