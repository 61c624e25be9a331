"""Dead letters on pages: replayed and discarded, by whom."""

import asyncio
import re

import pytest

from tests.support.console.letters import actions_of, changed, ended, state_of
from tests.support.console.operator import Operator, signed_in, start_console
from tests.support.records.letters import kept, latest
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


async def test_a_replay_is_planned_then_done_and_its_result_shown(
    system: System, operator: Operator
) -> None:
    await system.add_run(21)
    letter = await kept(system, 21)
    other = await kept(system, 22)
    await changed(system, other.letter_id, replays=3)
    form = f"/dead-letters/replay?id={letter.letter_id}&id={other.letter_id}&id=987654321"

    planned = await operator.get(form)

    assert "1 letter would be published again" in planned.text
    assert "1 letter would be skipped: replayed 3 times already" in planned.text
    assert "not on record: 987654321" in planned.text
    assert await state_of(system, letter.letter_id) == "waiting"
    assert "2 letters would be published again" in (await operator.get(f"{form}&force=1")).text

    page = await ended(
        operator, await operator.submit("/dead-letters/replay", id=str(letter.letter_id))
    )

    assert "Sent 1 of 1" in page.text
    assert "settled: canceled 21" in page.text
    assert await actions_of(system, letter.letter_id) == [
        {"action": "replayed", "done_by": "olga", "note": None}
    ]
    history = (await operator.get(f"/dead-letters/{letter.letter_id}")).text
    assert "replayed by olga" in history


@pytest.mark.usefixtures("nothing_waiting")
async def test_all_that_match_are_replayed_but_none_that_came_since(
    system: System, operator: Operator
) -> None:
    letters = [await kept(system, run_id) for run_id in (31, 32, 33)]
    for run_id in (31, 32, 33, 34):
        await system.add_run(run_id)
    other = await kept(system, 35, "stop_failed")
    planned = await operator.get("/dead-letters/replay?all=1&reason=unknown_run")
    assert "3 letters would be published again" in planned.text
    form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', planned.html))
    later = await kept(system, 34)

    page = await ended(operator, await operator.post("/dead-letters/replay", form))

    assert "Sent 3 of 3" in page.text
    assert "settled 3" in page.text
    for letter in letters:
        assert await state_of(system, letter.letter_id) == "replayed"
    for letter in (other, later):
        assert await state_of(system, letter.letter_id) == "waiting"


async def test_a_letter_that_dies_again_is_told_with_its_number(
    system: System, operator: Operator
) -> None:
    letter = await kept(system, None, "malformed")

    page = await ended(
        operator, await operator.submit("/dead-letters/replay", id=str(letter.letter_id))
    )

    again = await latest(system, "replay_of", letter.letter_id)
    assert "dead again 1" in page.text
    assert f"letter {again['letter_id']}: malformed" in page.text
    shown = await operator.get(f"/dead-letters/{letter.letter_id}")
    assert f"A replay became letter {again['letter_id']}, waiting" in shown.text
    only = await operator.get("/dead-letters/work")
    assert "replay olga 1 of 1, ended" in only.text


async def test_a_discard_is_planned_and_keeps_who_and_why(
    system: System, operator: Operator
) -> None:
    letter, other = await kept(system, 41), await kept(system, 42)
    await changed(system, other.letter_id, state="replayed")
    ids = f"id={letter.letter_id}&id={other.letter_id}"

    planned = await operator.get(f"/dead-letters/discard?{ids}")
    assert "1 letter would be discarded" in planned.text
    assert "1 letter would stay as it is: not waiting" in planned.text

    page = await ended(
        operator,
        await operator.submit(
            "/dead-letters/discard", id=str(letter.letter_id), note=f"stale {HOSTILE}"
        ),
    )

    assert "Discarded 1 of 1" in page.text
    assert await state_of(system, letter.letter_id) == "discarded"
    (action,) = await actions_of(system, letter.letter_id)
    assert (action["action"], action["done_by"]) == ("discarded", "olga")
    shown = await operator.get(f"/dead-letters/{letter.letter_id}")
    assert r"discarded by olga: stale <script>alert(1)</script>\u202e" in shown.text
    assert "<script>alert" not in shown.html


