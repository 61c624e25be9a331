"""When traces are sent, and that no program waits for their collector."""

import asyncio
from time import monotonic

import pytest

from tests.support.broker.queues import holds
from tests.support.telemetry.collector import Collector
from tests.support.telemetry.traced import (
    TRACEPARENT,
    about_commands,
    gateway_of,
    publish_traced,
)
from tools.support.program import Program
from tools.support.system import System


async def test_without_settings_nothing_is_loaded_nothing_is_sent_and_headers_travel_on(
    system: System, collector: Collector
) -> None:
    # Everything is there but turned off; and once nothing is there at all.
    off = {**collector.environment, "OTEL_TRACES_EXPORTER": "none"}
    shown = {"PYTHONPROFILEIMPORTTIME": "1"}
    gateway, api = await gateway_of(system, **off, **shown)
    worker = await system.worker(env=shown)
    await system.add_run(1)

    assert (await api.cancel(1)).status == 202
    await system.status_becomes(1, "canceled")
    await publish_traced(system, 2, tracestate="ci=1")
    await worker.event("command_retried", run_id=2, count=2)

    # Where it waits for 5 s.
    await holds(system, system.topology.retry(5), 1)
    queue = await system.channel.get_queue(system.topology.retry(5), ensure=False)
    message = await queue.get()
    assert message.headers["traceparent"] == TRACEPARENT
    assert message.headers["tracestate"] == "ci=1"
    assert await gateway.stop() == 0
    assert await worker.stop() == 0
    for program in (gateway, worker):
        assert any("structlog" in line for line in program.output)
        assert not [line for line in program.output if "opentelemetry" in line]
    assert collector.requests == []
    assert not [line for line in about_commands(gateway, worker) if "trace_id" in line]


async def test_a_collector_that_is_away_costs_a_log_line(system: System) -> None:
    # Nothing listens on port 1.
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    worker = await system.worker(env={**env, "OTEL_BSP_SCHEDULE_DELAY": "50"})
    await system.add_run(1)

    await system.outcome_of(await system.publish(1))

    await worker.event("traces_not_exported", endpoint="http://127.0.0.1:1")
    await system.add_run(2)
    await system.outcome_of(await system.publish(2))
    assert await _end(worker) < 5
    said = [event for event in worker.events if "trace" in event["event"].lower()]
    assert len(said) == 1, said


async def test_a_collector_that_says_nothing_is_not_waited_for_at_the_end(system: System) -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    worker = await system.worker(env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    await system.add_run(1)
    await system.outcome_of(await system.publish(1))

    assert 4 < await _end(worker) < 9

    await worker.event("traces_dropped")
    silent.close()


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"ENDPOINT": "{url}"}, "/v1/traces"),
        ({"ENDPOINT": "{url}/below/", "TRACES_ENDPOINT": ""}, "/below/v1/traces"),
        ({"TRACES_ENDPOINT": "{url}/own"}, "/own"),
        ({"ENDPOINT": "", "TRACES_ENDPOINT": "{url}/own"}, "/own"),
        ({"ENDPOINT": "http://127.0.0.1:1", "TRACES_ENDPOINT": "{url}/own"}, "/own"),
    ],
)
async def test_traces_are_sent_where_opentelemetrys_variables_say(
    system: System, collector: Collector, variables: dict[str, str], path: str
) -> None:
    env = {
        f"OTEL_EXPORTER_OTLP_{name}": value.format(url=collector.url)
        for name, value in variables.items()
    }
    worker = await system.worker(env={**env, "OTEL_BSP_SCHEDULE_DELAY": "50"})
    await system.add_run(1)

    await system.outcome_of(await system.publish(1))

    await collector.span("process")
    assert {*collector.paths} == {path}
    assert await worker.stop() == 0


async def test_what_is_buffered_is_sent_at_the_end(system: System, collector: Collector) -> None:
    env = {**collector.environment, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    worker = await system.worker(env=env)
    await system.add_run(1)
    await system.outcome_of(await system.publish(1))
    assert collector.spans == []

    assert await _end(worker) < 5

    assert (await collector.span("process")).attributes["run_cancel.outcome"] == "canceled"


async def test_a_traced_service_says_which_one_it_is(system: System, collector: Collector) -> None:
    env = {**collector.environment, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    worker = await system.worker(env=env)
    await system.add_run(1)
    await system.outcome_of(await system.publish(1))
    await collector.span("process")

    (resource, *_) = collector.resources
    assert resource["service.name"] == "cancel-worker"
    assert resource["host.name"] == system.host
    assert resource["deployment.environment.name"] == "test"
    assert await worker.stop() == 0


async def _end(program: Program) -> float:
    """Stop a program in order; how long that took, in seconds."""
    began = monotonic()
    assert await program.stop() == 0
    return monotonic() - began
