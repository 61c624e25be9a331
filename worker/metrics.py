"""Counters of the worker. Labels are bound once, so that no command has to look them up."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.registrations import Registered
from shared.states import DeadReason, Outcome
from worker.evidence import Ended, Evidence
from worker.memory.kinds import Healed

# Seconds. A run that obeys takes milliseconds, a killed one its grace period (10 s by default)
# and a little more.
_STOP_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 10.5, 11.0),
    *(15.0, 30.0, 60.0, 300.0, 620.0),
)
# `never_started` is not a stop.
_ENDS: Final = {
    Ended.ALREADY_GONE: "already_gone",
    Ended.OBEYED: "obeyed",
    Ended.KILLED: "killed",
    Ended.SURVIVED: "failed",
    Ended.NOT_PROVED: "failed",
}
PRUNED_TABLES: Final = (
    *("runs", "run_labels", "cancellations", "dead_letters", "dead_letter_actions"),
    *("host_actions", "audit"),
)
# A conflict is dead-lettered.
_REGISTERED: Final = (Registered.CREATED, Registered.EXISTS, Registered.STARTED)


class _MovedOn(StrEnum):
    """How a delivery is settled without an outcome."""

    PENDING = "pending"
    """It waits for the worker of another host."""
    RETRIED = "retried"
    DEAD_LETTERED = "dead_lettered"


class WorkerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        commands = Counter(
            "cancel_commands",
            "Commands that this worker settled, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._commands = {each: commands.labels(each.value) for each in (*Outcome, *_MovedOn)}
        retries = Counter(
            "cancel_retries",
            "Retries that this worker published, by reason.",
            ["reason"],
            registry=registry,
        )
        self._retries = {reason: retries.labels(reason.value) for reason in DeadReason}
        letters = Counter(
            "cancel_dead_lettered",
            "Messages that this worker dead-lettered, by reason.",
            ["reason"],
            registry=registry,
        )
        self._letters = {reason: letters.labels(reason.value) for reason in DeadReason}
        registrations = Counter(
            "cancel_registrations",
            "Registrations that this worker settled, by result.",
            ["result"],
            registry=registry,
        )
        self._registrations = {
            each: registrations.labels(each.value)
            for each in (*_REGISTERED, _MovedOn.DEAD_LETTERED)
        }
        self.redelivered = Counter(
            "cancel_redeliveries",
            "Messages that RabbitMQ delivered again after a worker or a channel was lost.",
            registry=registry,
        ).inc
        self.expired = Counter(
            "cancel_runs_expired",
            "Queued runs that this worker canceled because they did not start in time.",
            registry=registry,
        ).inc
        stops = Histogram(
            "cancel_stop_duration_seconds",
            "Duration of a stop, from the first scan of the processes to the proof that they are "
            "gone, or to the failure.",
            ["ended"],
            buckets=_STOP_BUCKETS,
            registry=registry,
        )
        self._stops = {ended: stops.labels(name) for ended, name in _ENDS.items()}
        containers = Counter(
            "cancel_containers_stopped",
            "Containers that stops ended, by how they ended: `obeyed` their stop signal, were "
            "`killed`, or had `already_gone` by themselves.",
            ["ended"],
            registry=registry,
        )
        self._containers = {
            each: containers.labels(_ENDS[each])
            for each in (Ended.OBEYED, Ended.KILLED, Ended.ALREADY_GONE)
        }
        leftovers = Counter(
            "cancel_runs_with_leftovers",
            "Runs whose command left processes or containers behind when it ended by itself, by "
            "what became of them.",
            ["ended"],
            registry=registry,
        )
        self._leftovers = {ended: leftovers.labels(name) for ended, name in _ENDS.items()}
        self.leftovers_kept = leftovers.labels("kept").inc

        pruned = Counter(
            "cancel_records_pruned",
            "Old records that this worker deleted, by table.",
            ["table"],
            registry=registry,
        )
        self._pruned = {table: pruned.labels(table) for table in PRUNED_TABLES}
        self._pruned_at = Gauge(
            "cancel_pruned_timestamp_seconds",
            "When this worker last pruned old records without an error; 0: never.",
            registry=registry,
        )
        again = Counter(
            "cancel_recorded_again",
            "What this worker recorded again after a failover of Postgres had undone it, by kind.",
            ["kind"],
            registry=registry,
        )
        self._recorded_again = {each: again.labels(each.value) for each in Healed}
        self.hosts_forgotten = Counter(
            "cancel_hosts_forgotten",
            "Hosts that this worker removed because they were not up and owned nothing.",
            registry=registry,
        ).inc

    def pruned(self, rows: Mapping[str, int], *, is_complete: bool) -> None:
        """Count deleted rows, by table."""
        for table, number in rows.items():
            self._pruned[table].inc(number)
        if is_complete:
            self._pruned_at.set_to_current_time()

    def recorded_again(self, kind: Healed, number: int) -> None:
        """Count `number` records that a failover of Postgres had undone."""
        self._recorded_again[kind].inc(number)

    def settled(self, outcome: Outcome) -> None:
        self._commands[outcome].inc()

    def waits(self) -> None:
        self._commands[_MovedOn.PENDING].inc()

    def retried(self, reason: DeadReason) -> None:
        self._commands[_MovedOn.RETRIED].inc()
        self._retries[reason].inc()

    def dead_lettered(self, reason: DeadReason) -> None:
        """Count a published dead letter. A failed stop also has an outcome."""
        if reason is not DeadReason.STOP_FAILED:
            self._commands[_MovedOn.DEAD_LETTERED].inc()
        self._letters[reason].inc()

    def registered(self, result: Registered, number: int) -> None:
        """Count `number` registrations with the same result, other than a conflict."""
        self._registrations[result].inc(number)

    def registration_dead_lettered(self, reason: DeadReason) -> None:
        self._registrations[_MovedOn.DEAD_LETTERED].inc()
        self._letters[reason].inc()

    def stopped(self, evidence: Evidence) -> None:
        if stops := self._stops.get(evidence.ended):
            stops.observe(evidence.duration_ms / 1000)
        self._count_containers(evidence)

    def leftovers_stopped(self, evidence: Evidence) -> None:
        if counter := self._leftovers.get(evidence.ended):
            counter.inc()
        self._count_containers(evidence)

    def _count_containers(self, evidence: Evidence) -> None:
        for each in evidence.containers:
            if each.name not in evidence.containers_alive:
                self._containers[each.ended].inc()

    def show_in_flight(self, commands: Callable[[], int], stops: Callable[[], int]) -> None:
        """Export the numbers of deliveries and stops in flight; call this once.

        Each scrape calls `commands` and `stops`.
        """
        Gauge(
            "cancel_commands_in_flight",
            "Deliveries that this worker is deciding on.",
            registry=self._registry,
        ).set_function(commands)
        Gauge(
            "cancel_stops_in_flight",
            "Stops in progress on this worker.",
            registry=self._registry,
        ).set_function(stops)
