"""What a gateway counts, what it reads of Postgres and the queues, and that alerts find it."""

import asyncio
import re
from datetime import timedelta
from functools import partial
from typing import Any

from shared.states import DeadReason, RunStatus
from shared.tokens import Role
from tests.support.http.api import Api
from tests.support.telemetry.exposition import monitoring_url, scrape
from tests.support.telemetry.monitoring import (
    alert_expressions,
    alerts,
    dashboard_expressions,
    selectors,
)
from tools.support.rows import CANCELING, IDENTITY, IN_EACH_STATE, RUNNING, insert, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

# Of Prometheus and the process, not of ours.
NOT_OURS = {"up", "ALERTS"}
WITH_MANAGEMENT = "cancel_queue_policy"
"""Exported where the management API is set: `test_policies_noticed`."""
_HOST_METRIC = re.compile(r"cancel_host_\w+")


async def test_cancel_requests_are_counted_by_their_answer(system: System) -> None:
    url = await system.gateway()
    await system.add_run(1)
    for run_id, row in enumerate(IN_EACH_STATE, start=10):
        await insert_run(system.database, run_id, row)
    api = Api(url, system.http, await system.token())
    user = Api(url, system.http, await system.token(role=Role.USER))
    spent = Api(url, system.http, await system.token(limit=1))

    await api.cancel(1)
    await api.cancel(13)  # pass
    await api.cancel(13)
    await api.cancel(404)
    await api.cancel(1, {"reason": 5})
    await user.cancel(1)
    await Api(url, system.http, "rct_nobody").cancel(1)
    await spent.cancel(1)
    await spent.cancel(1)
    await api.ask("GET", "/api/v1/runs/1")
    await api.ask("GET", "/api/v1/runs/404")

    exposed = await scrape(system.http, url)
    assert exposed.values("cancel_accepts_total", "outcome") == {
        "accepted": 2,
        "no_op": 2,
        "not_found": 1,
        "conflict": 0,
        "validation_error": 1,
        "forbidden": 1,
        "unauthorized": 1,
        "rate_limited": 1,
        "unavailable": 0,
        "internal_error": 0,
    }
    reads = exposed.values("cancel_reads_total", "outcome")
    assert (reads["found"], reads["not_found"]) == (1, 1)
    assert exposed.value("cancel_publish_duration_seconds_count", result="confirmed") == 4
    assert 0 < (exposed.value("cancel_publish_duration_seconds_sum", result="confirmed") or 0) < 5


async def test_a_publish_that_the_broker_refuses_is_counted_as_such(system: System) -> None:
    url = await system.gateway()
    await system.add_run(1)
    api = Api(url, system.http, await system.token())
    await system.channel.queue_delete(system.topology.rest)

    assert (await api.cancel(1)).status == 503

    exposed = await scrape(system.http, url)
    assert exposed.value("cancel_accepts_total", outcome="unavailable") == 1
    assert exposed.value("cancel_publish_duration_seconds_count", result="refused") == 1
    assert exposed.value("cancel_publish_duration_seconds_count", result="confirmed") == 0


