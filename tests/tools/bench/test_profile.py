"""The functions by which a profile counts its samples exist."""

import ast
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import aiormq
import pytest
import structlog

from tools.bench import profile

_PROJECT = Path(__file__).parents[3]
_READ = (
    *(_PROJECT / name for name in ("gateway", "worker", "shared")),
    *(Path(library.__path__[0]) for library in (aiohttp, aiormq, structlog)),
)


@pytest.fixture(scope="module")
def functions() -> set[str]:
    """What py-spy can show: each function by its own name, or with that of its class."""
    return {
        name
        for directory in _READ
        for path in directory.rglob("*.py")
        for name in _named(ast.parse(path.read_text()))
    }


@pytest.mark.parametrize("name", sorted({name for part in profile.PARTS.values() for name in part}))
def test_a_named_function_exists(name: str, functions: set[str]) -> None:
    assert name in functions


def _named(tree: ast.AST, owner: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _named(node, f"{node.name}.")
        else:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{owner}{node.name}"
            yield from _named(node, owner)
