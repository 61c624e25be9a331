"""POST /api/v1/cancellations: cancel many runs, each by a command of its own."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from uuid import UUID, uuid4, uuid5

from aiohttp import web
from asyncpg import Record

from gateway.auth.access import MAY_CANCEL, Scope
from gateway.auth.admission import Access, Budget, Gate
from gateway.cancels.answers import RunState, cancel_answer
from gateway.cancels.idempotency import key_of, recorded
from gateway.cancels.publisher import CommandPublisher
from gateway.http.body import read_body
from gateway.http.errors import unavailable
from gateway.http.query import refuse_unknown
from gateway.http.request_id import request_id
from gateway.schemas import (
    MAX_BULK,
    BulkCancelAnswer,
    BulkCancelRequest,
    BulkResult,
    BulkStatus,
)
from shared.commands import CancelCommand
from shared.errors import PublishRefused, ServiceUnavailable
from shared.http.json_responses import json_response
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus

_ACCESS: Final = Access(Budget.WRITE, Scope.RUNS_BULK, roles=MAY_CANCEL)
_IN_FLIGHT: Final = 100
"""Publishes of one request at a time."""


class _Selection(NamedTuple):
    """The runs that are asked for, in order; a state of None is an unknown run."""

    runs: dict[int, RunState | None]
    matched: int


class BulkCancelHandler:
    def __init__(
        self,
        gate: Gate,
        database: Database,
        publisher: CommandPublisher,
        body_timeout: float,
        publish_timeout: float,
        counted: Callable[[BulkStatus], None],
    ) -> None:
        """The timeouts are in seconds; no publish begins after `publish_timeout`.

        `counted` is called for each result of a 202.
        """
        self._gate = gate
        self._database = database
        self._publisher = publisher
        self._body_timeout = body_timeout
        self._publish_timeout = publish_timeout
        self._counted = counted

    async def handle(self, request: web.Request) -> web.Response:
        admission = await self._gate.admit(request, _ACCESS)
        refuse_unknown(request)
        key = key_of(request)
        body = await read_body(request, BulkCancelRequest, self._body_timeout)
        selection = await self._select(body)
        commands = {
            run_id: CancelCommand(
                command_id=uuid5(key, str(run_id)) if key else uuid4(),
                run_id=run_id,
                reason=body.reason or None,
                requested_by=admission.caller.subject,
                requested_at=admission.row["asked_at"],
            )
            for run_id, state in selection.runs.items()
            if state is not None
        }
        earlier = await self._earlier(key, commands)
        new = [command for run_id, command in commands.items() if run_id not in earlier]
        confirmed = await self._publish(new, request_id(request))
        if commands and not confirmed and not earlier:
            raise unavailable()

        results = []
        for run_id, now in selection.runs.items():
            state = earlier.get(run_id, now)
            if state is None:
                result = BulkResult(run_id=run_id, status=BulkStatus.NOT_FOUND, command_id=None)
            else:
                is_sure = run_id in earlier or run_id in confirmed
                result = BulkResult(
                    run_id=run_id,
                    status=BulkStatus(cancel_answer(run_id, state)["status"])
                    if is_sure
                    else BulkStatus.UNAVAILABLE,
                    command_id=commands[run_id].command_id,
                )
            self._counted(result.status)
            results.append(result)
        return json_response(BulkCancelAnswer(results=results, matched=selection.matched), 202)

    async def _select(self, body: BulkCancelRequest) -> _Selection:
        if body.labels:
            rows = await self._database.fetch(
                sql.cancellations.LIST_SUPERSEDED,
                json.dumps(body.labels),
                body.before_run,
                MAX_BULK,
            )
            return _Selection(
                {row["run_id"]: _state(row) for row in rows},
                rows[0]["matched"] if rows else 0,
            )
        rows = await self._database.fetch(sql.cancellations.FIND_STATUSES, body.run_ids)
        states = {row["run_id"]: _state(row) for row in rows}
        return _Selection({run_id: states.get(run_id) for run_id in body.run_ids}, len(states))

    async def _earlier(
        self, key: UUID | None, commands: dict[int, CancelCommand]
    ) -> dict[int, RunState]:
        """The runs whose command is on record from an earlier attempt, as they were then."""
        if key is None or not commands:
            return {}
        found = await recorded(self._database, [it.command_id for it in commands.values()])
        return {it.run_id: it.state for it in found.values()}

    async def _publish(self, commands: list[CancelCommand], correlation_id: str) -> set[int]:
        """Publish the commands; the runs of those that the broker confirmed."""
        confirmed: set[int] = set()
        until = asyncio.get_running_loop().time() + self._publish_timeout
        waiting = iter(commands)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_IN_FLIGHT, len(commands))):
                tasks.create_task(self._publish_each(waiting, correlation_id, until, confirmed))
        return confirmed

    async def _publish_each(
        self,
        waiting: Iterator[CancelCommand],
        correlation_id: str,
        until: float,
        confirmed: set[int],
    ) -> None:
        for command in waiting:
            if asyncio.get_running_loop().time() >= until:
                return
            try:
                await self._publisher.publish(command, correlation_id)
            except (PublishRefused, ServiceUnavailable):
                continue  # told by its result
            confirmed.add(command.run_id)


def _state(row: Record) -> RunState:
    return RunState(RunStatus(row["status"]), row["leftovers_possible"])
