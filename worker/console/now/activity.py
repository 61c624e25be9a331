"""Reads what is going on now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from worker.console.now.hosts import HostsNow
from worker.console.now.rates import Rate, rates
from worker.console.now.stops import StopNow

SHOWN: Final = 50
"""Stops, and open commands."""


@dataclass(frozen=True, slots=True)
class Activity:
    at: datetime
    """By Postgres' clock."""
    stops: Sequence[StopNow]
    """The earliest deadline first."""
    stops_found: int
    waiting: Sequence[Record]
    """Open commands on runs that are not being stopped, the oldest first."""
    waiting_by_host: Sequence[Record]
    letters: Sequence[Record]
    events: Record
    hosts: HostsNow
    rates: Sequence[Rate]

    @property
    def overdue(self) -> int:
        """Of the stops that are shown."""
        return sum(stop.phase.is_bad for stop in self.stops)

    @property
    def waiting_found(self) -> int:
        return sum(group["commands"] for group in self.waiting_by_host)

    @property
    def letters_found(self) -> int:
        return sum(group["letters"] for group in self.letters)


async def read(database: Database) -> Activity:
    """On one connection, as other pages need some too. Raises ServiceUnavailable."""
    async with database.connection() as connection:
        stops = await connection.fetch(sql.now.STOPS, SHOWN)
        by_host = await connection.fetch(sql.now.WAITING_BY_HOST)
        waiting = await connection.fetch(sql.now.WAITING, SHOWN) if by_host else []
        letters = await connection.fetch(sql.now.LETTERS)
        hosts = await connection.fetch(sql.hosts.LIST_HOSTS, None)
        counted = await connection.fetch(sql.now.RATES)
        [events] = await connection.fetch(sql.now.EVENTS)
    at: datetime = events["now"]
    return Activity(
        at,
        [StopNow.of(dict(row), at) for row in stops],
        stops[0]["found"] if stops else 0,
        waiting,
        by_host,
        letters,
        events,
        HostsNow.of([dict(host) for host in hosts]),
        rates(map(dict, counted), at),
    )
