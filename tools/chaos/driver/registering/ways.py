"""The ways to register runs. Each attempts once, and says of each run what it was told."""

import asyncio
import json
from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Final, Protocol

from shared.amqp.keys import QUEUED_KEY
from shared.errors import ServiceUnavailable
from shared.postgres.database import Database
from shared.registrations import QUEUED_TYPE, Registration, register
from tools.chaos.driver.publisher import Outgoing, Publisher, Result
from tools.chaos.driver.registering.asked import Asked
from tools.chaos.driver.rest import Answer, Rest


class Told(StrEnum):
    CREATED = "created"
    EXISTS = "exists"
    STARTED = "started"
    """It is on record as asked, and no longer queued."""
    DIFFERS = "differs"
    CONFLICT = "conflict"
    """One of the last two."""
    INVALID = "invalid"
    CONFIRMED = Result.CONFIRMED.value
    REFUSED = Result.REFUSED.value
    NOT_SENT = Result.NOT_SENT.value
    UNKNOWN = Result.UNKNOWN.value


UNSURE: Final = {Told.UNKNOWN, Told.NOT_SENT, Told.REFUSED}
"""After these, a client tries again."""


class Way(Protocol):
    @property
    def name(self) -> str: ...
    async def __call__(self, asked: Sequence[Asked], random: Random) -> Sequence[str]:
        """What was told of each: one of `Told`, or something that cannot be."""


class Direct:
    """Straight into Postgres, by the product's own statement, as the command line does."""

    name = "direct"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, asked: Sequence[Asked], random: Random) -> Sequence[str]:
        runs = [Registration.model_validate_json(json.dumps(each.body)) for each in asked]
        try:
            results = await register(self._database, runs)
        except ServiceUnavailable:
            return [Told.UNKNOWN] * len(asked)
        # It tells a conflict from a run that is no longer queued.
        return [Told.DIFFERS if it.value == Told.CONFLICT else it.value for it in results]


class Put:
    """PUT /runs/{run_id}, for each run by itself."""

    name = "put"

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def __call__(self, asked: Sequence[Asked], random: Random) -> Sequence[str]:
        return await asyncio.gather(*(self._put(each, random) for each in asked))

    async def _put(self, asked: Asked, random: Random) -> str:
        answer = await self._rest.ask("PUT", f"/runs/{asked.run_id}", asked.options, random)
        match answer.status:
            case 201:
                return Told.CREATED
            case 200:
                return Told.EXISTS
            case 409:
                is_same = answer.body["details"]["reason"] == "not_queued"
                return Told.STARTED if is_same else Told.DIFFERS
        return _other(answer)


class Post:
    """POST /runs, for all of them at once."""

    name = "post"

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def __call__(self, asked: Sequence[Asked], random: Random) -> Sequence[str]:
        body = {"runs": [each.body for each in asked]}
        answer = await self._rest.ask("POST", "/runs", body, random)
        if answer.status != 200:
            return [_other(answer)] * len(asked)
        results = answer.body["results"]
        if [it["run_id"] for it in results] != [each.run_id for each in asked]:
            return ["results of other runs"] * len(asked)
        return [it["result"] for it in results]


class Message:
    """A message for each run. Its repeats are the same message."""

    name = "message"

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def __call__(self, asked: Sequence[Asked], random: Random) -> Sequence[str]:
        return await asyncio.gather(*map(self._publish, asked))

    async def _publish(self, asked: Asked) -> str:
        body = json.dumps(asked.body).encode()
        # Repeats of one run are not to be in flight at once: see `Publisher`.
        message_id = f"register-{asked.run_id}"
        return await self._publisher.publish(Outgoing(message_id, QUEUED_TYPE, QUEUED_KEY, body))


def _other(answer: Answer) -> str:
    if answer.status == 400:
        return Told.INVALID
    return f"status {answer.status}" if answer.is_sure else Told.UNKNOWN
