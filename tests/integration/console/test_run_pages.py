"""A run's page tells its whole life; its form asks for a cancel in the operator's name."""

import json
import re
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.console.operator import Operator, Page, signed_in, start_console
from tests.support.records.run_histories import COMMANDS, LETTER, RUNS
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.rows import insert
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE: Final = "<script>alert(1)</script>\u202e\x1b[31m"
SHOWN: Final = r"<script>alert(1)</script>\u202e\x1b[31m"
IDS: Final = {name: number for number, name in enumerate(RUNS, 101)}
SAID: Final[dict[str, tuple[str, ...]]] = {
    "queued": ("It waits for a runner.", "It ends before it starts."),
    "running": ("It runs on runner-7.", "in a session of its own", "Cancel run"),
    "passed": ("Its command ended with exit code 0.", "There is nothing left to cancel."),
    "failed": ("137 (SIGKILL)", "There is nothing left to cancel."),
    "killed": (
        "No process of it is left: that is proved.",
        "The stop, enlarged: 2.04 s",
        "grace period 2 s",
        "SIGTERM, SIGCONT to 4 processes, then SIGKILL to 1 process",
        "Its cgroup is empty",
        "4242 dd",
        "was found outside the cgroup",
        r"superseded \x1b[31mby\nme",
    ),
    "several": ("Cancel 3 no_op", "via replay (broker user ops)"),
    "never started": ("It was canceled before it started, and never will.",),
    "stop failed": (
        "Its stop failed, and is not tried again without a new cancel.",
        "survived SIGKILL",
        "Its failed stop is taken up again.",
        "Runbook: CancelStopFailed",
        "What to do: replay it",
    ),
    "stopped later": ("Cancel 1, an earlier stop", "none: pid 4242 dd (D) survived SIGKILL"),
    "being stopped": (
        "Its stop waits for",
        "Runbook: CancelCommandWaiting",
        "with force, it ends the grace period",
    ),
    "lost": ("The search after its loss", "those are stopped."),
    "leftovers": ("no process is left (cgroup_empty)",),
    "left behind": ("What its command left behind", "4243 gradle", "There is nothing left"),
    "left behind, containers": ("cache (redis:8, 777777777777) got SIGTERM, exit code 0",),
    "left behind, unseen": ("perhaps containers", "those are stopped."),
    "left behind, survived": ("survived SIGKILL", "those are stopped."),
    "left behind, kept": ("21 processes: gradle (pid 4243)", "those are stopped."),
    "left behind, rebooted": ("no process outlives that", "There is nothing left to cancel."),
    "left behind, replaced": ("There will be no proof: its host was replaced.",),
    "host replaced": ("There will be no proof: its host was replaced.",),
    "forced": ("forced: the grace period ends after 2 s",),
    "not proved": ("4243 ssh-agent", "may belong to the run"),
    "container lost": ("There will be no proof: its worker's container was replaced.",),
    "abandoned": (
        "Runbook: A host is lost",
        "host runner-7 was abandoned by ops: burnt down",
        "There is nothing left",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        await _write(running)
        yield running


async def _write(system: System) -> None:
    async with system.database.acquire() as connection:
        for name, row in RUNS.items():
            launch = {"launch_id": str(uuid4())} if "launch_id" in row else {}
            await insert(connection, "runs", {"run_id": IDS[name], **row, **launch})
            for command in COMMANDS.get(name, ()):
                new = {**command, "command_id": str(uuid4()), "run_id": IDS[name]}
                await insert(connection, "cancellations", new)
        letter = {**LETTER, "run_id": IDS["stop failed"], "command_id": str(uuid4())}
        await insert(connection, "dead_letters", letter)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system)
    entered = await signed_in(system, url)
    yield entered
    await entered.close()


@pytest.mark.parametrize("name", RUNS)
async def test_the_life_of_a_run_is_told(operator: Operator, name: str) -> None:
    page = await operator.get(f"/runs/{IDS[name]}")

    assert page.status == 200
    assert f"Run {IDS[name]} {RUNS[name]['status']}" in page.text
    for said in SAID[name]:
        assert said in page.text


@pytest.mark.parametrize("name", RUNS)
async def test_everything_in_the_pictures_has_a_place_in_them(
    operator: Operator, name: str
) -> None:
    page = await operator.get(f"/runs/{IDS[name]}")

    places = [float(each) for each in re.findall(r' (?:x[12]?|width)="([^"]+)%"', page.html)]
    assert places
    assert all(0 <= place <= 100 for place in places)


async def test_hostile_text_of_a_run_is_shown_as_text(system: System, operator: Operator) -> None:
    survivor = {"pid": 1, "name": HOSTILE, "state": "S"}
    async with system.database.acquire() as connection:
        run = {**RUNS["stop failed"], "run_id": 1, "launch_id": str(uuid4())}
        labels = {f"k{HOSTILE}": HOSTILE}
        run |= {"labels": labels, "url": f"javascript:alert(1)//{HOSTILE}", "cgroup": HOSTILE}
        await insert(connection, "runs", run)
        (command,) = COMMANDS["stop failed"]
        evidence = {**command["evidence"], "survivors": [survivor]}
        hostile = {"reason": HOSTILE, "requested_by": HOSTILE, "faults": {HOSTILE: HOSTILE}}
        row = {**command, **hostile, "evidence": evidence, "command_id": str(uuid4()), "run_id": 1}
        await insert(connection, "cancellations", row)

    for path in ("/runs/1", "/runs?status=canceling"):
        page = await operator.get(path)
        assert "<script>alert" not in page.html
        assert "\u202e" not in page.html
        assert "\x1b" not in page.html
        assert 'href="javascript' not in page.html
    page = await operator.get("/runs/1")
    assert f"pid 1 {SHOWN} (S) survived SIGKILL" in page.text
    assert f"k{SHOWN}:{SHOWN}" in page.text
    assert f"{SHOWN} via rest: {SHOWN}" in page.text


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("999", "Run 999 is not on record."),
        ("9223372036854775808", "'9223372036854775808' is no number of a run"),
        ("0", "'0' is no number of a run"),
        ("x%00%E2%80%AE", r"'x\x00\u202e' is no number of a run"),
    ],
)
async def test_a_run_that_is_not_there_is_told_in_words(
    operator: Operator, number: str, said: str
) -> None:
    for page in (
        await operator.get(f"/runs/{number}"),
        await operator.submit(f"/runs/{number}/cancel"),
    ):
        assert page.status == 404
        assert said in page.text


