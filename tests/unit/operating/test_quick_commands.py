"""`--help` imports what the declarations need, and no more: its time is that of its imports."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import typer

import gateway.cli
import worker.cli
from tests.support.programs.imports import imported_by

APPS: Final[Mapping[str, typer.Typer]] = {"gateway": gateway.cli.app, "worker": worker.cli.app}
NEEDED_LATER: Final = {
    *("aio_pika", "aiodocker", "aiohttp", "aiormq", "asyncio", "asyncpg", "jinja2"),
    *("opentelemetry", "orjson", "prometheus_client", "rich", "structlog", "tenacity", "uvloop"),
    *("yarl",),
}


def _helps(command: Any, *path: str) -> Iterator[list[str]]:
    """The ways to ask for help: of a program, its groups, and their commands."""
    yield [*path, "--help"]
    for name, each in getattr(command, "commands", {}).items():
        yield from _helps(each, *path, name)


@pytest.mark.parametrize("module", APPS)
def test_help_of_any_command_imports_only_what_declarations_need(module: str) -> None:
    helps = list(_helps(typer.main.get_command(APPS[module])))

    packages, output = imported_by(module, helps, os.environ)

    assert output.count("Usage: ") == len(helps) > 4
    assert "typer" in packages
    assert packages & NEEDED_LATER == set()


@pytest.mark.parametrize("module", APPS)
def test_help_of_a_program_does_not_even_import_what_typer_parses_with(module: str) -> None:
    packages, _ = imported_by(module, [["--help"]], os.environ)

    assert packages & {*NEEDED_LATER, "pydantic"} == set()