async def test_the_gateway_exports_what_postgres_knows(system: System) -> None:
    for run_id, row in enumerate(IN_EACH_STATE, start=1):
        await insert_run(system.database, run_id, row)
    await insert_run(system.database, 20, CANCELING | {"stop_deadline": "2999-01-01T00:00:00Z"})
    await insert_run(
        system.database,
        21,
        {
            "status": "error",
            "error": "lost",
            "finished_at": IDENTITY["started_at"],
            "loss": {"cause": "launcher_died", "ended": "survived"},
            **IDENTITY,
        },
    )
    async with system.database.acquire() as connection:
        for number, reason in enumerate(["unknown_run", "unknown_run", "made up", "and another"]):
            await insert(connection, "dead_letters", _letter(number, reason))
        await insert(connection, "dead_letters", _letter(9, "malformed") | {"state": "discarded"})
        await connection.execute(
            "UPDATE dead_letters SET arrived_at = now() - interval '1 hour' WHERE letter_key = '1'"
        )
        await connection.executemany(
            "INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, seen_at)"
            " VALUES ($1, gen_random_uuid(), gen_random_uuid(), 5, now() - $2::interval)",
            [("a", timedelta(0)), ("b", timedelta(hours=1))],
        )
        await connection.execute("DELETE FROM outbox")
        await connection.execute(
            "INSERT INTO outbox (type, run_id, at, data)"
            " SELECT 'run.finished', n, now() - n * interval '1 hour', '{}'"
            "   FROM generate_series(1, 3) n"
        )

    exposed = await scrape(system.http, await system.gateway())

    assert exposed.value("cancel_statistics_up") == 1
    assert exposed.values("cancel_runs", "status") == {
        **dict.fromkeys((status.value for status in RunStatus), 1),
        "canceled": 2,
        "canceling": 2,
        "error": 2,
    }
    assert exposed.value("cancel_stops_overdue") == 1
    assert (exposed.value("cancel_stop_overdue_seconds") or 0) > 3600
    assert exposed.value("cancel_runs_unkillable") == 1
    assert exposed.values("cancel_host_runs_unkillable", "host") == {"h1": 1}
    waiting = exposed.values("cancel_dead_letters_waiting", "reason")
    assert {reason: count for reason, count in waiting.items() if count} == {
        "unknown_run": 2,
        "other": 2,
    }
    assert set(waiting) == {*DeadReason, "other"}
    age = exposed.value("cancel_dead_letters_oldest_age_seconds", reason="unknown_run")
    assert age is not None and 3600 <= age < 3700
    assert exposed.value("cancel_events_waiting") == 3
    age = exposed.value("cancel_events_waiting_oldest_age_seconds")
    assert age is not None and 10800 <= age < 10900
    hosts = exposed.values("cancel_hosts", "state")
    assert hosts == {"up": 1, "silent": 1, "left": 0, "abandoned": 0}


async def test_hosts_are_named_where_something_waits_there_and_at_most_ten(system: System) -> None:
    names = [f"h{number:02}" for number in range(1, 13)]
    async with system.database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, seen_at)"
            " VALUES ($1, gen_random_uuid(), gen_random_uuid(), 5, now() - $2::interval)",
            [
                *((name, timedelta(hours=number)) for number, name in enumerate(names, 1)),
                ("idle", timedelta(days=9)),
                ("up", timedelta(0)),
            ],
        )
    for run_id, name in enumerate(names, 1):
        await insert_run(system.database, run_id, {**RUNNING, "host": name})
    await insert_run(system.database, 20, {**RUNNING, "host": "up"})
    await insert_run(system.database, 21, {**CANCELING, "host": "up"})
    async with system.database.acquire() as connection:
        for run_id, hours in ((1, 1), (1, 2), (20, 3), (21, 4)):
            await connection.execute(
                "INSERT INTO cancellations (command_id, run_id, via, force, received_at)"
                " VALUES (gen_random_uuid(), $1, 'direct', false, now() - $2::interval)",
                run_id,
                timedelta(hours=hours),
            )

    exposed = await scrape(system.http, await system.gateway())

    silent = exposed.values("cancel_host_silent_seconds", "host")
    assert set(silent) == set(names[2:])  # the longest silent ones, of those with runs
    assert 3 * 3600 <= min(silent.values()) < 3 * 3600 + 100
    # Run 21 waits for the end of its stop, not for the worker.
    assert exposed.values("cancel_host_commands_waiting", "host") == {"h01": 2, "up": 1}
    oldest = exposed.values("cancel_host_commands_waiting_oldest_age_seconds", "host")
    assert {host: round(age / 3600) for host, age in oldest.items()} == {"h01": 2, "up": 3}
    overdue = exposed.values("cancel_host_stop_overdue_seconds", "host")
    assert set(overdue) == {"up"} and overdue["up"] > 3600
    assert exposed.values("cancel_host_runs_unkillable", "host") == {}
    asked = {
        name
        for alert in alerts()
        for name in _HOST_METRIC.findall(alert["annotations"]["description"])
    }
    assert len(asked) == 4
    assert asked - {"cancel_host_runs_unkillable"} <= exposed.names