async def test_a_cancel_is_published_in_the_name_of_the_operator(
    system: System, operator: Operator
) -> None:
    await system.add_run(2)

    sent = await operator.submit("/runs/2/cancel", reason=f" {HOSTILE} ", force="yes")

    assert sent.status == 303
    command_id = sent.headers["Location"].removeprefix("/runs/2?requested=")
    page = await operator.get(sent.headers["Location"])
    assert f"Your cancel is requested, as command {command_id}." in page.text
    assert _is_live(page)
    message = await _take(system)
    assert message["command_id"] == command_id
    assert (message["run_id"], message["requested_by"]) == (2, "olga")
    assert (message["reason"], message["force"]) == (HOSTILE, True)


async def _take(system: System) -> dict[str, object]:
    queue = await system.channel.get_queue(system.topology.cancel, ensure=False)
    found = await eventually(lambda: queue.get(fail=False), lambda message: message is not None)
    assert found is not None
    await found.ack()
    read: dict[str, object] = json.loads(found.body)
    return read


async def test_a_reason_that_is_too_long_is_refused_and_kept(
    system: System, operator: Operator
) -> None:
    await system.add_run(3)

    refused = await operator.submit("/runs/3/cancel", reason="x" * 256, force="yes")

    assert refused.status == 400
    assert "The reason can have at most 255 characters, and no NUL." in refused.text
    assert f'value="{"x" * 256}"' in refused.html
    assert re.search(r'name="force" value="yes" checked', refused.html)


async def test_there_is_nothing_to_cancel_in_a_run_that_is_over(operator: Operator) -> None:
    path = f"/runs/{IDS['passed']}"

    assert '<button type="submit" class="danger"' not in (await operator.get(path)).html
    assert not _is_live(await operator.get(path))
    refused = await operator.submit(f"{path}/cancel")

    assert refused.status == 409
    assert "There is nothing left to cancel. Nothing was requested." in refused.text


async def test_without_rabbitmq_one_line_says_that_nothing_was_requested(system: System) -> None:
    await system.add_run(4)
    away = {"AMQP_URL": "amqp://127.0.0.1:1/", "CANCEL_STARTUP_TIMEOUT": "1"}
    program, url = await start_console(system, **away)
    # More often than within that time: the console goes on without RabbitMQ.
    await program.event("rabbitmq_unreachable", count=8, connection="cancel-worker console")
    operator = await signed_in(system, url)

    refused = await operator.submit("/runs/4/cancel", reason="kept")

    assert refused.status == 503
    assert "RabbitMQ is not available. Nothing was requested; try again later." in refused.text
    assert 'value="kept"' in refused.html
    await operator.close()


async def test_runs_are_found_by_their_filters_page_by_page(
    system: System, operator: Operator
) -> None:
    async with system.database.acquire() as connection:
        for run_id in range(201, 206):
            row = {"run_id": run_id, "status": "queued", "labels": {"branch": "a b&c"}}
            await insert(connection, "runs", row)

    first = await operator.get("/runs?label=branch:a+b%26c&status=queued&host=&label=&limit=2")
    (older,) = re.findall(r'href="([^"]+)" rel="next"', first.html)
    second = await operator.get(older.replace("&amp;", "&"))

    assert _runs(first.html) == [205, 204]
    assert _runs(second.html) == [203, 202]
    assert _is_live(first)
    assert not _is_live(second)
    assert 'value="branch:a b&amp;c"' in second.html


def _is_live(page: Page) -> bool:
    return re.search(r"<section[^>]* data-live[ >]", page.html) is not None


def _runs(html: str) -> list[int]:
    return [int(each) for each in re.findall(r'<a href="/runs/(\d+)"', html)]


async def test_a_run_is_found_by_its_number(operator: Operator) -> None:
    sent = await operator.get("/runs?number=+4711+")

    assert (sent.status, sent.headers["Location"]) == (303, "/runs/4711")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status=lost", "status: 'lost' is none of queued, running"),
        ("status=pass&status=fail", "status: can be given only once."),
        ("host=a+b", "host: 'a b' is no name of a host."),
        ("label=x", "label: 'x' is not key:value"),
        ("label=a:%00", r"label: 'a:\x00' is not key:value"),
        ("&".join(f"label=a:{n}" for n in range(17)), "label: can be given at most 16 times."),
        ("limit=201", "limit: '201' is no number from 1 to 200."),
        ("after=x", "after: 'x' is no number of a run"),
        ("number=9223372036854775808", "number: '9223372036854775808' is no number of a run"),
    ],
)
async def test_a_bad_filter_is_told_in_words(operator: Operator, query: str, said: str) -> None:
    page = await operator.get(f"/runs?{query}")

    assert page.status == 400
    assert said in page.text


async def test_an_empty_list_says_so(operator: Operator) -> None:
    assert "No runs match." in (await operator.get("/runs?host=nowhere")).text
