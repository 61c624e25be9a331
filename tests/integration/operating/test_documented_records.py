"""The documents name every field of what is stored, every header of a message, and no other."""

import asyncio
import re
from dataclasses import fields
from typing import Final, get_args
from unittest.mock import Mock

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage

from shared.amqp.topology import RETRY_DELAYS
from shared.postgres import sql
from shared.states import Outcome, RunStatus
from tests.support.repository.documents import DEAD_LETTERS, DOCS
from tools.support.program import DEADLINE
from tools.support.system import System
from worker.decisions import verdict
from worker.decisions.rows import rows_of
from worker.evidence import Evidence, out_of_sight
from worker.messages.headers import BROKER_HEADERS, Header

RECORDS: Final = (DOCS / "records.md").read_text()
LETTERS: Final = DEAD_LETTERS.read_text()
# By their own words in the document.
TABLES: Final = {
    "runs": "Runs",
    "cancellations": "Cancellations",
    "dead_letters": "Dead letters",
    "dead_letter_actions": "Actions on dead letters",
    "audit": "Audit",
    "dead_letter_texts": "Texts of dead letters",
}
OTHER_OUTCOMES: Final = "Other outcomes have other keys:"
OF_RABBITMQ: Final = "RabbitMQ adds others:"
PROCESS: Final = Mock()
VERDICTS: Final[list[verdict.Verdict]] = [
    verdict.Repeat(Outcome.CANCELED),
    verdict.CancelQueued(),
    verdict.NoOp(RunStatus.PASS),
    verdict.Pending(),
    verdict.Wait("host"),
    verdict.BeginStop(PROCESS, 1.0),
    verdict.ResumeStop(PROCESS, 1.0, ends_grace=True),
    verdict.StopLeftovers(PROCESS, grace=0.0),
    verdict.Join(ends_grace=False),
    verdict.Join(ends_grace=True),
    verdict.InProgress(),
    verdict.OpenAgain(),
    verdict.BeginAgain(1.0),
]


def table(after: str, text: str = RECORDS) -> list[list[str]]:
    """The cells of the first table below the line `after`."""
    _, found, below = text.partition(f"\n{after}\n")
    assert found
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows is not None
    _, _, *lines = rows[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def documented(after: str, text: str = RECORDS) -> list[str]:
    """The names in the first column of that table."""
    return [name for cells in table(after, text) for name in quoted(cells[0])]


def statements(*modules: object) -> list[str]:
    return [text for module in modules for text in vars(module).values() if isinstance(text, str)]


def keys_of_loss() -> set[str]:
    """All keys that a statement of ours writes into `loss`."""
    text = "".join(
        each for each in statements(sql.runs, sql.hosts) if "SET" in each and "loss = " in each
    )
    literal = re.findall(r"'\{\"(\w+)\":", text)
    built = re.findall(r"loss = [^;]*?jsonb_build_object\((.*?)\)\s+WHERE", text, re.DOTALL)
    return {*literal, *(key for each in built for key in re.findall(r"'(\w+)', ", each))}


def keys_of_decisions() -> set[tuple[str, str]]:
    """Each key of the evidence of a decision, with its outcome."""
    rows = rows_of((Mock(), each) for each in VERDICTS)
    return {
        (key, row.outcome)
        for row in rows
        if row.outcome
        for key in re.findall(r'"(\w+)":', row.evidence)
    }


async def keys_of_statements(system: System) -> set[tuple[str, str]]:
    """Likewise for what the statements and the functions of the database write."""
    functions = await system.database.fetch(
        "SELECT prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
    )
    text = ";".join(
        [*statements(sql.runs, sql.hosts), *(function["prosrc"] for function in functions)]
    )
    built = re.findall(
        r"SET outcome = '(\w+)'[^;]*?evidence = [^;]*?jsonb_build_object\((.*?)\)", text, re.DOTALL
    )
    return {(key, outcome) for outcome, pairs in built for key in re.findall(r"'(\w+)', ", pairs)}


@pytest.mark.parametrize("name", TABLES)
async def test_every_column_is_documented(system: System, name: str) -> None:
    columns = await system.database.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1", name
    )

    found = documented(f"## {TABLES[name]}")

    assert sorted(found) == sorted(row["column_name"] for row in columns)


def test_every_key_of_evidence_is_documented() -> None:
    assert documented("## Evidence") == [field.name for field in fields(Evidence)]


async def test_every_key_of_other_outcomes_is_documented_with_these_outcomes(
    system: System,
) -> None:
    of_stops = {field.name for field in fields(Evidence)}
    found = {
        *keys_of_decisions(),
        *await keys_of_statements(system),
        *((key, Outcome.NOT_PROVED) for key in out_of_sight("here", "there")),
    }
    kept: str = await system.database.fetchval("""SELECT keeping_earlier('{}', '{"a": 1}')""")

    rows = table(OTHER_OUTCOMES)
    *of_some, of_any = [(quoted(keys), of) for keys, of, _ in rows]

    assert {type(each) for each in VERDICTS} == {*get_args(verdict.Verdict)}
    assert {(key, each) for keys, of in of_some for key in keys for each in quoted(of)} == {
        (key, outcome) for key, outcome in found if key not in of_stops
    }
    assert of_any == (re.findall(r'"(\w+)": \{', kept), "any")


def test_every_key_of_a_loss_is_documented() -> None:
    values = {"host_abandoned", "host_rebooted", "launcher_died", "container_lost"}

    assert sorted(keys_of_loss() - values - {"none_container_lost"}) == sorted(
        documented("## Loss")
    )


def test_every_header_of_ours_is_documented() -> None:
    found = documented("## Headers", LETTERS)

    assert sorted(found) == sorted(Header)


async def test_every_header_of_rabbitmq_is_documented(system: System) -> None:
    """Those that it adds when a message leaves a retry queue and is then delivered twice."""
    names = [name.rstrip("*") for name in documented(OF_RABBITMQ, LETTERS)]
    cancel = await system.channel.get_queue(system.topology.cancel)
    taken: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    await system.channel.default_exchange.publish(
        Message(b""), system.topology.retry(RETRY_DELAYS[0])
    )
    await cancel.consume(taken.put)
    async with asyncio.timeout(DEADLINE):
        await (await taken.get()).reject(requeue=True)
        message = await taken.get()
    await message.ack()

    assert sorted(names) == sorted(BROKER_HEADERS)
    assert {"x-death", "x-delivery-count"} <= {*message.headers}
    assert [name for name in message.headers if not name.startswith(tuple(names))] == []