def _letter(number: int, reason: str) -> dict[str, Any]:
    return {
        "letter_key": str(number),
        "digest": r"\x00",
        "reason": reason,
        "error": "?",
        "attempts": 1,
        "exchange": "",
        "routing_key": "",
        "via": "direct",
        "body": r"\x00",
    }


async def test_a_failed_stop_is_exported_until_it_is_finished(system: System) -> None:
    await insert_run(system.database, 1, CANCELING)
    async with system.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at)"
            " VALUES (gen_random_uuid(), 1, 'rest', false, 'stop_failed', now())"
        )

    exposed = await scrape(system.http, await system.gateway())

    assert exposed.value("cancel_runs_unkillable") == 1


async def test_many_scrapes_read_postgres_once(system: System) -> None:
    url = await system.gateway()
    await asyncio.gather(*(scrape(system.http, url) for _ in range(5)))
    await system.add_run(1)

    exposed = await scrape(system.http, url)

    assert exposed.value("cancel_runs", status="queued") == 0
    await eventually(
        lambda: scrape(system.http, url), lambda found: found.value("cancel_runs", status="queued")
    )


async def test_queues_are_exported_while_they_are_there(system: System) -> None:
    url = await system.gateway(probe_interval=0.1)
    await system.publish(1)
    worker = await system.worker(keep_dead_letters="true")
    read = partial(scrape, system.http, url)
    queue = {"queue": "runs.cancel"}
    await eventually(read, lambda found: found.value("cancel_queue_consumers", **queue) == 1)

    await worker.stop()
    await system.publish(2)
    exposed = await eventually(
        read, lambda found: (found.value("cancel_queue_messages_ready", **queue) or 0) >= 1
    )
    assert exposed.value("cancel_queue_consumers", **queue) == 0

    await system.channel.queue_delete(system.topology.cancel)
    await eventually(
        read, lambda found: found.value("cancel_queue_messages_ready", **queue) is None
    )
    await system.topology.declare_worker(system.channel)
    await eventually(
        read, lambda found: found.value("cancel_queue_messages_ready", **queue) is not None
    )


async def test_what_alerts_and_dashboard_ask_for_is_exported(system: System) -> None:
    gateway, worker = await system.gateway(), await monitoring_url(await system.worker())
    exposed = [
        await eventually(
            lambda: scrape(system.http, gateway),
            lambda found: "cancel_queue_consumers" in found.names,
        ),
        await scrape(system.http, worker),
    ]
    exported = [(name, labels) for program in exposed for name, labels in program.samples]
    asked = [
        selector
        for expression in (*alert_expressions(), *dashboard_expressions())
        for selector in selectors(expression)
        if selector.name not in NOT_OURS and selector.name != WITH_MANAGEMENT
    ]
    assert len({selector.name for selector in asked}) > 20

    missing = {
        selector
        for selector in asked
        if not any(
            name == selector.name and set(selector.equal) <= labels for name, labels in exported
        )
    }

    assert not missing


async def test_names_follow_conventions_and_no_label_is_unbounded(system: System) -> None:
    gateway, worker = await system.gateway(), await monitoring_url(await system.worker())
    bounded = {
        "outcome",
        "reason",
        "ended",
        "result",
        "status",
        "state",
        "service",
        "queue",
        "risk",
        "kind",
        "le",
        "waits_for",
        "table",
    }

    for url in (gateway, worker):
        exposed = await scrape(system.http, url)
        for name, labels in exposed.samples:
            assert name.startswith(("cancel_", "process_")), name
            assert not name.endswith("_created"), name
            assert {label for label, _ in labels} <= bounded, (name, labels)
        for name, kind in exposed.types.items():
            if kind == "counter":
                assert {f"{name}_total"} <= exposed.names, name
    # Two runs, two workers' hosts: no more series than before.
    assert len(exposed.samples) < 300
