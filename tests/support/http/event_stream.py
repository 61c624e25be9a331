"""Event streams of a gateway, as a client reads them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aio_pika
import aiohttp

from gateway.schemas import API
from shared.events import EventType
from tests.support.http.api import Api
from tools.support.program import DEADLINE
from tools.support.system import System

EVENTS: Final = f"{API}/events"


@dataclass(frozen=True, slots=True)
class Message:
    id: str | None
    event: str | None
    data: str | None

    @property
    def json(self) -> Any:
        assert self.data is not None
        return json.loads(self.data)


class EventStream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id: str | None = None
        self.comments: list[str] = []

    async def next(self) -> Message | None:
        """The next message, also one that is no event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(DEADLINE):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.removesuffix("\n").partition(": ")
                if line == "\n":
                    if fields:
                        self.last_id = fields.get("id", self.last_id)
                        return Message(fields.get("id"), fields.get("event"), fields.get("data"))
                elif name == "":
                    self.comments.append(value)
                else:
                    assert name not in fields
                    fields[name] = value
        return None

    async def event(self) -> Message:
        """The next event or gap."""
        while (message := await self.next()) is not None:
            if message.event is not None:
                return message
        raise AssertionError("the stream ended")

    async def until(self, event_id: str) -> list[str | None]:
        """The events up to this one, by their ids; None is a gap."""
        found: list[str | None] = []
        while event_id not in found:
            found.append((await self.event()).id)
        return found


@asynccontextmanager
async def streaming(
    api: Api, query: str = "", last_id: str | None = None
) -> AsyncIterator[EventStream]:
    headers = {"Authorization": f"Bearer {api.token}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    timeout = aiohttp.ClientTimeout(total=None)
    async with api.http.get(
        f"{api.url}{EVENTS}{query}", headers=headers, timeout=timeout
    ) as response:
        assert response.status == 200, await response.text()
        yield EventStream(response)


async def tell(
    system: System,
    event_id: str,
    run_id: int = 1,
    kind: str = EventType.RUN_FINISHED.cloud_type,
    data: Mapping[str, Any] | None = None,
    indent: int | None = None,
) -> dict[str, Any]:
    """Publish an event as a worker does; the event."""
    event = {
        **{"specversion": "1.0", "id": event_id, "source": "/run-cancel", "type": kind},
        **({"subject": str(run_id)} if run_id else {}),
        "data": {"run_id": run_id or None, **(data or {})},
    }
    await tell_raw(system, json.dumps(event, indent=indent).encode(), event_id)
    return event


async def tell_raw(system: System, body: bytes, message_id: str) -> None:
    exchange = await system.channel.get_exchange(system.topology.events, ensure=False)
    message = aio_pika.Message(body, message_id=message_id)
    await exchange.publish(message, "run.finished", mandatory=False)
