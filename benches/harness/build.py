"""Builds the library, the targets, the baselines and the peers; what cannot be built is left out."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ROOT / "benches"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OUT = TARGET / "bench"
C_FLAGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror", "-pthread"]
BUILD_LIMIT_S = 600


@dataclass
class Programs:
    """Where each program is, by name, and why the missing ones are missing."""

    path: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def run(argv: list[str], env: dict[str, str] | None = None) -> None:
    """Runs a build step; its output is shown only when it fails."""
    done = subprocess.run(
        argv,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}\n{done.stdout}")


def compile_c(name: str, sources: list[str], *libraries: str) -> str:
    out = OUT / name
    paths = [str(BENCHES / source) for source in sources]
    compiler = os.environ.get("CC", "cc")
    run([compiler, *C_FLAGS, "-I", str(ROOT / "include"), "-o", str(out), *paths, *libraries])
    return str(out)


def library() -> list[str]:
    """Builds libunotify; gives the linker's arguments."""
    if not (ROOT / "include" / "unotify.h").exists():
        raise RuntimeError("the library has no include/unotify.h")
    run(["cargo", "rustc", "--release", "--locked", "--lib", "--crate-type=cdylib", "--features=capi"])
    release = TARGET / "release"
    # The soname is not the file's name, so the loader needs a link by that name.
    soname = OUT / "libunotify.so.0"
    soname.unlink(missing_ok=True)
    soname.symlink_to(release / "libunotify.so")
    return [f"-L{release}", "-lunotify", f"-Wl,-rpath,{OUT}"]


def go_program(name: str) -> str:
    """Builds benches/go with the library that library() has built."""
    if " " in str(TARGET):
        raise RuntimeError("Go takes no directory with a space in its name from pkg-config")
    described = OUT / "pkgconfig" / "unotify.pc"
    described.parent.mkdir(exist_ok=True)
    described.write_text(
        "Name: unotify\nDescription: the one to measure\nVersion: 0\n"
        f"Cflags: -I{ROOT / 'include'}\nLibs: -L{TARGET / 'release'} -lunotify -Wl,-rpath,{OUT}\n"
    )
    out = OUT / name
    env = {"PKG_CONFIG_PATH": str(described.parent), "GOTOOLCHAIN": "local"}
    run(["env", "-C", str(BENCHES / "go"), "go", "build", "-o", str(out), "."], env)
    return str(out)


# In a mount namespace of its own a runtime sees one hierarchy of control groups, whatever this machine has.
MOUNT_CGROUPS = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
WITH_CGROUPS = ["unshare", "--mount", "sh", "-c", MOUNT_CGROUPS, "sh"]

# Debian's, also where another comes first.
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
PYSECCOMP = "pyseccomp==0.1.2"
SANDLOCK = "sandlock==0.9.0"


def python_program(name: str, script: Path, *arguments: str, modules: Path | None = None) -> str:
    """Makes a program of a script in Python, which finds the library that library() has built."""
    out = OUT / f"python-{name}"
    environment = [f"UNOTIFY_LIBRARY={OUT / 'libunotify.so.0'}"]
    if modules:
        environment.append(f"PYTHONPATH={modules}")
    words = ["exec", "env", *environment, PYTHON, str(script), *arguments]
    out.write_text(f'#!/bin/sh\n{shlex.join(words)} "$@"\n')
    out.chmod(0o755)
    return str(out)


def python_package(name: str, module: str, requirement: str) -> Path:
    """Where a package is that comes from the registry."""
    place = OUT / name
    if not (place / module).exists():
        run([PYTHON, "-m", "venv", str(OUT / "venv")])
        run([str(OUT / "venv/bin/pip"), "install", "--no-deps", "--target", str(place), requirement])
    return place


def sandlock() -> str:
    modules = python_package("sandlock", "sandlock", SANDLOCK)
    script = BENCHES / "peers" / "python" / "chroot.py"
    # Landlock is not everywhere.
    run(["env", f"PYTHONPATH={modules}", PYTHON, str(script), str(OUT), "true"])
    return python_program("sandlock", script, modules=modules)


def python_peer(module: str) -> str:
    """One of those that have libseccomp's API, once it is there."""
    modules = None
    if module == "pyseccomp":
        modules = python_package("pyseccomp", "pyseccomp.py", PYSECCOMP)
    run(["env", f"PYTHONPATH={modules or ''}", PYTHON, "-c", f"import {module}; {module}.NOTIFY"])
    return python_program(module, BENCHES / "peers" / "python" / "filter.py", module, modules=modules)


