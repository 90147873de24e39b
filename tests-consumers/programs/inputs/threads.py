"""200 threads that make files and FIFOs, connect and ask who they are: PORT."""

import os
import socket
import sys
import threading

begin = threading.Barrier(200)
wrong: list[str] = []


def work(number: int) -> None:
    begin.wait()
    for turn in range(2):
        name = f"{number}-{turn}"
        with open(name, "w", encoding="ascii") as file:
            file.write(name)
        with open(name, encoding="ascii") as file:
            if file.read() != name:
                wrong.append(f"{name}: another file")
        os.mkfifo(f"{name}-fifo")
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
            if connection.getpeername()[1] != int(sys.argv[1]):
                wrong.append(f"{name}: another server")
        if os.getuid() != os.geteuid():
            wrong.append(f"{name}: another user")


threads = [threading.Thread(target=work, args=(number,)) for number in range(200)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(threads), "threads", *wrong)
