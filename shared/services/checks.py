"""Checks whether the services that a program needs are available, and since when one is not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from time import monotonic
from typing import Final, NoReturn

from prometheus_client import CollectorRegistry, Gauge

from shared.errors import ServiceUnavailable

# Seconds.
_ANSWER_TIMEOUT: Final = 2.0
"""Timeout of a probe. Readiness checks do not wait any longer."""
_FRESH: Final = 1.0
"""Results are cached for this time, so that clients cannot make us probe all the time."""

Probe = Callable[[], Awaitable[bool]]
"""May raise ServiceUnavailable with a reason, instead of returning False."""


class Service(StrEnum):
    POSTGRES = "postgres"
    RABBITMQ = "rabbitmq"


@dataclass(frozen=True, slots=True)
class Missing:
    service: Service
    since: datetime
    """The time of the first probe without an answer, UTC."""
    seconds: float
    """Since then, by the monotonic clock."""
    reason: str | None
    """Why it does not answer, where that is known."""


@dataclass(frozen=True, slots=True)
class _Noticed:
    at: datetime
    monotonic_at: float
    """The same moment, by the monotonic clock, as the system clock may be set."""


@dataclass(frozen=True, slots=True)
class _Answer:
    came: bool
    reason: str | None = None
    """The reason for no answer, if known."""


class Dependencies:
    """Probes each service, and remembers since when one is unavailable."""

    def __init__(self, probes: Mapping[Service, Probe], registry: CollectorRegistry) -> None:
        """Each probe is called at most once a second, all at the same time, for 2 seconds at most.

        It is canceled then. `registry` gets a gauge with the last results.
        """
        self._probes = probes
        self._missing: dict[Service, _Noticed] = {}
        self._reasons: dict[Service, str | None] = {}
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        up = Gauge(
            "cancel_service_up",
            "Whether a service that this program needs is available (1) or not (0).",
            ["service"],
            registry=registry,
        )
        self._up = {service: up.labels(service.value) for service in probes}

    async def keep_looking(self, every: float) -> NoReturn:
        """Probe at this interval, to know since when a service is unavailable."""
        while True:
            await asyncio.sleep(every)
            await self.missing()

    async def missing(self) -> list[Missing]:
        """The services that are unavailable now, or were within the last second."""
        async with self._looking:
            if monotonic() - self._looked_at > _FRESH:
                await self._look()
        now = monotonic()
        return [
            Missing(service, noticed.at, now - noticed.monotonic_at, self._reasons[service])
            for service, noticed in self._missing.items()
        ]

    async def _look(self) -> None:
        began = _Noticed(datetime.now(UTC), monotonic())
        answers = await asyncio.gather(*map(_answers, self._probes.values()))
        for service, answer in zip(self._probes, answers, strict=True):
            self._up[service].set(answer.came)
            self._reasons[service] = answer.reason
            if answer.came:
                self._missing.pop(service, None)
            else:
                self._missing.setdefault(service, began)
        self._looked_at = monotonic()


async def _answers(probe: Probe) -> _Answer:
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            return _Answer(await probe())
    except TimeoutError:
        return _Answer(False)
    except ServiceUnavailable as error:
        return _Answer(False, str(error))
