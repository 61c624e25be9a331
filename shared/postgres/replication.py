"""Warns if a failover of Postgres could undo what was committed, or if commits wait for a standby.

The promises hold through a failover only if each commit is on the disk of the server that takes
over: with `synchronous_standby_names`, and `synchronous_commit` as it is by default.
https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

from shared.configuration import postgres_url
from shared.configuration.settings import DatabaseSettings
from shared.deferred_logs import get_logger
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.services.warnings import About, Warnings

log = get_logger(__name__)

PROBES: Final = 6
"""Replication is looked at once in so many probe intervals: its settings seldom change."""


class Risk(StrEnum):
    NO_SYNCHRONOUS_STANDBY = "no_synchronous_standby"
    SYNCHRONOUS_COMMIT = "synchronous_commit"
    STANDBY_AWAY = "standby_away"


@dataclass(frozen=True, slots=True)
class Replication:
    """How the server replicates, as far as the role may know."""

    names: str
    """`synchronous_standby_names`."""
    synchronous_commit: str
    """As it is for our sessions."""
    standbys: int
    """How many are connected."""
    has_synchronous: bool | None
    """Whether one of them is synchronous; None if the role may not know, or none is connected."""

    def risk(self, *, several_hosts: bool) -> tuple[Risk, str] | None:
        """What may happen to commits, and why; None for a server alone, and if all is well.

        `several_hosts`: whether DATABASE_URL names servers to fail over to.
        """
        if self.synchronous_commit == "off":
            return (
                Risk.SYNCHRONOUS_COMMIT,
                "a crash of Postgres may undo the last commits: synchronous_commit is off",
            )
        if not self.names.strip():
            if not (self.standbys or several_hosts):
                return None
            return (
                Risk.NO_SYNCHRONOUS_STANDBY,
                "a failover of Postgres may undo the last commits: "
                "synchronous_standby_names is empty",
            )
        if self.synchronous_commit not in ("on", "remote_apply"):
            return (
                Risk.SYNCHRONOUS_COMMIT,
                "a failover of Postgres may undo the last commits: "
                f"synchronous_commit is {self.synchronous_commit}",
            )
        if not self.standbys or self.has_synchronous is False:
            return (
                Risk.STANDBY_AWAY,
                "commits wait: no standby of synchronous_standby_names is connected",
            )
        return None


class ReplicationWatch:
    """Logs a risk when it appears and when it is gone; /readyz and a metric show it."""

    def __init__(
        self,
        database: Database,
        settings: DatabaseSettings,
        warnings: Warnings,
        registry: CollectorRegistry,
    ) -> None:
        url = postgres_url.parse(settings.database_url.get_secret_value())
        self._database = database
        self._warnings = warnings
        self._several_hosts = len(url.hosts) > 1
        self._told: tuple[Risk, str] | None = None
        gauge = Gauge(
            "cancel_postgres_commit_risk",
            "Whether commits may be undone by a failover or a crash, or wait for a standby (1).",
            ["risk"],
            registry=registry,
        )
        self._gauges = {risk: gauge.labels(risk.value) for risk in Risk}

    async def keep_looking(self, probe_interval: float) -> NoReturn:
        """Look now, and then every `PROBES` intervals (seconds)."""
        while True:
            await self.look()
            await asyncio.sleep(PROBES * probe_interval)

    async def look(self) -> None:
        """Ask Postgres, and tell what has changed. If it does not answer, nothing has."""
        try:
            row = await self._database.fetchrow(sql.replication.READ_REPLICATION)
        except ServiceUnavailable:
            return
        except asyncpg.PostgresError as error:
            log.warning("replication_not_read", error=str(error))
            return
        if row is not None:
            self._tell(Replication(**row).risk(several_hosts=self._several_hosts))

    def _tell(self, found: tuple[Risk, str] | None) -> None:
        for risk, gauge in self._gauges.items():
            gauge.set(found is not None and risk is found[0])
        self._warnings.tell(About.POSTGRES_REPLICATION, [found[1]] if found else [])
        if found == self._told:
            return
        self._told = found
        if found is None:
            log.info("commits_safe")
        else:
            log.warning("commits_at_risk", risk=found[0].value, reason=found[1])
