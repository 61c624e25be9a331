"""All that the checks know: the driver's log, Postgres, the queues, /proc, the programs' logs."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from shared.amqp.keys import QUEUED_KEY
from tools.chaos.driver import journal
from tools.chaos.driver.journal import Entry
from tools.chaos.observed import audit, event_queue
from tools.chaos.observed.event_queue import Heard
from tools.chaos.observed.processes import Process, all_processes
from tools.chaos.observed.queues import depths
from tools.chaos.system.servers import Servers

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProgramLog:
    name: str
    events: list[Entry]
    other_lines: list[str]


@dataclass(frozen=True, slots=True)
class Facts:
    journal_path: Path
    jobs: Path
    journal: list[Entry]
    runs: dict[int, Row]
    cancellations: list[Row]
    letters: list[Row]
    run_transitions: list[Row]
    command_changes: list[Row]
    letter_changes: list[Row]
    events: list[Heard]
    queues: dict[str, int]
    processes: list[Process]
    logs: list[ProgramLog]

    def entries(self, kind: str) -> list[Entry]:
        return [entry for entry in self.journal if entry["kind"] == kind]


@dataclass(frozen=True, slots=True)
class Records:
    """What Postgres has, and how it came to that."""

    runs: dict[int, Row]
    cancellations: list[Row]
    letters: list[Row]
    run_transitions: list[Row]
    command_changes: list[Row]
    letter_changes: list[Row]


def registers(letter: Row) -> bool:
    """Whether it is the letter of a registration, not of a cancel."""
    return bool(letter["routing_key"] == QUEUED_KEY)


async def collect(directory: Path, servers: Servers) -> Facts:
    """Look at everything, once nothing is under way and the programs have ended."""
    journal_path = directory / journal.NAME
    entries = journal.read(journal_path)
    records = await fetch_records(servers.postgres.url)
    return Facts(
        journal_path=journal_path,
        jobs=directory / "jobs",
        journal=entries,
        runs=records.runs,
        cancellations=records.cancellations,
        letters=records.letters,
        run_transitions=records.run_transitions,
        command_changes=records.command_changes,
        letter_changes=records.letter_changes,
        events=await event_queue.heard(servers.rabbit.urls[0]),
        queues=await depths(servers),
        processes=await asyncio.to_thread(all_processes),
        logs=[_log(e["name"], Path(e["path"])) for e in entries if e["kind"] == "program_log"],
    )


async def fetch_records(url: str) -> Records:
    """The records of a database in which the audit is installed."""
    connection = await asyncpg.connect(url)
    try:
        tables = [
            [_plain(row) for row in await connection.fetch(query)]
            for query in (
                "SELECT * FROM runs ORDER BY run_id",
                "SELECT * FROM cancellations ORDER BY received_at",
                "SELECT * FROM dead_letters ORDER BY letter_id",
                audit.RUN_TRANSITIONS,
                audit.COMMAND_CHANGES,
                audit.LETTER_CHANGES,
            )
        ]
    finally:
        await connection.close()
    runs, *others = tables
    return Records({row["run_id"]: row for row in runs}, *others)


def _plain(row: asyncpg.Record) -> Row:
    """The row with its JSON columns parsed."""
    parsed = dict(row)
    for name in ("evidence", "before", "after", "headers", "labels", "left_behind"):
        if isinstance(parsed.get(name), str):
            parsed[name] = json.loads(parsed[name])
    return parsed


def _log(name: str, path: Path) -> ProgramLog:
    log = ProgramLog(name, [], [])
    for line in path.read_text().splitlines():
        try:
            log.events.append(json.loads(line))
        except ValueError:
            log.other_lines.append(line)
    return log
