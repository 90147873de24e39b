"""Where the C library comes from, and that what Python says of it is what its header says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_python

import unotify
from unotify import _library

TREE = Path(__file__).parents[3]


def test_the_package_is_the_installed_one() -> None:
    if os.environ.get("UNOTIFY_TEST_INSTALLED"):
        assert TREE / "bindings" not in Path(unotify.__file__).parents


def test_a_named_library_comes_first(tmp_path: Path) -> None:
    done = run_python("import unotify", env={**os.environ, "UNOTIFY_LIBRARY": str(tmp_path / "none.so")})
    assert done.returncode == 1
    assert "none.so" in done.stderr and "Install libunotify" in done.stderr


def package_in(place: Path) -> None:
    (place / "unotify").mkdir()
    for file in Path(unotify.__file__).parent.glob("*.py"):
        (place / "unotify" / file.name).write_text(file.read_text())


def environment(place: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("UNOTIFY_LIBRARY", "LD_LIBRARY_PATH")}
    return {**kept, "PYTHONPATH": str(place), **more}


def test_a_bundled_library_comes_before_the_systems(tmp_path: Path) -> None:
    package_in(tmp_path)
    bundled = tmp_path / "unotify" / "libunotify.so.0"
    bundled.write_bytes(b"no library")
    done = run_python("import unotify", env=environment(tmp_path))
    assert done.returncode == 1 and f"{bundled}: file too short" in done.stderr


def real_library() -> Path:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libunotify.so" in line:
            return Path(line.split(maxsplit=5)[5])
    raise AssertionError("no library is loaded")


def test_the_systems_library_comes_last(tmp_path: Path) -> None:
    package_in(tmp_path)
    (tmp_path / "libunotify.so.0").symlink_to(real_library())
    script = "import unotify; print(unotify.library_path)"
    done = run_python(script, env=environment(tmp_path, LD_LIBRARY_PATH=str(tmp_path)))
    assert done.stdout == "libunotify.so.0\n", done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('const char *unotify_version(void) { return "0.0.9"; }', "is libunotify 0.0.9"),
        ("int nothing;", "is libunotify of an unknown version"),
    ],
)
def test_a_library_that_is_too_old_is_named(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "old.c").write_text(source)
    old = tmp_path / "old.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", old, tmp_path / "old.c"], check=True)
    done = run_python("import unotify", env={**os.environ, "UNOTIFY_LIBRARY": str(old)})
    assert done.returncode == 1 and f"{old} {said}" in done.stderr and "0.1" in done.stderr, done.stderr


def prototypes() -> dict[str, str]:
    """The header's functions, in the letters of the table."""
    header = (TREE / "include" / "unotify.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    kinds = {
        "uint32_t": "u", "mode_t": "u", "uint64_t": "U", "dev_t": "U", "int64_t": "I", "size_t": "z",
        "int": "i", "pid_t": "i", "unotify_status": "i", "uint16_t": "u", "void": "-",
    }  # fmt: skip

    def letter(declaration: str) -> str:
        declaration = declaration.replace("const", "").strip()
        if re.fullmatch(r"char \*\w+|char \*", declaration):
            return "s"
        if "*" in declaration or declaration.split()[0] in (
            "unotify_handler",
            "unotify_close_handler",
            "unotify_exit_handler",
            "unotify_run_function",
            "unotify_container_handler",
        ):
            return "p"
        return kinds[declaration.split()[0]]

    found = {}
    pattern = r"^((?:const )?\w+ \*?)(unotify_\w+)\(([^)]*)\)(?: __attribute__\(\(noreturn\)\))?;"
    for result, name, parameters in re.findall(pattern, header, re.MULTILINE):
        given = [] if parameters.strip() == "void" else parameters.split(",")
        found[name] = letter(result) + "".join(letter(" ".join(p.split())) for p in given)
    return found


# Where a `char *` is room for something, not a string that is passed.
ROOM = {
    "unotify_last_error", "unotify_syscall_name", "unotify_notification_read_string",
    "unotify_notification_open_parent", "unotify_notification_read_path", "unotify_notification_executable",
}  # fmt: skip


def test_the_table_of_functions_is_what_the_header_says() -> None:
    header = prototypes()
    table = {name: types for name, (types, _) in _library.FUNCTIONS.items()}
    assert table.keys() == header.keys()
    for name, types in table.items():
        said = header[name].replace("s", "p") if name in ROOM else header[name]
        assert types == said, name


def test_every_function_is_there_in_python() -> None:
    for c_name, (_, name) in _library.FUNCTIONS.items():
        if name.startswith("none"):
            continue
        found: object = unotify
        for part in name.split("."):
            if isinstance(found, type) and part in getattr(found, "__annotations__", {}):
                break
            found = getattr(found, part)
        assert found is not None, c_name


def test_statuses_and_constants_are_the_headers() -> None:
    header = (TREE / "include" / "unotify.h").read_text()
    statuses = dict(re.findall(r"^    UNOTIFY_(?:ERR_)?(\w+) = (-?\d+),", header, re.MULTILINE))
    assert {status.name: str(status.value) for status in unotify.Status} == statuses
    define = r"^#define UNOTIFY_(\w+) \(?(0x[0-9a-f]+|\d+)(?:ULL|U)?(?: << (\d+)\))?"
    values = {n: int(v, 0) << int(s or 0) for n, v, s in re.findall(define, header, re.MULTILINE)}
    for prefix, kind in {
        "ACTION": unotify.Action,
        "COMPARE": unotify.Compare,
        "LOAD": unotify.LoadFlags,
        "SPAWN": unotify.SpawnFlags,
        "RIGHT": unotify.Right,
        "FEATURE": unotify.Features,
        "PROBE": unotify.Outcome,
        "WAKE_UP": unotify.WakeUp,
    }.items():
        theirs = {n[len(prefix) + 1 :]: v for n, v in values.items() if n.startswith(prefix + "_")}
        assert {member.name: member.value for member in kind} == theirs, prefix


def test_versions() -> None:
    assert unotify.library_version().startswith(unotify.__version__)
    assert sys.version_info >= (3, 9)
