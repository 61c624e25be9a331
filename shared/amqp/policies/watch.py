"""Warns if a policy of RabbitMQ holds for our queues, by the management API where it is set."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.amqp.policies.effects import Finding, on_commands, on_queue, our_queues
from shared.amqp.policies.management import Management, ManagementAccess
from shared.amqp.topology import Topology
from shared.configuration.settings import ServiceSettings
from shared.deferred_logs import get_logger
from shared.errors import ServiceUnavailable
from shared.services.warnings import About, Warnings

log = get_logger(__name__)

PROBES: Final = 6
"""The API is asked once in so many probe intervals: policies seldom change."""


class PolicyWatch:
    """Logs what appears and what is gone; /readyz and metrics show what holds.

    AMQP itself says nothing of policies: without the management API, only what a policy has done is
    noticed, by the dead letters with the reason `expired` or `maxlen`.
    """

    def __init__(
        self, settings: ServiceSettings, url: str, warnings: Warnings, registry: CollectorRegistry
    ) -> None:
        """`url` of the management API."""
        self._access = ManagementAccess(settings, url)
        self._queues = our_queues(settings.topology_prefix)
        self._commands = Topology(settings.topology_prefix).commands
        self._warnings = warnings
        self._found: list[Finding] = []
        self._problem: str | None = None
        registry.register(_Policies(self))
        self._read = Gauge(
            "cancel_queue_policies_read",
            "Whether the management API says which policies hold (1) or not (0).",
            registry=registry,
        )

    @property
    def found(self) -> Sequence[Finding]:
        """What held when the API last answered."""
        return self._found

    async def keep_looking(self, probe_interval: float) -> NoReturn:
        """Look now, and then every `PROBES` intervals (seconds)."""
        while True:
            await self.look()
            await asyncio.sleep(PROBES * probe_interval)

    async def look(self) -> None:
        """Ask, and tell what has changed. Without an answer, what was found last still counts."""
        problem = None
        try:
            found = await self._ask()
        except ServiceUnavailable as error:
            problem = str(error)
        else:
            self._tell(found)
        self._read.set(problem is None)
        if problem is not None and problem != self._problem:
            log.warning("queue_policies_not_read", error=problem)
        self._problem = problem
        messages = [each.message for each in self._found]
        self._warnings.tell(About.QUEUE_POLICIES, [*messages, *([problem] if problem else [])])

    async def _ask(self) -> list[Finding]:
        http, management = await self._access.session()
        async with http:
            return await self._findings(management)

    async def _findings(self, management: Management) -> list[Finding]:
        await management.check_statistics()
        held = await management.on_exchange(self._commands)
        found = [] if held is None else on_commands(held)
        for name, queue in self._queues.items():
            held = await management.on_queue(name)
            found += [] if held is None else on_queue(queue, held)
        return found

    def _tell(self, found: list[Finding]) -> None:
        for each in self._found:
            if each not in found:
                log.info("queue_policy_gone", queue=each.queue, policy=each.policy, key=each.key)
        for each in found:
            if each not in self._found:
                log.warning(
                    "queue_policy_found",
                    queue=each.queue,
                    policy=each.policy,
                    key=each.key,
                    effect=each.effect.value,
                    reason=each.what,
                )
        self._found = found


class _Policies(Collector):
    """A metric of what holds."""

    def __init__(self, watch: PolicyWatch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "cancel_queue_policy",
            "A policy of RabbitMQ that holds for a queue: it loses messages, or limits them (1).",
            labels=["queue", "policy", "key", "effect"],
        )
        for each in self._watch.found:
            family.add_metric([each.queue, each.policy, each.key, each.effect.value], 1)
        yield family


def watch_policies(
    settings: ServiceSettings,
    warnings: Warnings,
    registry: CollectorRegistry,
    tasks: asyncio.TaskGroup,
) -> None:
    """Start a watch, if the settings name the management API."""
    if (url := settings.rabbitmq_management_url) is not None:
        watch = PolicyWatch(settings, url.get_secret_value(), warnings, registry)
        tasks.create_task(watch.keep_looking(settings.probe_interval))
