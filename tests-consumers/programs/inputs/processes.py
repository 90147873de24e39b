"""Pools of processes, forked and spawned, what they share, and a manager: SOCKET."""

import multiprocessing
import os
import sys
from multiprocessing.managers import SyncManager
from multiprocessing.shared_memory import SharedMemory


def write(number: int) -> int:
    with open(f"by-{number}", "w", encoding="ascii") as file:
        return file.write(str(number) * number)


def main() -> None:
    contexts = (multiprocessing.get_context("fork"), multiprocessing.get_context("spawn"))
    for context in contexts:
        with context.Pool(4) as pool:
            print(context.get_start_method(), pool.map(write, range(20)))
        queue = context.Queue()
        child = context.Process(target=queue.put, args=("through a queue",))
        child.start()
        print(queue.get())
        child.join()
        failing = context.Process(target=os._exit, args=(6,))
        failing.start()
        failing.join()
        print("exit code", failing.exitcode)
    memory = SharedMemory(create=True, size=100)
    again = SharedMemory(memory.name)
    assert memory.buf is not None and again.buf is not None
    memory.buf[:6] = b"shared"
    print(again.buf[:6].tobytes())
    again.close()
    memory.close()
    memory.unlink()
    with SyncManager(address=sys.argv[1]) as manager:
        shared = manager.dict()
        shared["key"] = "value"
        print(dict(shared))


if __name__ == "__main__":
    main()
