"""A node has too little memory or disk, which blocks publishers on all nodes."""

from time import monotonic

import pytest

from tests.support.broker.cluster.clustered import ClusteredSystem
from tests.support.broker.cluster.drill import QUEUED, Drill
from tools.services import Alarm

GOES_ON = 5.0
"""Seconds after the alarm until the next cancel is accepted."""


@pytest.mark.parametrize("alarm", Alarm)
async def test_cancels_are_not_accepted_during_an_alarm_and_are_after_it(
    clustered: ClusteredSystem, alarm: Alarm
) -> None:
    drill = await Drill.prepare(clustered, CANCEL_CONFIRM_TIMEOUT="1")
    api, system = drill.storm.api, clustered.system

    async with drill.cancels():
        await clustered.do(clustered.cluster.raise_alarm, alarm, 1)
        await drill.gateway.event("publishing_unanswered", count=2)
        # Nothing is refused that was accepted, and nothing accepted that is not stored.
        answer = await api.cancel(QUEUED[-1])
        assert answer.error == (503, "unavailable")
        assert answer.headers["Retry-After"]
        assert (await system.run(QUEUED[-1]))["status"] == "queued"
        # What needs no publishing goes on: a read, and the worker's work.
        assert (await api.ask("GET", f"/api/v1/runs/{QUEUED[-1]}")).status == 200
        await clustered.do(clustered.cluster.end_alarms)
        drill.began = monotonic()

    assert await drill.nothing_is_lost(f"after a {alarm} alarm") < GOES_ON
    await drill.queues_drain()
