"""Metrics of the whole installation, read from Postgres at each scrape.

Every gateway exports the same values. Workers export none.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from typing import Final, NamedTuple

import structlog
from asyncpg import PostgresError
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.errors import ServiceUnavailable
from shared.postgres.database import Database
from shared.postgres.sql.statistics import (
    MOST,
    MOST_NAMED,
    OVERDUE_AFTER,
    READ_STATISTICS,
)
from shared.states import DeadReason, HostState, RunStatus

log = structlog.get_logger(__name__)

# Seconds.
_TIMEOUT: Final = 2.0
_FRESH: Final = 5.0
"""A scrape within this time gets the values of the previous one."""

_OTHER: Final = "other"
_NAMED: Final = f"the {MOST_NAMED} hosts with the highest values"
_WAITS_FOR: Final = ("stop", *(f"host_{state}" for state in HostState))


class _Gauge(NamedTuple):
    name: str
    documentation: str
    label: str | None = None
    values: tuple[str, ...] = ()
    """Known values of the label. Missing ones are exported as 0, unknown ones as `other`.

    Without known values, those are exported that were read: the statement bounds their number.
    """


# By the column `what` of READ_STATISTICS.
_GAUGES: Final[Mapping[str, _Gauge]] = {
    "runs": _Gauge(
        "cancel_runs",
        f"Runs by status. Counting stops at {MOST} of each.",
        "status",
        tuple(RunStatus),
    ),
    "stops_overdue": _Gauge(
        "cancel_stops_overdue",
        f"Runs still in canceling {OVERDUE_AFTER} s after the deadline of their stop.",
    ),
    "stop_overdue_seconds": _Gauge(
        "cancel_stop_overdue_seconds",
        "Seconds since the deadline of the most overdue stop.",
    ),
    "runs_unkillable": _Gauge(
        "cancel_runs_unkillable", "Runs with a process that survived SIGKILL and may still live."
    ),
    "commands_open": _Gauge(
        "cancel_commands_open",
        "Open commands, by what they wait for: the end of their stop, or the worker of a host in "
        f"this state. Counting stops at {MOST}.",
        "waits_for",
        _WAITS_FOR,
    ),
    "commands_open_oldest": _Gauge(
        "cancel_commands_open_oldest_age_seconds",
        "Age of the oldest open command.",
        "waits_for",
        _WAITS_FOR,
    ),
    "letters_waiting": _Gauge(
        "cancel_dead_letters_waiting",
        f"Dead letters waiting for an operator. Counting stops at {MOST}.",
        "reason",
        tuple(DeadReason),
    ),
    "letters_oldest": _Gauge(
        "cancel_dead_letters_oldest_age_seconds",
        "Age of the oldest dead letter waiting for an operator.",
        "reason",
        tuple(DeadReason),
    ),
    "events_waiting": _Gauge(
        "cancel_events_waiting",
        f"Events and dead letters in the outbox. Counting stops at {MOST}.",
    ),
    "events_oldest": _Gauge(
        "cancel_events_waiting_oldest_age_seconds",
        "Age of the oldest event or dead letter in the outbox. Events are dropped after a day.",
    ),
    "hosts": _Gauge("cancel_hosts", "Runner hosts by state.", "state", tuple(HostState)),
    "host_silent": _Gauge(
        "cancel_host_silent_seconds",
        f"Seconds since the last heartbeat of silent hosts with live runs; {_NAMED}.",
        "host",
    ),
    "host_waiting": _Gauge(
        "cancel_host_commands_waiting",
        f"Open commands that wait for the worker of the host; {_NAMED}.",
        "host",
    ),
    "host_waiting_oldest": _Gauge(
        "cancel_host_commands_waiting_oldest_age_seconds",
        f"Age of the oldest command that waits for the worker of the host; {_NAMED}.",
        "host",
    ),
    "host_overdue": _Gauge(
        "cancel_host_stop_overdue_seconds",
        f"Seconds since the deadline of the host's most overdue stop; {_NAMED}.",
        "host",
    ),
    "host_unkillable": _Gauge(
        "cancel_host_runs_unkillable",
        f"Runs of the host with a process that survived SIGKILL; {_NAMED}.",
        "host",
    ),
}

_Found = Mapping[str, Mapping[str, float]]
"""Values by `what` and label."""


class Statistics(Collector):
    def __init__(self, database: Database, registry: CollectorRegistry) -> None:
        self._database = database
        self._found: _Found | None = None
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        registry.register(self)

    async def refresh(self) -> None:
        """Read the values for `collect`, unless they are fresh. Takes a bounded time."""
        async with self._reading:
            if monotonic() - self._read_at > _FRESH:
                self._found = await self._read()
                self._read_at = monotonic()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(
            "cancel_statistics_up",
            "Whether Postgres was read for this scrape (1) or not (0). If not, the gateway omits "
            "cancel_runs*, cancel_stop*, cancel_commands_open*, cancel_dead_letters*, "
            "cancel_events* and cancel_host*.",
            value=self._found is not None,
        )
        if self._found is not None:
            for what, gauge in _GAUGES.items():
                yield _family(gauge, self._found.get(what, {}))

    async def _read(self) -> _Found | None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                rows = await self._database.fetch(READ_STATISTICS, list(RunStatus))
        except (ServiceUnavailable, TimeoutError, PostgresError) as error:
            # PostgresError, for example: our role may not read a table.
            log.warning("statistics_not_read", error=str(error) or "no answer in time")
            return None
        except Exception:  # the other metrics are still useful
            log.exception("statistics_not_read")
            return None
        return _by_subject((row["what"], row["label"], row["value"]) for row in rows)


def _by_subject(rows: Iterable[tuple[str, str, float]]) -> _Found:
    found: dict[str, dict[str, float]] = {}
    for what, label, value in rows:
        found.setdefault(what, {})[label] = value
    return found


def _family(gauge: _Gauge, values: Mapping[str, float]) -> GaugeMetricFamily:
    if gauge.label is None:
        return GaugeMetricFamily(gauge.name, gauge.documentation, value=values.get("", 0.0))
    family = GaugeMetricFamily(gauge.name, gauge.documentation, labels=[gauge.label])
    if not gauge.values:
        for label, value in values.items():
            family.add_metric([label], value)
        return family
    for label in gauge.values:
        family.add_metric([label], values.get(label, 0.0))
    others = [value for label, value in values.items() if label not in gauge.values]
    if others:
        # One series for all unknown labels, so that the number of series is bounded.
        combined = max(others) if gauge.name.endswith("_seconds") else sum(others)
        family.add_metric([_OTHER], combined)
    return family
