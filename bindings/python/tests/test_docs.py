"""The examples in the docstrings, and what a probe finds."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import sys

import pytest

import unotify

MODULES = ["unotify", *(f"unotify.{module.name}" for module in pkgutil.iter_modules(unotify.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_say_what_happens(name: str) -> None:
    importlib.import_module(name)
    # Of some the package has a function of the same name.
    done = doctest.testmod(sys.modules[name])
    assert done.failed == 0


def test_everything_public_is_documented() -> None:
    for name in unotify.__all__:
        thing = getattr(unotify, name)
        if not callable(thing):
            continue
        assert thing.__doc__, name
        if isinstance(thing, type):
            for attribute, value in vars(thing).items():
                if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{attribute}"


def test_a_probe() -> None:
    found = unotify.probe()
    assert found.basics_work
    parts = {part.name: part for part in found.parts}
    assert parts["receive"].outcome is unotify.Outcome.WORKS and parts["receive"].is_basic
    assert all(part.errno == 0 for part in found.parts if part.outcome is unotify.Outcome.WORKS)
