"""gateway → shared ← worker, tools apart, and a launcher that imports next to nothing.

Within the gateway: a request's way goes through its rooms once, in this order.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

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
    rooms = ["schemas", "http", "auth", "waiting", "runs", "cancels"]

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


@pytest.mark.parametrize("room", ["runs", "cancels", "openapi"])
def test_handlers_and_the_document_import_no_handler(room: str) -> None:
    # A document needs no database either.
    handlers = [
        f"gateway.{other}."
        for other in ("runs", "cancels", *["auth.admission"][room != "openapi" :])
        if other != room
    ]

    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "gateway" / room).rglob("*.py")
        for name in _imported(path)
        if name.startswith(tuple(handlers)) and not name.startswith("gateway.cancels.answers.")
    ]

    assert not wrong


def _packages_imported(top: str) -> dict[str, set[str]]:
    """Which packages and modules directly below `top` import which others."""
    graph: dict[str, set[str]] = {}
    for path in (ROOT / top).rglob("*.py"):
        own = path.relative_to(ROOT / top).with_suffix("").parts[0]
        names = (name.split(".") for name in _imported(path))
        graph.setdefault(own, set()).update(
            name[1] for name in names if len(name) > 1 and name[0] == top and name[1] != own
        )
    return graph


@pytest.mark.parametrize("top", ["worker", "shared"])
def test_packages_do_not_import_each_other_in_a_circle(top: str) -> None:
    graph = _packages_imported(top)
    assert graph

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_only_what_talks_to_a_terminal_imports_its_libraries() -> None:
    files = [
        path
        for package in ("gateway", "worker", "shared")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.stem.endswith(("cli", "reports"))
        and path.relative_to(ROOT)
        not in (Path("shared/command_line/output.py"), Path("shared/command_line/terminal.py"))
    ]
    assert files

    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in _imported(path)
        if name.split(".")[0] in ("typer", "rich")
        or name.startswith(("shared.command_line.output", "shared.command_line.terminal"))
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
        "shared.text",
        "shared.text.printable",
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
