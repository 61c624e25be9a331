"""The rows of what was found."""

from collections.abc import Iterator
from itertools import chain
from statistics import median
from typing import Final

from tools.bench.measures.scale.found import Found
from tools.bench.measures.scale.sizes import Scale
from tools.bench.output.results import Bar, Results, Row, compared, percentile

_FEW: Final = "few runs, no other hosts"


def show(results: Results, scale: Scale, found: Found) -> None:
    results.rows += [*_cancels(scale, found), *_servers(scale, found), *_returns(scale, found)]
    for name, rounds in (
        (_FEW, found.few),
        ("many runs", found.filled),
        ("many runs and hosts", found.hosts),
    ):
        results.latencies[f"POST sent → row canceled, {name}"] = [*chain(*rounds)]


def _cancels(scale: Scale, found: Found) -> Iterator[Row]:
    runs = f"{scale.filled.runs:,} runs"
    both = f"{runs} and {scale.hosts:,} hosts"
    for key, where, ours, percent, bar in (
        ("filled", runs, found.filled, 50, Bar(at_most=1.5)),
        ("hosts", both, found.hosts, 50, Bar(at_most=1.5)),
        ("hosts_p99", both, found.hosts, 99, Bar()),
    ):
        yield compared(
            f"scale_{key}",
            f"POST sent → row canceled, queued run, with {where}, p{percent}",
            "ms",
            bar,
            [percentile(taken, percent) for taken in ours],
            _FEW,
            [percentile(taken, percent) for taken in found.few],
        )


def _servers(scale: Scale, found: Found) -> Iterator[Row]:
    alone, beside = found.alone, found.beside
    for key, measure, unit, with_hosts, without in (
        ("broker_cpu", "processor time of RabbitMQ per minute", "s", *_of("broker_cpu", found)),
        ("postgres_cpu", "processor time of Postgres per minute", "s", *_of("postgres_cpu", found)),
        ("broker_memory", "memory of RabbitMQ (PSS)", "MB", *_of("broker_mb", found)),
        ("postgres_memory", "memory of Postgres (PSS)", "MB", *_of("postgres_mb", found)),
    ):
        name = f"{measure}, idle, with {scale.hosts:,} hosts"
        yield compared(f"scale_{key}", name, unit, Bar(), [with_hosts], "without them", [without])
    more = (scale.connections - 1) * scale.hosts
    yield compared(
        "scale_host_memory",
        "memory of RabbitMQ for a host: a connection, a queue, and four consumers",
        "KB",
        Bar(),
        [1024 * (beside.broker_mb - alone.broker_mb) / scale.hosts],
    )
    yield compared(
        "scale_connection_memory",
        "memory of RabbitMQ for each further connection",
        "KB",
        Bar(),
        [1024 * (found.like_workers.broker_mb - beside.broker_mb) / more],
        note=f"for {more:,}, RabbitMQ took {found.like_workers.broker_cpu:.1f} s per minute",
    )
    yield compared(
        "scale_worker_statements",
        "transactions of an idle worker in Postgres, most of which only read",
        "/s",
        Bar(),
        [alone.commits],
        note=f"it has {found.broker_connections} connections to RabbitMQ and "
        f"{found.database_connections} to Postgres",
    )
    beats = beside.commits - alone.commits
    each = (
        f"each took {(beside.postgres_cpu - alone.postgres_cpu) / 60 / beats * 1000:.2f} ms "
        f"of processor time and {(beside.wal - alone.wal) / beats:.0f} bytes of WAL"
        if beats > 0  # of few hosts, none may beat in a short time
        else ""
    )
    beats_of = f"heartbeats of {scale.hosts:,} hosts"
    yield compared("scale_beats", beats_of, "/s", Bar(), [beats], note=each)


def _of(name: str, found: Found) -> tuple[float, float]:
    """With hosts and without."""
    return getattr(found.beside, name), getattr(found.alone, name)


def _returns(scale: Scale, found: Found) -> Iterator[Row]:
    yield compared(
        "scale_return",
        f"{scale.commands:,} open commands on {scale.returning:,} runs of a host at its return, "
        "with many runs and hosts: "
        "worker connected → last outcome on record",
        "/s",
        Bar(at_least=1_000),
        found.rates,
        note=f"last event published {median(found.published):.1f} s after the connection; "
        "the processes of the runs had ended",
    )
    yield compared(
        "scale_return_memory",
        "peak memory of its worker meanwhile (PSS)",
        "MB",
        Bar(at_most=300),
        found.peaks,
    )
