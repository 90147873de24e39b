"""How long a real runtime takes from its start to a container's first answer, or to the same point without one.

    container.py RUNTIME notified|plain STARTS AGENT

The container is a shell of busybox's that calls getppid and then writes a line; the time is from the start
of the runtime to that line.  The profile notifies getppid of AGENT, which answers it, or only allows it.  Needs
root, a mount namespace of its own, and the hierarchy of control groups mounted there.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Which would take systemd, or rights over the groups.
OPTIONS = {"crun": ["--cgroup-manager=disabled"]}
READY_LIMIT_S = 10


def config(root: Path, agent: Path, notified: bool) -> dict[str, object]:
    rule = {"names": ["getppid"], "action": "SCMP_ACT_NOTIFY" if notified else "SCMP_ACT_ALLOW"}
    # Without the rule's action being the default's: a filter there is in both.
    rules = [rule, {"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]
    seccomp: dict[str, object] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    if notified:
        seccomp["listenerPath"] = str(agent)
    kinds = ("pid", "ipc", "uts", "mount")
    few = ["CAP_KILL"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh", "-c", "echo answered"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": few, "effective": few, "permitted": few},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=1m"]},
        ],
        "linux": {
            "cgroupsPath": f"/{root.parent.name}",
            "namespaces": [{"type": kind} for kind in kinds],
            "seccomp": seccomp,
        },
    }


def start(command: list[str]) -> float:
    """Starts a container; how many nanoseconds it was to its line."""
    begun = time.monotonic_ns()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as runtime:
        assert runtime.stdout and runtime.stderr
        line = runtime.stdout.readline()
        took = time.monotonic_ns() - begun
        if line != b"answered\n":
            raise SystemExit(f"{command[0]}: {(line + runtime.stderr.read()).decode()}")
    return took


def main() -> None:
    runtime, how, starts, program = sys.argv[1:]
    notified = how == "notified"
    with tempfile.TemporaryDirectory(prefix="unotify-bench-") as scratch:
        place = Path(scratch)
        socket, root = place / "agent.sock", place / "root"
        for name in ("bin", "proc", "dev"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin" / "busybox")
        (root / "bin" / "sh").symlink_to("busybox")
        (place / "config.json").write_text(json.dumps(config(root, socket, notified)))
        run = [runtime, *OPTIONS.get(runtime, []), "--root", str(place / "notes"), "run", "--bundle", scratch]
        agent = subprocess.Popen([program, "-s", str(socket)], stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + READY_LIMIT_S
            while not socket.exists() and agent.poll() is None and time.monotonic() < end:
                time.sleep(0.001)
            # The first finds nothing in the caches.
            took = [start([*run, f"box-{number}"]) for number in range(int(starts) + 1)][1:]
        finally:
            agent.terminate()
            agent.wait()
    print(f"ns_per_call {statistics.median(took):.0f}")


if __name__ == "__main__":
    main()
