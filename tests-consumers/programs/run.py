#!/usr/bin/env python3
"""Runs real programs alone and under each of the examples, and compares.

Under `open-broker` they run twice: once they may open everything, and once what is in their own directory, and
read the system's.

Usage: run.py [--show] DIRECTORY VENV SHARED [CASE…]. In DIRECTORY are the examples, compiled; VENV is one of
Python's, with pip; in SHARED something may be kept for the next time. A case is named by a part of its name.
With --show also what a program does alone is written.

What a program writes, its exit status and the files it has made must be the same, with their owners and modes;
and nobody may be left over. Where that cannot be, `cases.py` says what must be instead, and why.
"""

import concurrent.futures
import difflib
import fnmatch
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cases import CASES, Case

SLOWNESS = int(os.environ.get("UNOTIFY_TEST_SLOWNESS", "1"))
MOST_LINES = 60
LEFT_OVER_S = 5 * SLOWNESS
WITHIN = "open-broker within"
POLICIES = ("trace", "pretend-root", "open-broker", WITHIN, "connect-guard", "mknod-for-me")
# What a program may read under the policy of directories, as far as it is there.
SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/run",
    "/sys",
    "/var",
)
INPUTS = Path(__file__).resolve().parent / "inputs"


class Answering(http.server.BaseHTTPRequestHandler):
    """Says the same each time."""

    def do_GET(self) -> None:
        self.say(f"you asked for {self.path}\n".encode())

    def do_POST(self) -> None:
        self.say(self.rfile.read(int(self.headers["Content-Length"])))

    def say(self, body: bytes) -> None:
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # A client that goes early.


class ServerV6(Server):
    address_family = socket.AF_INET6


class ServerUnix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@dataclass
class Outcome:
    status: int | None
    """None when its time was up."""
    output: str
    files: dict[str, str]
    left_over: list[str]

    def lines(self) -> list[str]:
        return [
            f"exit status {self.status}" if self.status is not None else "its time was up",
            *(f"said: {line}" for line in self.output.splitlines()),
            *(f"file: {name} {what}" for name, what in sorted(self.files.items())),
            *(f"left over: {what}" for what in self.left_over),
        ]


def describe(path: Path, with_contents: bool) -> str:
    """A file, as far as it should be the same each time."""
    info = path.lstat()
    said = f"{stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid}"
    if stat.S_ISLNK(info.st_mode):
        return f"{said} -> {path.readlink()}"
    if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        return f"{said} {os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    if stat.S_ISREG(info.st_mode) and with_contents:
        return f"{said} {info.st_size} bytes {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return said


