"""What a worker counts, and the address where it says so."""

from contextlib import suppress

import aiohttp
import pytest

from tests.support.launcher.launching import locked_run
from tests.support.telemetry.exposition import monitoring_url, scrape
from tools.support.rows import insert_run
from tools.support.system import System
from tools.support.waiting import eventually


async def test_commands_are_counted_by_outcome_and_stops_by_how_they_ended(system: System) -> None:
    await insert_run(system.database, 7, {"status": "queued"})
    taken = await _delivered_before(system, 7)
    worker = await system.worker(kill_wait=2)
    url = await monitoring_url(worker)
    await system.outcome_of(taken)
    await system.launch_bad_child(1, "sleeps")
    await system.launch_bad_child(2, "ignores_term")

    await system.outcome_of(await system.publish(1))
    await system.outcome_of(await system.publish(2, grace_seconds=0.2))
    await system.outcome_of(await system.publish(1))  # a no-op
    await system.publish(404)
    await system.publish_raw(b"{}", type="ci.run.cancel.v1")

    exposed = await eventually(
        lambda: scrape(system.http, url),
        lambda found: (
            found.value("cancel_commands_total", outcome="dead_lettered")
            and found.value("cancel_commands_total", outcome="retried")
            # A delivery is counted before it is acknowledged.
            and found.value("cancel_commands_in_flight") == 0
        ),
    )
    commands = exposed.values("cancel_commands_total", "outcome")
    assert (commands["canceled"], commands["no_op"], commands["dead_lettered"]) == (3, 1, 1)
    assert exposed.value("cancel_dead_lettered_total", reason="malformed") == 1
    assert exposed.value("cancel_retries_total", reason="unknown_run") == commands["retried"]
    assert exposed.value("cancel_redeliveries_total") == 1
    stops = exposed.values("cancel_stop_duration_seconds_count", "ended")
    assert stops == {"obeyed": 1, "killed": 1, "failed": 0, "already_gone": 0}
    killed = exposed.value("cancel_stop_duration_seconds_sum", ended="killed")
    assert killed is not None and 0.2 <= killed < 5
    assert exposed.value("cancel_stops_in_flight") == 0


async def _delivered_before(system: System, run_id: int) -> str:
    """Publish a cancel that is delivered to a consumer that does not acknowledge it."""
    command_id = await system.publish(run_id)
    queue = await system.channel.get_queue(system.topology.cancel, ensure=False)
    message = await queue.get(timeout=5)
    await message.reject(requeue=True)
    return command_id


async def test_what_is_in_flight_is_exported(system: System) -> None:
    worker = await system.worker()
    url = await monitoring_url(worker)
    await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=600)

    exposed = await eventually(
        lambda: scrape(system.http, url), lambda found: found.value("cancel_stops_in_flight")
    )

    assert exposed.value("cancel_commands_in_flight") == 0
    async with locked_run(system, 1):
        await system.publish(1, force=True)
        await eventually(
            lambda: scrape(system.http, url),
            lambda found: found.value("cancel_commands_in_flight") == 1,
        )
    await system.outcome_of(command_id)
    await eventually(
        lambda: scrape(system.http, url),
        lambda found: found.value("cancel_stops_in_flight") == 0,
    )


@pytest.mark.parametrize("count", [3])
async def test_workers_of_one_machine_take_free_ports(system: System, count: int) -> None:
    urls = {
        await monitoring_url(await system.worker(host=f"{system.host}-{n}")) for n in range(count)
    }

    assert len(urls) == count
    for url in urls:
        async with system.http.get(f"{url}/readyz") as response:
            assert (response.status, await response.json()) == (
                200,
                {"status": "ok", "missing": [], "warnings": []},
            )


async def test_a_port_that_is_taken_is_one_line(system: System) -> None:
    first = await monitoring_url(await system.worker())
    port = first.rpartition(":")[2]

    code, out, err = await system.cli(
        *("worker", "serve", "--host-name", f"{system.host}-2"),
        *("--socket", str(system.socket("second"))),
        env={"CANCEL_WORKER_HTTP_PORT": port, "CANCEL_CONTAINMENT": "session"},
    )

    assert (code, out) == (2, "")
    assert err == (
        f"cancel-worker: cannot listen on 127.0.0.1:{port} (CANCEL_WORKER_HTTP_HOST, "
        "CANCEL_WORKER_HTTP_PORT): Address already in use\n"
    )
    with suppress(aiohttp.ClientError):
        async with system.http.get(f"{first}/healthz") as response:
            assert response.status == 200
