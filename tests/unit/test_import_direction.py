"""gateway → shared ← worker, tools apart, and a launcher that imports next to nothing.

Within the gateway: a request's way goes through its rooms once, in this order.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MAY_NOT_IMPORT = {
    "gateway": {"worker", "tools", "tests"},
    "worker": {"gateway", "tools", "tests"},
    "shared": {"gateway", "worker", "tools", "tests"},
    "tools": {"tests"},
}


def _imported(path: Path) -> Iterator[str]:
    """The absolute names of all imports in a file, those inside functions included."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = list(package[: len(package) - node.level + 1]) if node.level else []
                module = ".".join([*base, *([node.module] if node.module else [])])
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                # importlib.import_module("…") and __import__("…")
                if ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
                    yield name


@pytest.mark.parametrize("package", MAY_NOT_IMPORT)
def test_packages_import_in_one_direction_only(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files

    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in _imported(path)
        if name.partition(".")[0] in MAY_NOT_IMPORT[package]
    ]

    assert not wrong


def test_a_request_enters_each_room_of_the_gateway_once() -> None:
    # Of the worker's parts, several are called from both sides: they have no such order.
    rooms = ["schemas", "http", "auth", "publisher", "waiting", "runs", "cancel"]

    later: dict[str, set[str]] = {
        room: {f"gateway.{name}" for name in [*rooms[place + 1 :], "monitoring", "openapi", "app"]}
        for place, room in enumerate(rooms)
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for room in rooms
        for path in [*(ROOT / "gateway" / room).rglob("*.py"), ROOT / "gateway" / f"{room}.py"]
        if path.exists()
        for name in _imported(path)
        if ".".join(name.split(".")[:2]) in later[room]
    ]

    assert not wrong


@pytest.mark.parametrize(
    "module", ["worker.launcher.cancel_exec", "worker.launcher.wire", "shared.launcher_environment"]
)
def test_what_a_launcher_imports_is_the_standard_library(module: str) -> None:
    # -S: without site-packages, whose .pth files import things on their own.
    ours = {
        "shared",
        "shared.errors",
        "shared.printable",
        "shared.launcher_environment",
        "worker",
        "worker.launcher",
        "worker.launcher.wire",
        "worker.launcher.job_log",
        "worker.launcher.options",
        "worker.launcher.child",
        "worker.launcher.cancel_exec",
    }
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys, {module}; print(*sys.modules, sep='\\n')"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert module in loaded
    foreign = {
        name
        for name in loaded
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__"}
    }
    assert foreign <= ours
