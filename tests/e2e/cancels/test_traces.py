"""One trace, from the HTTP request to the record, whatever way the command takes."""

from collections.abc import Callable

import pytest

from tests.support.stops.worker_without_kill import WHILE
from tests.support.telemetry.collector import Collector, Span
from tests.support.telemetry.traced import (
    CALLER,
    TRACE_ID,
    TRACEPARENT,
    about_commands,
    gateway_of,
    publish_traced,
)
from tools.support.processes import KILLED_BY, until_gone
from tools.support.system import System


def _names(spans: list[Span]) -> list[str]:
    return [span.name.partition(" ")[0] for span in spans]


async def test_a_trace_goes_from_the_request_to_the_record(
    system: System, collector: Collector
) -> None:
    gateway, api = await gateway_of(system, **collector.environment)
    worker = await system.worker(env=collector.environment)
    launched, mark = await system.launch_bad_child(1, "defies")
    headers = {
        "Authorization": f"Bearer {api.token}",
        "X-Request-Id": "deploy-42",
        "traceparent": TRACEPARENT,
        "tracestate": "ci=1",
    }

    answer = await api.cancel(1, {"reason": "superseded"}, headers=headers)
    assert answer.status == 202
    command_id = str((await gateway.event("request", status=202))["command_id"])
    assert await launched.line() == "asked"
    await system.publish(1, force=True)
    outcome = await system.outcome_of(command_id)
    await until_gone(mark, deadline=0)

    request = await collector.span("POST", lambda span: span.trace_id == TRACE_ID)
    process = await collector.span("process", lambda span: span.trace_id == TRACE_ID)
    (send,) = collector.children(request)
    assert (request.kind, request.parent, request.service) == ("server", CALLER, "cancel-gateway")
    assert request.name == "POST /api/v1/runs/{run_id}/cancel"
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["cicd.pipeline.run.id"] == "1"
    assert request.attributes["run_cancel.command.id"] == command_id
    assert send.kind == "producer"
    assert send.name == f"send {system.topology.commands}:run.cancel.rest"
    assert send.attributes["messaging.system"] == "rabbitmq"
    assert send.attributes["messaging.message.id"] == command_id
    assert send.attributes["messaging.message.conversation_id"] == "deploy-42"
    assert (process.kind, process.parent) == ("consumer", send.span_id)
    assert process.service == "cancel-worker"
    names = system.topology
    assert process.name == f"process {names.commands}:run.cancel.rest:{names.rest}"
    assert process.attributes["messaging.operation.type"] == "process"
    assert process.attributes["run_cancel.outcome"] == "stopping"
    await collector.span("record", lambda span: span.parent == process.span_id)
    decide, stop, record = collector.children(process)
    assert _names([decide, stop, record]) == ["decide", "stop", "record"]
    assert decide.ended <= stop.began <= stop.ended <= record.began <= record.ended
    assert record.attributes["run_cancel.outcome"] == outcome["outcome"] == "canceled"
    assert [event.name for event in stop.events] == [
        "sent SIGTERM SIGCONT",
        f"sent {' '.join(KILLED_BY[outcome['evidence']['containment']])}",
        "proved",
    ]
    assert stop.events[0].attributes["run_cancel.processes"] >= 1
    assert stop.attributes["run_cancel.grace_left"] > 9
    assert stop.attributes["run_cancel.deadline"].endswith("+00:00")
    assert stop.attributes["run_cancel.ended"] == "killed"
    assert stop.attributes["run_cancel.proof"] == outcome["evidence"]["proof"]
    for line in about_commands(gateway, worker):
        if line["command_id"] == command_id:
            assert (line["run_id"], line["correlation_id"]) == (1, "deploy-42"), line
            assert line["trace_id"] == TRACE_ID, line


async def test_commands_that_are_decided_together_have_each_its_own_trace(
    system: System, collector: Collector
) -> None:
    for run_id in range(1, 9):
        await system.add_run(run_id)
    commands = [await system.publish(run_id) for run_id in range(1, 9)]
    await system.worker(env=collector.environment)
    for command in commands:
        await system.outcome_of(command)

    def of(command_id: str) -> Callable[[Span], bool]:
        return lambda span: span.attributes["messaging.message.id"] == command_id

    found = [await collector.span("process", of(command)) for command in commands]

    assert len({span.trace_id for span in found}) == 8
    for span in found:
        assert _names(collector.children(span)) == ["decide"]
        assert span.attributes["run_cancel.outcome"] == "canceled"


