"""Agents: what a container's runtime sends, taken from a socket."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Callable

import pytest
from conftest import SLOWNESS, target, until

import unotify
from unotify import Agent

Start = Callable[..., unotify.Child]
LIMIT = 20 * SLOWNESS

STATE = {
    "ociVersion": "1.0.2",
    "fds": ["null", "seccompFd"],
    "pid": 12,
    "metadata": "meta",
    "state": {
        "ociVersion": "1.0.2",
        "id": "box",
        "status": "running",
        "pid": 11,
        "bundle": "/bundle",
        "annotations": {"one": "1", "two": "2"},
    },
}


def start_container(path: Path, child: unotify.Child) -> socket.socket:
    """Does what a runtime does, with a program's listener."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    null = os.open(os.devnull, os.O_RDONLY)
    socket.send_fds(connection, [json.dumps(STATE).encode()], [null, child.listener.fileno()])
    os.close(null)
    child.listener.close()
    return connection


def asking(supervise: Start) -> unotify.Child:
    return supervise(target("import sys; sys.exit(call('getppid')[0])", "getppid"), "getppid")


def test_a_container_is_what_its_runtime_says(supervise: Start, tmp_path: Path) -> None:
    child = asking(supervise)
    with Agent(tmp_path / "socket") as agent, start_container(tmp_path / "socket", child):
        assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o600
        container = agent.accept(LIMIT)
    assert (container.id, container.bundle, container.status) == ("box", "/bundle", "running")
    assert (container.metadata, container.version) == ("meta", "1.0.2")
    assert container.annotations == {"one": "1", "two": "2"}
    assert (container.pid, container.init_pid, container.was_handed_over) == (12, 11, False)
    assert container.fd("null") is not None and container.fd("other") is None and "box" in repr(container)
    with container.listener as listener:
        for call in listener:
            call.reply(7)
    assert child.wait() == 7 and not (tmp_path / "socket").exists()
    container.close()
    with pytest.raises(ValueError, match="the container is closed"):
        container.fd("null")


def test_who_is_refused_is_logged_and_delays_nobody(supervise: Start, tmp_path: Path) -> None:
    said: list[str] = []
    with Agent(tmp_path / "socket", log=said.append) as agent:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "socket"))
            connection.sendall(b"no state")
        with pytest.raises(unotify.Timeout):
            agent.accept(0.2)
        with start_container(tmp_path / "socket", asking(supervise)):
            agent.accept(LIMIT).close()
    assert len(said) == 1 and said[0]


def test_wrong_places_and_options(tmp_path: Path) -> None:
    with Agent(tmp_path / "socket"), pytest.raises(unotify.Busy):
        Agent(tmp_path / "socket")
    with pytest.raises(FileNotFoundError):
        Agent(tmp_path / "none" / "socket")
    with pytest.raises(ValueError, match="nobody"):
        Agent(tmp_path / "socket", users=[])
    with pytest.raises(unotify.InvalidArgument):
        Agent(tmp_path / "socket", max_fds=1000)


def test_an_interruption_ends_one_wait(tmp_path: Path) -> None:
    with Agent(tmp_path / "socket", users=[os.getuid()]) as agent:
        threading.Timer(0.05, agent.interrupt).start()
        assert list(agent) == []
        agent.interrupt()
        with pytest.raises(unotify.Stopped):
            agent.accept()
        with pytest.raises(unotify.Timeout):
            agent.accept(0)
    with pytest.raises(ValueError, match="the agent is closed"):
        agent.accept()


def test_a_socket_from_elsewhere(supervise: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        with Agent.from_socket(listening) as agent, start_container(tmp_path / "socket", asking(supervise)):
            agent.accept(LIMIT).close()
        with pytest.raises(unotify.InvalidArgument):
            Agent.from_socket()


def test_containers_are_served(supervise: Start, tmp_path: Path) -> None:
    children = [asking(supervise) for _ in range(4)]
    left: list[object] = []
    with unotify.Supervisor(keep_running=True) as supervisor, Agent(tmp_path / "socket") as agent:
        values = iter([1, 2, None, 4])
        supervisor.on("getppid")(lambda call: call.listener_data)
        supervisor.on_close(left.append)
        thread = threading.Thread(target=agent.serve, args=(supervisor, lambda container: next(values)))
        thread.start()
        connections = [start_container(tmp_path / "socket", child) for child in children]
        codes = sorted(child.wait() for child in children)
        until(lambda: len(left) == 3)
        agent.interrupt()
        thread.join()
        for connection in connections:
            connection.close()
    # One was not wanted, and its call has failed.
    assert codes == [1, 2, 4, 255] and sorted(left) == [1, 2, 4]  # type: ignore[type-var]


def test_a_handler_that_fails_ends_the_service(supervise: Start, tmp_path: Path) -> None:
    with unotify.Supervisor(keep_running=True) as supervisor, Agent(tmp_path / "socket") as agent:
        supervisor.on("getppid")(lambda call: int(call.name))
        with (
            start_container(tmp_path / "socket", asking(supervise)),
            pytest.raises(ValueError, match="getppid"),
        ):
            agent.serve(supervisor)
    with (
        unotify.Supervisor() as ends,
        Agent(tmp_path / "socket") as agent,
        pytest.raises(ValueError, match="keep_running"),
    ):
        agent.serve(ends)


def test_another_agent_takes_over(supervise: Start, tmp_path: Path) -> None:
    child = supervise(
        target("import time, sys; time.sleep(0.5); sys.exit(call('getppid')[0])", "getppid"), "getppid"
    )
    here, there = socket.socketpair()
    with (
        here,
        there,
        unotify.Supervisor(keep_running=True) as supervisor,
        Agent(tmp_path / "socket") as agent,
    ):
        with start_container(tmp_path / "socket", child):
            supervisor.add_listener(agent.accept(LIMIT).listener, "box")
        thread = threading.Thread(target=agent.hand_over, args=(here, supervisor))
        thread.start()
        heir = Agent.take_over(there)
        thread.join()
        with pytest.raises(unotify.Closed):
            agent.accept()
    container = heir.accept(LIMIT)
    assert container.id == "box" and container.was_handed_over
    for call in container.listener:
        call.reply(9)
    assert child.wait() == 9
    container.listener.close()
    container.close()
    heir.close()


def test_a_listener_that_is_put_back_comes_again(supervise: Start, tmp_path: Path) -> None:
    child = asking(supervise)
    with Agent(tmp_path / "socket") as agent, start_container(tmp_path / "socket", child):
        first = agent.accept(LIMIT)
        listener = first.listener
        agent.put_back(listener)
        with pytest.raises(ValueError):
            listener.fileno()
        first.close()
        again = agent.accept(LIMIT)
        assert again.id == "box"
        for call in again.listener:
            call.reply(9)
        assert child.wait() == 9
        again.listener.close()
        again.close()
        own = asking(supervise).listener
        with pytest.raises(unotify.InvalidArgument):
            agent.put_back(own)
        assert own.fileno() >= 0