def files_below(top: Path, volatile: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for directory, directories, names in os.walk(top):
        for name in directories + names:
            path = Path(directory, name)
            relative = str(path.relative_to(top))
            with_contents = not any(fnmatch.fnmatch(relative, pattern) for pattern in volatile)
            found[relative] = describe(path, with_contents)
    return found


def marked(mark: str) -> list[int]:
    """Processes that have this in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def wait_for_all(mark: str, limit_s: float) -> list[str]:
    """Waits until no process has the mark, and kills those that still have it, whose command lines it gives."""
    end = time.monotonic() + limit_s
    while (processes := marked(mark)) and time.monotonic() < end:
        time.sleep(0.02)
    left = []
    for process in processes:
        with suppress(OSError):
            left.append(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
            os.kill(process, signal.SIGKILL)
    return left


class Tried:
    """A case in its directory."""

    def __init__(self, case: Case, scratch: Path, environment: dict[str, str], programs: Path) -> None:
        self.case = case
        self.directory = scratch / re.sub(r"\W", "-", case.name)
        self.work = self.directory / "work"
        self.template = self.directory / "template"
        self.environment = environment
        self.programs = programs
        self.directory.mkdir()
        self.directory.chmod(0o755)

    def shell(self, argv: list[str], mark: str, **more: str) -> tuple[int | None, str]:
        """Runs a program in the work directory. None when it took too long, which kills it."""
        environment = self.environment | {
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "OUTSIDE": str(self.directory.parent / "outside"),
            mark.partition("=")[0]: mark.partition("=")[2],
            **more,
        }
        for name in ("home", "tmp"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
            (self.directory / name).mkdir()
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen(argv, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=output, start_new_session=True, umask=0o027)  # fmt: skip
            try:
                status: int | None = child.wait(self.case.limit_s * SLOWNESS)
            except subprocess.TimeoutExpired:
                status = None
                child.kill()
                child.wait()
            left_over = wait_for_all(mark, LEFT_OVER_S if status is not None else 0)
            output.seek(0)
            said = output.read().decode(errors="backslashreplace")
        return status, said + "".join(f"\nleft over: {line}" for line in left_over)

    def prepare(self) -> str | None:
        """Makes what runs start with. Gives the reason when that cannot be done."""
        self.work.mkdir()
        status, output = self.shell(["sh", "-ec", self.case.prepare], f"UNOTIFY_RUN={self.directory}:prepare")
        if status != 0:
            return "what it needs does not work here: " + (output.strip().splitlines() or ["silently"])[-1]
        self.work.rename(self.template)
        return None

    def supervisor(self, policy: str) -> list[str]:
        """The command line that stands in front of the program's."""
        ports = f"{self.environment['PORT']},{self.environment['SOCKET']},{self.work}/socket"
        options = {
            "trace": ["-o", str(self.directory / "trace")],
            "open-broker": ["/"],
            WITHIN: self.directories(),
            "connect-guard": [ports],
        }
        if policy == "alone":
            return []
        return [str(self.programs / policy.split()[0]), *options.get(policy, []), "--"]

    def directories(self) -> list[str]:
        """Those that a program may use, and no others: what is the system's to read, its own to write."""
        own = [self.directory, Path(self.environment["SHARED"]), Path("/dev"), Path("/proc")]
        venv = Path(self.environment["VENV_PYTHON"])
        pythons = [venv.parents[1], venv.resolve().parents[1], Path(sys.base_prefix)]
        needed = [Path(shutil.which(name) or "/usr/bin/none").resolve().parent for name in self.case.needs]
        read = [*map(Path, SYSTEM), INPUTS, self.programs, *pythons, Path(self.environment["RUSTUP_HOME"])]
        read += [place.parent for place in needed if place.parent != Path("/")]
        return [*map(str, own), *(word for path in read if path.exists() for word in ("-r", str(path)))]

    def run(self, policy: str) -> Outcome:
        subprocess.run(["cp", "-a", self.template, self.work], check=True)
        under = self.supervisor(policy)
        argv = ["sh", "-c", self.case.script]
        if not self.case.runs_supervisor:
            argv = [*under, *argv]
        mark = f"UNOTIFY_RUN={self.directory}:{policy}"
        status, output = self.shell(argv, mark, UNDER=json.dumps(under))
        output = output.replace("mknod-for-me: not started by root: devices will fail\n", "")
        for pattern, replacement in self.case.hidden:
            output = re.sub(pattern, replacement, output)
        outcome = Outcome(status, output, files_below(self.work, self.case.volatile), [])
        shutil.rmtree(self.work)
        return outcome

    def wrong(self, policy: str, alone: Outcome) -> str | None:
        """What is not as it should be under this policy."""
        outcome = self.run(policy)
        if expected := self.case.under.get(policy):
            if outcome.status == expected.status and re.search(expected.says, outcome.output):
                return None
            return "\n".join([f"not what was to be expected ({expected.why}):", *outcome.lines()])
        if (
            policy == "trace"
            and not self.case.runs_supervisor
            and "execve(" not in (self.directory / "trace").read_text(errors="replace")
        ):
            return "it was not traced"
        difference = compare(alone, outcome, policy)
        if not difference:
            return None
        if again := compare(alone, self.run("alone"), "alone again"):
            difference += f"\n(but it is not the same twice alone:\n{again})"
        return difference


def compare(alone: Outcome, outcome: Outcome, what: str) -> str:
    if outcome.status is None:
        return "\n".join(outcome.lines())
    lines = list(difflib.unified_diff(alone.lines(), outcome.lines(), "alone", what, lineterm="", n=1))
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"… and {len(lines) - MOST_LINES} more lines"]
    return "\n".join(lines)


