"""Messages that register runs, as publishers send them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import aiormq
from aiormq import spec

from shared.amqp.keys import QUEUED_KEY
from shared.registrations import QUEUED_TYPE
from tests.support.broker.queues import holds
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually


def registration(run_id: int, **fields: Any) -> bytes:
    return json.dumps({"run_id": run_id, **fields}).encode()


async def send_registration(system: System, run_id: int, **fields: Any) -> None:
    await send_body(system, registration(run_id, **fields))


async def send_body(system: System, body: bytes, **properties: Any) -> None:
    await system.publish_raw(body, QUEUED_KEY, **{"type": QUEUED_TYPE, **properties})


async def flood(system: System, bodies: Iterable[bytes]) -> None:
    """Fill the queue, without publisher confirms, which would take most of the time."""
    connection = await aiormq.connect(system.amqp_url)
    channel = await connection.channel(publisher_confirms=False)
    properties = spec.Basic.Properties(message_type=QUEUED_TYPE, delivery_mode=2)
    number = 0
    for number, body in enumerate(bodies, 1):  # noqa: B007 - it is used below
        await channel.basic_publish(
            body,
            exchange=system.topology.commands,
            routing_key=QUEUED_KEY,
            properties=properties,
        )
    await holds(system, system.topology.queued, number)
    await connection.close()


async def registered(system: System, run_id: int) -> Json:
    """Wait until the run is on record; its row."""
    row = await eventually(
        lambda: system.database.fetchrow("SELECT * FROM runs WHERE run_id = $1", run_id),
        what=f"run {run_id}",
    )
    assert row is not None
    return dict(row)


async def settled(system: System, number: int) -> None:
    """Wait until no registration is in the queue and `number` runs are on record."""
    await eventually(
        lambda: system.database.fetchval("SELECT count(*) FROM runs"),
        lambda found: found == number,
        what="the number of runs",
    )
    await eventually(
        lambda: system.depth(system.topology.queued), lambda depth: depth == 0, what="the queue"
    )


def options(row: Mapping[str, Any]) -> Json:
    """What the run of this row was registered with."""
    names = ("grace_seconds", "stop_signal", "stop_scope", "leftovers", "url", "start_before")
    return {name: row[name] for name in names} | {"labels": json.loads(row["labels"])}
