"""The measure of a large installation, with a small one."""

import subprocess
import sys
from typing import Final

import aio_pika
import pytest

from tools.bench import servers
from tools.bench.filled.sizes import Sizes
from tools.bench.measures.scale.measure import Scales
from tools.bench.measures.scale.sizes import Scale
from tools.bench.output.results import Results
from tools.bench.system import bench_system
from tools.services import Services

SMALL: Final = Scale(
    filled=Sizes(runs=3000, cancellations=1000, letters=200, hosts=50),
    hosts=4,
    connections=2,
    runs_per_host=2,
    returning=50,
    commands=100,
    cancels=2,
    seconds=0.5,
    settle=0,
)


async def test_a_small_installation_is_measured(services: Services) -> None:
    if servers.find(services.amqp_url, "beam") is None:
        pytest.skip("the broker is no process of this machine")
    results = Results("here", quick=False)
    async with bench_system(services) as system:
        await Scales(system, SMALL).measure(results, 1)

    rows = {row.key: row for row in results.rows}
    assert {name: len(taken) for name, taken in results.latencies.items()} == {
        "POST sent → row canceled, few runs, no other hosts": 2,
        "POST sent → row canceled, many runs": 2,
        "POST sent → row canceled, many runs and hosts": 2,
    }
    assert "5 connections to RabbitMQ" in rows["scale_worker_statements"].note
    assert rows["scale_return"].ours > 0
    assert 20 < rows["scale_return_memory"].ours < 300


async def test_light_hosts_beat_and_are_woken_and_lose_no_message(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANCEL_HOST_HEARTBEAT", "0.1")
    async with bench_system(services) as system:
        program = await system.serve("tools.bench.light_hosts", "light-", "2")
        await program.event("hosts_ready")
        since = await system.database.fetchval("SELECT clock_timestamp()")
        await system.until("SELECT count(*) = 2 FROM hosts WHERE seen_at > $1", since)
        wakes = await system.channel.get_exchange(system.topology.wakes, ensure=False)
        await wakes.publish(aio_pika.Message(b""), "light-1", mandatory=True)
        await system.publish([1])
        assert await program.process.wait() == 1
        assert "a message that was for a real worker is lost" in program.tail()


def test_the_processes_of_a_server_are_found(services: Services) -> None:
    postgres = servers.find(services.database_url, "postgres")
    if postgres is None:
        pytest.skip("Postgres is no process of this machine")
    assert postgres.memory_mb() > 1
    assert postgres.cpu_seconds() > 0
    assert servers.find(services.database_url, "beam") is None


def test_what_a_process_and_its_ended_children_took_is_counted() -> None:
    spend = "import time\nwhile time.process_time() < 0.3: pass"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spend!r}]); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        assert servers.Server(process.pid, 0).cpu_seconds() >= 0.3
        process.stdin.close()