def missing(case: Case) -> str | None:
    """Why a case cannot be tried, as far as that is known before."""
    absent = [name for name in case.needs if not shutil.which(name)]
    if absent:
        return f"no {' and no '.join(absent)} here"
    if case.as_root and os.geteuid() != 0:
        return "it takes root"
    return None


def try_case(tried: Tried, policies: list[str], show: bool) -> tuple[str, list[str]]:
    """A line about a case, and what was wrong."""
    case = tried.case
    begun = time.monotonic()
    reason = missing(case) or tried.prepare()
    if reason:
        return f"{case.name}: skipped: {reason}", []
    alone = tried.run("alone")
    if alone.status is None:
        return f"{case.name}: FAILED alone", ["\n".join(alone.lines())]
    failures = []
    for policy in policies:
        if difference := tried.wrong(policy, alone):
            failures.append(f"{case.name}, under {policy}: {difference}")
    result = "FAILED" if failures else "the same"
    known = "".join(f"; otherwise under {policy}: {it.why}" for policy, it in case.under.items())
    took = time.monotonic() - begun
    shown = "".join(f"\n    {line}" for line in alone.lines()) if show else ""
    made = f"exit status {alone.status}, {len(alone.files)} files"
    return f"{case.name}: {result} ({made}{known}) {took:.1f} s{shown}", failures


@contextmanager
def served(scratch: Path) -> Iterator[dict[str, str]]:
    """Servers, and the environment that says where they are."""
    four, other = Server(("127.0.0.1", 0), Answering), Server(("127.0.0.1", 0), Answering)
    port, other_port = (server.socket.getsockname()[1] for server in (four, other))
    servers: list[socketserver.BaseServer] = [four, other]
    with suppress(OSError):
        servers.append(ServerV6(("::1", port), Answering))
    path = scratch / "server"
    servers.append(ServerUnix(str(path), Answering))
    path.chmod(0o777)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"PORT": str(port), "OTHER_PORT": str(other_port), "SOCKET": str(path)}
    for server in servers:
        server.shutdown()
        server.server_close()


def main(programs: Path, venv: Path, shared: Path, names: list[str], show: bool) -> int:
    shared.mkdir(parents=True, exist_ok=True)
    home = os.environ.get("HOME", "/root")
    kept = ("PATH", "LD_LIBRARY_PATH", "LC_ALL")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {
        "INPUTS": str(INPUTS),
        "PYTHON": sys.executable,
        "VENV_PYTHON": str(venv / "bin" / "python"),
        "SHARED": str(shared),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "CARGO_HOME": str(shared / "cargo-home"),
        "CARGO_INCREMENTAL": "0",
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", f"{home}/.rustup"),
        "CARGO_TERM_COLOR": "never",
        "GIT_AUTHOR_NAME": "nobody",
        "GIT_AUTHOR_EMAIL": "nobody@example.org",
        "GIT_COMMITTER_NAME": "nobody",
        "GIT_COMMITTER_EMAIL": "nobody@example.org",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod",
    }
    policies = list(POLICIES)
    if os.geteuid() != 0:
        policies.remove("pretend-root")
        print("pretend-root: skipped: without root, programs are to behave otherwise under it")
    cases = [case for case in CASES if not names or any(name in case.name for name in names)]
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="unotify-programs-") as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)
        with served(scratch) as where, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            tried = [Tried(case, scratch, environment | where, programs) for case in cases]
            running = [pool.submit(try_case, one, policies, show) for one in tried]
            for one in concurrent.futures.as_completed(running):
                line, wrong = one.result()
                print(line, flush=True)
                failures += wrong
    for failure in failures:
        print("\n" + failure)
    return 1 if failures or not cases else 0


if __name__ == "__main__":
    show = "--show" in sys.argv[1:2]
    if show:
        del sys.argv[1]
    directories = [Path(argument).resolve() for argument in sys.argv[1:4]]
    sys.exit(main(directories[0], directories[1], directories[2], sys.argv[4:], show))
