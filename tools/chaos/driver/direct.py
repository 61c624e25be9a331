"""Cancel commands published straight to the broker."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import uuid4

from shared.amqp.keys import CANCEL_KEY
from shared.commands import CANCEL_TYPE
from tools.chaos.driver.attempts import repeated
from tools.chaos.driver.journal import Journal
from tools.chaos.driver.publisher import Outgoing, Publisher, Result

Command = Mapping[str, Any]


class DirectPublisher:
    def __init__(self, publisher: Publisher, journal: Journal) -> None:
        self._publisher = publisher
        self._journal = journal
        self.published: list[Command] = []
        """What was confirmed, to be published once more."""

    async def cancel(self, run_id: int, random: Random, **fields: Any) -> Command:
        """Publish a new command until it is confirmed, always with the same id."""
        command = {"command_id": str(uuid4()), "run_id": run_id, **fields}
        command["reason"] = command["command_id"]
        await self.publish(command, random)
        return command

    async def publish(self, command: Command, random: Random) -> None:
        message = Outgoing(
            command["command_id"], CANCEL_TYPE, CANCEL_KEY, json.dumps(command).encode()
        )

        async def once() -> bool | None:
            result = await self._publisher.publish(message)
            self._journal.write("publish", **command, result=result)
            return True if result is Result.CONFIRMED else None

        if await repeated(once, random):
            self.published.append(command)