RUNTIMES = ("runc", "crun")


def no_runtime(name: str) -> str | None:
    """Why no container can be started by a runtime here, if that is so."""
    if os.geteuid():
        return "only root starts its containers"
    if not shutil.which(name):
        return "not installed"
    if not Path("/bin/busybox").exists():
        return "its container is of busybox, which is not installed"
    # Which some machines do not let anybody have.
    probe = subprocess.run([*WITH_CGROUPS, "true"], check=False, capture_output=True, text=True, timeout=30)
    return probe.stderr.strip() if probe.returncode else None


def all_programs() -> Programs:
    OUT.mkdir(parents=True, exist_ok=True)
    programs = Programs()

    plain = ["target", "launch", "baseline", "open-file", "first"]
    if platform.machine() == "x86_64":
        plain.append("instructions")
    for name in plain:
        programs.path[name] = compile_c(name, [f"{name}.c"])

    def peer(name: str, build: list[str] | None, path: str, env: dict[str, str] | None = None) -> None:
        try:
            if build:
                run(build, env)
            programs.path[name] = path
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            programs.missing[name] = str(error)

    try:
        programs.path["libseccomp"] = compile_c("libseccomp", ["peers/libseccomp.c"], "-lseccomp")
    except RuntimeError as error:
        programs.missing["libseccomp"] = str(error)

    manifest = str(BENCHES / "peers" / "rust" / "Cargo.toml")
    cargo = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest]
    cargo += ["--target-dir", str(OUT / "rust")]
    for name in ("libseccomp-crate", "greenhook"):
        peer(name, [*cargo, "--bin", name], str(OUT / "rust" / "release" / name))

    # Debian's package of the Go binding is a GOPATH of sources, not a module.
    gopath = {"GO111MODULE": "off", "GOPATH": os.environ.get("GOPATH", "/usr/share/gocode")}
    peer("libseccomp-golang", ["go", "build", "-o", str(OUT / "golang"), "./benches/peers/go"],
         str(OUT / "golang"), gopath)  # fmt: skip

    # From its own directory, as Go finds a module there only.
    in_go = ["env", "-C", str(BENCHES / "go"), "go", "build", "-o"]
    peer("go-notify", [*in_go, str(OUT / "go-notify"), "./notify"], str(OUT / "go-notify"),
         {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})  # fmt: skip

    for module in ("pyseccomp", "seccomp"):
        try:
            programs.path[module] = python_peer(module)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            programs.missing[module] = str(error)
    try:
        programs.path["sandlock"] = sandlock()
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        programs.missing["sandlock"] = str(error)
    programs.path["python-ioctl"] = python_program("ioctl", BENCHES / "python" / "ioctl.py")

    if strace := shutil.which("strace"):
        programs.path["strace"] = strace
    else:
        programs.missing["strace"] = "not installed"

    for name in RUNTIMES:
        if why := no_runtime(name):
            programs.missing[name] = why
        else:
            programs.path[name] = python_program(f"container-{name}", BENCHES / "container.py", name)

    ours = {
        "receive": ["receive.c", "probe.c"],
        "supervise": ["supervise.c", "probe.c"],
        "agent": ["agent.c", "probe.c"],
        "continue-openat": ["continue-openat.c"],
        "read-string": ["read-string.c"],
        "start": ["start.c"],
        "make-supervisor": ["make-supervisor.c"],
        "brokered": ["brokered.c"],
        "open-broker": ["../examples/c/open-broker.c"],
        "trace": sorted(str(source) for source in (ROOT / "examples/c/trace").glob("*.c")),
    }
    try:
        link = library()
    except RuntimeError as error:
        return replace(programs, missing={**programs.missing, **dict.fromkeys(ours, str(error))})
    for name, sources in ours.items():
        try:
            programs.path[name] = compile_c(name, sources, *link)
        except RuntimeError as error:
            programs.missing[name] = str(error)
    for name in ("receive", "supervise", "aio"):
        script, modules = BENCHES / "python" / f"{name}.py", ROOT / "bindings" / "python" / "src"
        programs.path[f"python-{name}"] = python_program(name, script, modules=modules)
    try:
        programs.path["go"] = go_program("go")
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        programs.missing["go"] = str(error)
    return programs
