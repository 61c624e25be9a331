"""What is written for people agrees with the programs. Links: test_document_links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from gateway.cli import app as gateway_app
from tests.support.repository.documents import DOCS, ROOT, documents
from tools.support.system import System
from worker.cli import app as worker_app
from worker.launcher import options

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
RUNBOOK = DOCS / "runbook.md"

_BLOCK = re.compile(r"^```(\S+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Where a shell takes the word for a command.
_OURS = re.compile(
    r"(?:^|\$\(|[|;&] *|exec )(?:\S*/)?(cancel-(?:worker|gateway|exec))(?= )([^|;)\n]*)"
)
_TEST = re.compile(r"`(test_\w+)`")
_NAME = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


def _blocks(document: Path, *languages: str) -> Iterator[str]:
    for language, text in _BLOCK.findall(document.read_text()):
        if language in languages:
            yield text


def _prose(document: Path) -> str:
    return _BLOCK.sub("", document.read_text())


def _each(document: Path) -> str:
    return str(document.relative_to(ROOT))


def test_each_alert_is_in_the_runbook() -> None:
    if not ALERTS.exists():
        pytest.skip("there are no alert rules")
    alerts = set(re.findall(r"^\s*- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE))
    sections = {it for it in _HEADING.findall(_prose(RUNBOOK)) if it.startswith("Cancel")}
    assert alerts
    assert alerts == sections


def _commands(document: Path) -> list[list[str]]:
    """Our own commands in a document's shell blocks, as words."""
    found = []
    for text in _blocks(document, "sh", "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            for program, rest in _OURS.findall(line.partition(" #")[0]):
                # What a script is given, or asks for, is a number wherever ours want one.
                given = re.sub(r'"?\$(?:@|\w+|\{\w+\})"?', "1", rest)
                found.append([program, *shlex.split(given)])
    return found


def _parse(words: list[str]) -> None:
    program, *arguments = words
    if program == "cancel-exec":
        options.parse(arguments)
        return
    command = typer.main.get_command(worker_app if program == "cancel-worker" else gateway_app)
    context = command.make_context(program, arguments)
    while isinstance(command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("document", documents(), ids=_each)
def test_commands_are_ones_that_the_programs_know(document: Path) -> None:
    for words in _commands(document):
        _parse(words)


def test_commands_are_found_at_all() -> None:
    found = {word for document in documents() for word, *_ in _commands(document)}
    assert found == {"cancel-worker", "cancel-gateway", "cancel-exec"}


@pytest.mark.parametrize("document", documents(), ids=_each)
def test_tests_that_are_named_exist(document: Path) -> None:
    tests = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    assert set(_TEST.findall(document.read_text())) <= tests


def test_names_in_the_runbook_are_the_programs_own() -> None:
    sources = [
        file for part in ("gateway", "worker", "shared") for file in (ROOT / part).rglob("*")
    ]
    text = "".join(file.read_text() for file in sources if file.suffix in (".py", ".sql"))
    theirs = (
        "messages_unacknowledged",
        "default_transaction_read_only",
        "synchronous_standby_names",
    )
    known = {*re.findall(r"[a-z]+(?:_[a-z]+)+", text), *theirs}
    assert set(_NAME.findall(RUNBOOK.read_text())) - known == set()


async def test_the_runbooks_statements_are_valid(system: System) -> None:
    statements = list(_blocks(RUNBOOK, "sql")) + list(
        _blocks(RUNBOOK.with_name("security.md"), "sql")
    )
    for text in statements:
        await system.database.execute(text)
