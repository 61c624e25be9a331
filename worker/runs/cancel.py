"""`runs cancel`: publishes a command for each run, and waits for the outcomes if asked to."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from time import monotonic
from typing import Any, Final
from uuid import UUID, uuid4

from aio_pika import DeliveryMode, Message
from asyncpg import Record

from shared.amqp.keys import CANCEL_KEY
from shared.commands import CANCEL_TYPE, CancelCommand
from shared.errors import PublishRefused, PublishUnknown, ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.publishing import Publishing
from shared.states import Outcome
from worker.runs.store import BATCH

_IN_FLIGHT: Final = 64
_EVERY: Final = 0.2
"""Polling interval, seconds."""
_SUCCESS: Final = (Outcome.CANCELED, Outcome.NO_OP, Outcome.FORCED, Outcome.LEFTOVERS_STOPPED)

Count = Callable[[int], None]


class CancelStatus(StrEnum):
    """How far a cancel has come."""

    NOT_FOUND = "not_found"
    """The run is not on record, and nothing was published."""
    NOT_PUBLISHED = "not_published"
    UNCONFIRMED = "unconfirmed"
    """It may have been published."""
    REQUESTED = "requested"
    SETTLED = "settled"
    DEAD_LETTER = "dead_letter"


@dataclass(slots=True)
class Cancel:
    """A cancel of one run, and what is known of it."""

    run_id: int
    status: CancelStatus = CancelStatus.NOT_PUBLISHED
    command_id: UUID | None = None
    outcome: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    letter_id: int | None = None
    reason: str | None = None
    """Why it is a dead letter, as a code; and in words:"""
    error: str | None = None
    run_status: str | None = None
    host: str | None = None

    @property
    def is_requested(self) -> bool:
        """Whether it is published, and has neither an outcome nor a dead letter yet."""
        return self.status is CancelStatus.REQUESTED

    @property
    def has_failed(self) -> bool:
        return not (self.is_requested or self.outcome in _SUCCESS)


@dataclass(frozen=True, slots=True)
class CancelOptions:
    """`wait` is in seconds; None to wait for nothing."""

    by: str
    reason: str | None
    force: bool
    wait: float | None


@dataclass(slots=True)
class Result:
    cancels: list[Cancel]
    failed: str | None = None
    """Why not all were published."""
    interrupted: bool = False


async def find_unknown(database: Database, run_ids: Sequence[int]) -> set[int]:
    """Which of the runs are not on record."""
    known: set[int] = set()
    for start in range(0, len(run_ids), BATCH):
        rows = await database.fetch(sql.decisions.KNOWN_RUNS, run_ids[start : start + BATCH])
        known.update(row["run_id"] for row in rows)
    return set(run_ids) - known


async def cancel(
    publishing: Publishing,
    run_ids: Sequence[int],
    options: CancelOptions,
    stop: asyncio.Event,
    requested: Count,
    settled: Count,
) -> Result:
    """Publish a command for each run and, if asked to, wait for the outcomes, until `stop` is set.

    `requested` and `settled` are called with the number so far.
    """
    result = Result([Cancel(run_id) for run_id in run_ids])
    await _publish_all(publishing, result, options, stop, requested)
    if options.wait is not None:
        await _wait(publishing.database, result.cancels, options.wait, stop, settled)
    result.interrupted = stop.is_set() and result.failed is None
    return result


async def _publish_all(
    publishing: Publishing,
    result: Result,
    options: CancelOptions,
    stop: asyncio.Event,
    requested: Count,
) -> None:
    rest = iter(result.cancels)
    number = 0

    async def publish_some() -> None:
        nonlocal number
        while not stop.is_set() and result.failed is None and (each := next(rest, None)):
            try:
                await _publish(publishing, each, options)
                each.status = CancelStatus.REQUESTED
            except PublishUnknown as error:
                each.status, result.failed = CancelStatus.UNCONFIRMED, str(error)
            except PublishRefused as error:
                result.failed = str(error)
            else:
                number += 1
                requested(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.create_task(publish_some())


async def _publish(publishing: Publishing, each: Cancel, options: CancelOptions) -> None:
    """Raises PublishRefused and PublishUnknown."""
    each.command_id = uuid4()
    now = datetime.now(UTC)
    command = CancelCommand(
        command_id=each.command_id,
        run_id=each.run_id,
        reason=options.reason,
        requested_by=options.by,
        requested_at=now,
        force=options.force,
    )
    message = Message(
        command.model_dump_json(exclude_none=True).encode(),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(each.command_id),
        timestamp=now,
        type=CANCEL_TYPE,
        app_id="cancel-worker",
        user_id=publishing.broker_user,
    )
    await publishing.publisher.publish(publishing.topology.commands, CANCEL_KEY, message)


async def _wait(
    database: Database,
    cancels: Sequence[Cancel],
    seconds: float,
    stop: asyncio.Event,
    settled: Count,
) -> None:
    """Wait until no cancel is only requested, at most `seconds`. Ignores outages of Postgres."""
    end = monotonic() + seconds
    waiting = [each for each in cancels if each.is_requested]
    number = len(waiting)
    while waiting:
        # Checked before the look, so that there is a last look at the end.
        is_last = stop.is_set() or monotonic() >= end
        with suppress(ServiceUnavailable):
            await _look(database, waiting)
        waiting = [each for each in waiting if each.is_requested]
        settled(number - len(waiting))
        if is_last:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_EVERY, max(end - monotonic(), 0))):
                await stop.wait()


async def _look(database: Database, cancels: Sequence[Cancel]) -> None:
    for start in range(0, len(cancels), BATCH):
        page = {each.command_id: each for each in cancels[start : start + BATCH]}
        run_ids = [each.run_id for each in page.values()]
        for row in await database.fetch(sql.runs.LIST_RESULTS, [*page], run_ids):
            _note(page[row["command_id"]], row)


def _note(each: Cancel, row: Record) -> None:
    each.run_status, each.host = row["status"], row["host"]
    if row["outcome"] is not None:
        each.status = CancelStatus.SETTLED
        each.outcome, each.evidence = row["outcome"], json.loads(row["evidence"])
    elif row["letter_id"] is not None:
        each.status = CancelStatus.DEAD_LETTER
        each.letter_id, each.reason, each.error = row["letter_id"], row["reason"], row["error"]


def as_json(each: Cancel) -> dict[str, object]:
    return {
        "run_id": each.run_id,
        "status": each.status.value,
        "command_id": None if each.command_id is None else str(each.command_id),
        "outcome": each.outcome,
        "dead_letter": each.letter_id,
        "run_status": each.run_status,
        "host": each.host,
    }