@pytest.mark.parametrize(
    ("path", "form", "problem"),
    [
        ("replay", {}, "No letter is marked: go back, and mark some."),
        ("replay", {"id": "x"}, "id: 'x' is no number from 1 to"),
        ("replay", {"id": "1", "rate": "fast"}, "is no number of letters per second"),
        ("replay", {"id": "1", "rate": "0"}, "is no number of letters per second"),
        ("replay", {"all": "1", "search": "a"}, "needs three letters or digits in a row"),
        ("discard", {"id": "1", "note": "n" * 1001}, "a note has at most 1000 characters"),
        ("discard", {"all": "1", "state": "replayed"}, "Only waiting letters can be discarded."),
    ],
)
async def test_a_wrong_form_does_nothing_and_says_why(
    operator: Operator, path: str, form: dict[str, str], problem: str
) -> None:
    page = await operator.submit(f"/dead-letters/{path}", **form)

    assert page.status == 400
    assert problem in page.text
    assert "Location" not in page.headers


@pytest.mark.usefixtures("nothing_waiting")
async def test_a_slow_replay_is_stopped_and_the_rest_stays_waiting(
    system: System, operator: Operator
) -> None:
    for run_id in range(61, 71):
        await system.add_run(run_id)
        await kept(system, run_id)
    begun = await operator.submit("/dead-letters/replay", all="1", rate="2")
    work = begun.headers["Location"]
    await eventually(
        lambda: operator.get(work), lambda page: re.search("settled [1-9]", page.text), what=work
    )

    stopped = await operator.submit(f"{work}/stop")

    assert stopped.headers["Location"] == work
    page = await eventually(lambda: operator.get(work), lambda page: "Ended" in page.text)
    sent = int(re.findall(r"Sent (\d+) of 10", page.text)[0])
    assert 1 <= sent < 10
    states = await system.database.fetch(
        "SELECT state FROM dead_letters WHERE run_id >= 61 AND run_id < 71"
    )
    assert [row["state"] for row in states].count("waiting") == 10 - sent


async def test_two_who_replay_the_same_letters_cancel_each_run_once(
    system: System, operator: Operator
) -> None:
    letters = []
    for run_id in range(81, 91):
        await system.add_run(run_id)
        letters.append(await kept(system, run_id))
    form = [("id", str(letter.letter_id)) for letter in letters]
    csrf = (await operator.get("/")).csrf

    begun = await asyncio.gather(
        *(operator.post("/dead-letters/replay", [("csrf", csrf), *form]) for _ in range(2))
    )

    for page in begun:
        assert "settled 10" in (await ended(operator, page)).text
    for run_id in range(81, 91):
        assert len(await system.cancellations(run_id)) == 1


async def test_work_of_another_console_is_not_known(operator: Operator) -> None:
    page = await operator.get("/dead-letters/work/abc123")

    assert page.status == 404
    assert "does not know of that work" in page.text


async def test_without_rabbitmq_nothing_is_sent_or_marked(system: System) -> None:
    _, url = await start_console(system, AMQP_URL="amqp://guest:guest@127.0.0.1:1/")
    operator = await signed_in(system, url)
    letter = await kept(system, 101)

    replay = await operator.submit("/dead-letters/replay", id=str(letter.letter_id))
    edit = await operator.submit(
        f"/dead-letters/{letter.letter_id}/edit",
        body='{"run_id": 101}',
        seen="waiting.0",
        step="send",
    )

    for page in (replay, edit):
        assert page.status == 400
        assert "Nothing was sent: RabbitMQ is unavailable" in page.text
    assert '{"run_id": 101}' in edit.text
    assert await state_of(system, letter.letter_id) == "waiting"
    assert await actions_of(system, letter.letter_id) == []
    await operator.close()


async def test_a_console_that_stops_finishes_what_it_has_sent(system: System) -> None:
    program, url = await start_console(system)
    operator = await signed_in(system, url)
    await eventually(lambda: operator.get("/readyz"), lambda page: page.status == 200)
    run_ids = range(111, 131)
    for run_id in run_ids:
        await system.add_run(run_id)
    form = [("id", str((await kept(system, run_id)).letter_id)) for run_id in run_ids]
    csrf = (await operator.get("/")).csrf
    begun = await operator.post("/dead-letters/replay", [("csrf", csrf), ("rate", "5"), *form])
    await eventually(
        lambda: operator.get(begun.headers["Location"]),
        lambda page: re.search("Sent [1-9]", page.text),
    )

    assert await program.stop() == 0

    ended = [event for event in program.events if event["event"] == "letters_work_ended"]
    rows = await system.database.fetch(
        "SELECT run_id FROM dead_letters WHERE state = 'replayed' AND run_id BETWEEN 111 AND 130"
    )
    assert [event["done"] for event in ended] == [len(rows)]
    assert 1 <= len(rows) < len(run_ids)
    for row in rows:
        await system.status_becomes(row["run_id"], "canceled")
    await operator.close()
