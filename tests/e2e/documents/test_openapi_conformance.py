"""What the OpenAPI document says, the gateway does, and the other way round."""

import asyncio
import json
import re
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import pytest_asyncio
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.schemas import API
from shared.limits import BIGINT_MAX
from tests.support.http.api import Api
from tests.support.http.routes import routes
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.rows import ERROR, FAIL, NEVER_STARTED, PASS, STOPPED, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET: Final = "GET /api/v1/runs/{run_id}"
CANCEL: Final = "POST /api/v1/runs/{run_id}/cancel"
FORCE: Final = "POST /api/v1/runs/{run_id}/force-cancel"
EXAMPLE: Final = 4711
# With a command that nobody has published, a `wait` lasts as long as it says.
CONFIG: Final = """
# The links of the document alone: among those that it guesses, they would hardly be followed.
phases.stateful.inference.algorithms = []

[[operations]]
include-operation-id = "getCancellation"
parameters = { "query.wait" = 0 }
phases.coverage.enabled = false

# A cursor has to be on the list.
[[operations]]
include-operation-id = "listCancellations"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 429]

[[operations]]
include-operation-id = "listRuns"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 429]

# No schema says that there are two forms; and 132.0 is an integer to JSON Schema alone.
[[operations]]
include-operation-id = "cancelRuns"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 429]
"""
JSON: Final = "application/json"
# Each other call, and what it must have answered at least.
OTHERS: Final = {
    "GET /api/v1/events": {200, 400, 401},
    "GET /api/v1/runs": {200, 400, 401},
    "PUT /api/v1/runs/{run_id}": {201, 400, 401, 409, 415},
    "POST /api/v1/runs": {200, 400, 401, 415},
    FORCE: {202, 400, 401},
    "GET /api/v1/runs/{run_id}/cancellations": {200, 400, 401},
    "GET /api/v1/runs/{run_id}/cancellations/{command_id}": {400, 401, 404},
    "POST /api/v1/cancellations": {202, 400, 401, 415},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """The document's example run is queued, and canceled by the first request of all.

    The other runs are over: `?wait=`, which is generated like the rest, returns at once then,
    and not after up to 30 s.
    """
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(EXAMPLE)
        over = cycle((PASS, FAIL, ERROR, NEVER_STARTED, STOPPED))
        for run_id in (*range(1, 101), BIGINT_MAX):
            await insert_run(running.database, run_id, next(over))
        await running.worker()
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    # Whether a token is asked for is checked with requests that have none.
    # A stream ends before Schemathesis has lost its patience.
    url = await system.gateway(anonymous_limit=1_000_000, event_stream_duration=0.01)
    return Api(url, system.http, await system.token())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(api: Api) -> Json:
    answer = await api.ask("GET", f"{API}/openapi.json", headers={})
    described: Json = answer.body
    return described


@pytest.mark.timeout(300)  # two thousand requests take a minute of a processor alone
async def test_schemathesis_finds_no_disagreement(api: Api, document: Json, tmp_path: Path) -> None:
    exchanges = await _tested(api, tmp_path, "examples", "coverage", "fuzzing", examples=130)

    _assert_much_was_tested(exchanges, document)


async def test_schemathesis_finds_none_where_links_lead(api: Api, tmp_path: Path) -> None:
    exchanges = await _tested(api, tmp_path, "stateful", examples=60)

    gets = [it for it in exchanges if it.operation == GET]
    for cancel in (CANCEL, FORCE):
        link = f"{cancel} -> [202] run -> {GET}"
        followed = [it for it in gets if (it.link, it.status) == (link, 200)]
        # Now and then it asks for something else than the link says, to see what happens.
        assert sum(it.body["run_id"] == it.linked_from["run_id"] for it in followed) >= 10


async def _tested(api: Api, directory: Path, *phases: str, examples: int) -> "list[Exchange]":
    """What Schemathesis asked, and was answered, in these phases. It finds nothing wrong."""
    report = directory / "report.ndjson"
    (directory / "schemathesis.toml").write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}{API}/openapi.json"),
        *("--header", f"Authorization: Bearer {api.token}"),
        *("--checks", "all", "--continue-on-failure"),
        *("--phases", ",".join(phases)),
        *("--max-examples", str(examples), "--generation-deterministic"),
        *("--request-timeout", "5"),
        *("--report", "ndjson", "--report-ndjson-path", str(report)),
        "--no-color",
        cwd=directory,  # it leaves files there
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    events = [json.loads(line) for line in report.read_text().splitlines()]
    ended = {it["phase"]["name"]: it["status"] for it in _named("PhaseFinished", events)}
    assert {phase: ended[phase] for phase in phases} == dict.fromkeys(phases, "success")
    return list(_exchanges(events))


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request of Schemathesis and its answer; if a link led to it, which one and from where."""

    operation: str
    status: int
    body: Json
    link: str
    linked_from: Json


def _assert_much_was_tested(exchanges: list[Exchange], document: Json) -> None:
    """A run that got nowhere finds no disagreement either."""
    gets = [it for it in exchanges if it.operation == GET]
    cancels = [it for it in exchanges if it.operation == CANCEL]
    assert len(exchanges) >= 1500
    assert min(len(gets), len(cancels)) >= 150
    # By name: Schemathesis is content with `default`, which allows whatever has the envelope.
    assert {200, 400, 401, 404} <= {it.status for it in gets} <= _statuses(document, GET)
    assert {202, 400, 401, 404, 415} <= {it.status for it in cancels} <= _statuses(document, CANCEL)
    called = {
        (operation, status) for operation in OTHERS for status in _statuses(document, operation)
    }
    others = [it for it in exchanges if it.operation not in (GET, CANCEL)]
    assert {(it.operation, it.status) for it in others if it.status != 405} <= called
    for operation, statuses in OTHERS.items():
        assert statuses <= {it.status for it in others if it.operation == operation}, operation

    found = [it.body for it in gets if it.status == 200]
    assert len(found) >= 100
    assert {body["status"] for body in found} >= {"pass", "canceled"}
    assert any(body["cancellation"] for body in found)
    taken = [it.body for it in cancels if it.status == 202]
    assert len(taken) >= 100
    assert {body["status"] for body in taken} == {"accepted", "no_op"}


def _statuses(document: Json, operation: str) -> set[int]:
    method, path = operation.split()
    responses = document["paths"][path][method.lower()]["responses"]
    return {int(status) for status in responses if status != "default"}


def _named(name: str, events: list[Json]) -> list[Json]:
    return [event[name] for event in events if name in event]


def _exchanges(events: list[Json]) -> Iterator[Exchange]:
    for scenario in _named("ScenarioFinished", events):
        cases = scenario["recorder"].get("cases", {})
        done = scenario["recorder"].get("interactions", {})
        for case_id, exchange in done.items():
            transition = cases[case_id].get("transition", {"id": "", "parent_id": case_id})
            yield Exchange(
                operation=f"{exchange['request']['method']} {cases[case_id]['value']['path']}",
                status=exchange["response"]["status_code"],
                body=_body(exchange),
                link=transition["id"],
                linked_from=_body(done[transition["parent_id"]]),
            )


def _body(exchange: Json) -> Json:
    response = exchange["response"]
    if response["headers"].get("content-type") == ["text/event-stream"]:
        return {}
    body: Json = json.loads(b64decode(response["content"]["$base64"]))
    return body


async def test_the_document_is_valid_openapi(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


async def test_the_document_names_exactly_the_routes(system: System, document: Json) -> None:
    # Made for people, or describes the others.
    apart = re.compile(rf"{API}/(openapi\.json|docs|docs/.*)")

    assert {(method, path) for path, item in document["paths"].items() for method in item} == {
        (method.lower(), path)
        for method, path in await routes(system)
        if method != "HEAD"  # goes with every GET
        and path.startswith(API)
        and not apart.fullmatch(path)
    }


async def test_every_example_in_the_document_is_valid(document: Json) -> None:
    shown = list(_examples(document))
    for schema, example in shown:
        _validator(schema, document).validate(example)

    answers = [answer for _, answer in _answers(document)]
    assert all(content["examples"] for answer in answers for content in answer["content"].values())
    assert len(shown) > len(answers)


def _examples(node: Any) -> Iterator[tuple[Json, Any]]:
    """Each schema below `node` that is shown by examples, with each of them."""
    if isinstance(node, list):
        for item in node:
            yield from _examples(item)
    if not isinstance(node, dict):
        return
    match node:
        case {"schema": schema, "example": example}:
            yield schema, example
        case {"schema": schema, "examples": dict(examples)}:
            yield from ((schema, example["value"]) for example in examples.values())
        case {"examples": list(examples)}:
            yield from ((node, example) for example in examples)
    for name, value in node.items():
        if name not in ("example", "examples"):
            yield from _examples(value)


def _answers(document: Json) -> Iterator[tuple[int, Json]]:
    """The documented answers with a status of their own."""
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if status != "default":
                    yield int(status), answer


def _validator(schema: Json, document: Json) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": document["components"]}, validate_formats=True
    )


async def test_every_documented_error_has_the_whole_envelope(document: Json) -> None:
    errors = [answer for status, answer in _answers(document) if status >= 400]
    assert errors
    for answer in errors:
        (example, *_) = answer["content"][JSON]["examples"].values()
        validator = _validator(answer["content"][JSON]["schema"], document)
        for part in ("code", "message", "details"):
            without = {name: value for name, value in example["value"].items() if name != part}
            assert not validator.is_valid(without), (part, answer["description"])


@pytest.mark.parametrize(
    "reason",
    ["", "r" * 255, "r" * 256, "\N{GRINNING FACE}" * 255, "a\nb", "a\x00b", None, 1, ["a"]],
    ids=lambda reason: f"{reason!r:.12}",
)
async def test_the_body_is_taken_if_its_schema_says_so(
    api: Api, document: Json, reason: object
) -> None:
    (operation,) = document["paths"][CANCEL.split()[1]].values()
    schema = operation["requestBody"]["content"][JSON]["schema"]
    body = {"reason": reason}

    answer = await api.cancel(1, body)

    assert answer.status == (202 if _validator(schema, document).is_valid(body) else 400)
