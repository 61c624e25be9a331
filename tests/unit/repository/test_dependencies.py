"""pyproject.toml names each package that is imported, and constraints.txt agrees with it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[3]
OURS: Final = ("gateway", "shared", "worker", "tools", "tests")
# Programs of environments of their own (tools/support/environments.py).
APART: Final = (
    ROOT / "tools" / "bench" / "peers",
    ROOT / "tests" / "e2e" / "clients" / "client.py",
)
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _names(requirements: Iterable[str]) -> set[str]:
    return {_normal(re.split(r"[^\w.-]", it, maxsplit=1)[0]) for it in requirements}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(path: Path) -> Iterator[str]:
    """The packages that a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", OURS)
def test_what_is_imported_is_declared(package: str) -> None:
    declared = _names(PROJECT["dependencies"])
    if package in ("tests", "tools"):
        declared |= _names(PROJECT["optional-dependencies"]["dev"])
    providers = packages_distributions()

    missing = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if not any(path.is_relative_to(apart) for apart in APART)
        for name in _imported(path)
        if name not in sys.stdlib_module_names
        and name not in OURS
        and not declared & set(map(_normal, providers.get(name, ())))
    }

    assert not missing


def test_constraints_have_the_version_that_is_pinned_exactly() -> None:
    pins = {it for it in PROJECT["dependencies"] if "==" in it}
    constraints = set((ROOT / "constraints.txt").read_text().splitlines())

    assert pins
    assert pins <= constraints