async def test_a_retry_stays_in_the_trace(system: System, collector: Collector) -> None:
    worker = await system.worker(env=collector.environment)

    command_id = await publish_traced(system, 1, tracestate="ci=1")
    await worker.event("command_retried", command_id=command_id, trace_id=TRACE_ID)
    await system.add_run(1)
    await system.outcome_of(command_id)

    last = await collector.span("process", lambda span: span.attributes["run_cancel.attempt"] == 2)
    first = await collector.span("process", lambda span: span.attributes["run_cancel.attempt"] == 1)
    assert first.parent == CALLER
    assert (first.failed, first.attributes["error.type"]) == (True, "unknown_run")
    (send,) = [span for span in collector.children(first) if span.kind == "producer"]
    assert (last.parent, last.trace_id, last.failed) == (send.span_id, TRACE_ID, False)


async def test_a_dead_letter_and_its_replay_stay_in_the_trace(
    system: System, collector: Collector
) -> None:
    powerless = system.directory / "powerless"
    powerless.touch()
    await system.worker(
        module="tests.support.stops.worker_without_kill",
        env={WHILE: str(powerless), **collector.environment},
        kill_wait=0.5,
        keep_dead_letters="true",
        grace_seconds=0.1,
    )
    await system.launch_bad_child(1, "tree")
    command_id = await publish_traced(system, 1)
    letter = await system.dead_letter_kept(command_id)
    powerless.unlink()

    replayed = await system.cli(
        *("worker", "dead-letters", "replay", str(letter["letter_id"])), env=collector.environment
    )

    assert replayed[0] == 0, replayed
    await system.status_becomes(1, "canceled")
    done = await collector.span(
        "process", lambda span: span.attributes["run_cancel.via"] == "replay"
    )
    stop = await collector.span("stop", lambda span: span.failed)
    failed = await collector.span("process", lambda span: span.span_id == stop.parent)
    send = await collector.span("send", lambda span: span.span_id == done.parent)
    buried = await collector.span("send", lambda span: span.span_id == send.parent)
    assert {span.trace_id for span in (done, failed, send, buried)} == {TRACE_ID}
    assert (buried.parent, failed.parent) == (CALLER, CALLER)
    assert stop.attributes["run_cancel.ended"] == "survived"
    assert stop.attributes["run_cancel.survivors"] >= 1
    assert stop.failed


async def test_a_command_for_another_host_is_carried_out_there_within_the_trace(
    system: System, collector: Collector
) -> None:
    other = f"{system.host}-other"
    await system.worker(env=collector.environment)
    away = await system.worker(other)
    _, mark = await system.launch_bad_child(1, "obeys", socket=system.socket(other))
    await away.kill()
    command_id = await publish_traced(system, 1)
    waits = await collector.span("process", lambda span: span.trace_id == TRACE_ID)

    await system.worker(other, env=collector.environment)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    taken_up = await collector.span("take up", lambda span: span.trace_id == TRACE_ID)
    await collector.span("record", lambda span: span.parent == taken_up.span_id)
    assert (waits.parent, taken_up.parent) == (CALLER, CALLER)
    assert waits.attributes["run_cancel.outcome"] == "pending"
    assert taken_up.attributes["run_cancel.command.id"] == command_id
    assert _names(collector.children(taken_up)) == ["stop", "record"]


@pytest.mark.parametrize("refused", ["", "00-0-0-01", f"00-{'0' * 32}-{CALLER}-01", "ff" * 40])
async def test_a_traceparent_that_is_none_is_not_taken_over(
    system: System, collector: Collector, refused: str
) -> None:
    _, api = await gateway_of(system, **collector.environment)
    headers = {"Authorization": f"Bearer {api.token}", "traceparent": refused}

    answer = await api.ask("GET", "/api/v1/runs/404", headers=headers)

    assert answer.status == 404
    span = await collector.span("GET /api/v1/runs/{run_id}")
    assert span.parent is None
    assert not span.failed
