"""One error tree, drawn where it begins."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shared import errors
from shared.errors import RunCancelError

ROOT = Path(__file__).parents[3]
PACKAGES = ("gateway", "shared", "worker")


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not name.endswith("__main__"):
                yield importlib.import_module(name)


@pytest.fixture(scope="module")
def modules() -> list[ModuleType]:
    return list(_modules())


def _tree(error: type[RunCancelError]) -> dict[str, set[str]]:
    below = [it for it in error.__subclasses__() if it.__module__.split(".")[0] in PACKAGES]
    tree = {error.__name__: {it.__name__ for it in below}}
    for each in below:
        tree |= _tree(each)
    return tree


def _drawn(text: str) -> dict[str, set[str]]:
    tree: dict[str, set[str]] = {}
    path: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"((?:[│ ]   )*)([├└]── )?(\w+Error|[A-Z]\w+)(?:$|  )", line):
            depth = len(match[1]) // 4 + bool(match[2])
            path[depth:] = [match[3]]
            tree[match[3]] = set()
            if depth:
                tree[path[depth - 1]].add(match[3])
    return tree


def test_the_tree_is_drawn_as_it_is(modules: list[ModuleType]) -> None:
    assert modules
    assert _drawn(errors.__doc__ or "") == _tree(RunCancelError)


def test_each_error_is_in_the_tree(modules: list[ModuleType]) -> None:
    outside = [
        f"{module.__name__}.{name}"
        for module in modules
        for name, it in inspect.getmembers(module, inspect.isclass)
        if it.__module__ == module.__name__
        and issubclass(it, Exception)
        and not issubclass(it, RunCancelError)
    ]

    # Not an error: it ends a task group in good order.
    assert outside == ["shared.lifecycle.Shutdown"]
