"""Services are probed at an interval, also while nobody asks for their state."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from shared.services import checks
from shared.services.checks import Dependencies, Service


class Enough(Exception):
    """Ends what would go on for ever."""


async def test_each_service_is_probed_at_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    async def sleep(seconds: float) -> None:
        note(seconds)

    async def probe() -> bool:
        note("probe")
        return True

    def note(what: object) -> None:
        if len(done) == 6:
            raise Enough
        done.append(what)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(checks, "_FRESH", -1.0)
    dependencies = Dependencies({Service.POSTGRES: probe}, CollectorRegistry())

    with pytest.raises(Enough):
        await dependencies.keep_looking(7.0)

    assert done == [7.0, "probe"] * 3
