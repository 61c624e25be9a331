"""Dead letters on pages: found, shown, edited, replayed, discarded, by whom."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.commands import CANCEL_TYPE
from tests.support.console.operator import Operator, Page, signed_in, start_console
from tests.support.records.letters import Kept, kept, latest
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        await running.worker(keep_dead_letters=True)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system)
    entered = await signed_in(system, url)
    await eventually(lambda: entered.get("/readyz"), lambda page: page.status == 200)
    yield entered
    await entered.close()


@pytest_asyncio.fixture(loop_scope="module")
async def nothing_waiting(system: System) -> None:
    await system.database.execute("UPDATE dead_letters SET state = 'discarded'")


async def _changed(system: System, letter_id: int, **columns: Any) -> None:
    for name, value in columns.items():
        await system.database.execute(
            f"UPDATE dead_letters SET {name} = $2 WHERE letter_id = $1",  # noqa: S608 - a test's
            letter_id,
            value,
        )


async def _ended(operator: Operator, begun: Page) -> Page:
    """Follow to the page of the work, and wait until it has ended; that page."""
    assert begun.status == 303, begun.text
    address = begun.headers["Location"]
    return await eventually(
        lambda: operator.get(address), lambda page: re.search("Ended", page.text), what=address
    )


async def _actions(system: System, letter_id: int) -> list[dict[str, Any]]:
    rows = await system.database.fetch(
        "SELECT action, done_by, note FROM dead_letter_actions WHERE letter_id = $1 ORDER BY 1",
        letter_id,
    )
    return [dict(row) for row in rows]


async def _state(system: System, letter_id: int) -> str:
    state: str = await system.database.fetchval(
        "SELECT state FROM dead_letters WHERE letter_id = $1", letter_id
    )
    return state


@pytest.mark.usefixtures("nothing_waiting")
async def test_letters_are_counted_by_reason_and_by_error(
    system: System, operator: Operator
) -> None:
    for run_id in (17, 99):
        letter = await kept(system, run_id)
        await _with_error(system, letter, f"run {run_id} is not on record")
    await kept(system, None, "malformed")

    page = await operator.get("/dead-letters")

    assert "3 waiting letters" in page.text
    assert re.search(r"By reason 2 unknown_run 1 malformed By error 2 run \* is not on", page.text)
    (group,) = re.findall(r'href="(/dead-letters\?error=[^"]+)"', page.html)[:1]
    assert "2 waiting letters" in (await operator.get(group)).text


async def _with_error(system: System, letter: Kept, error: str) -> None:
    await _changed(system, letter.letter_id, error=error)


@pytest.mark.usefixtures("nothing_waiting")
async def test_each_filter_finds_its_letters_alone(system: System, operator: Operator) -> None:
    letter = await kept(system, 4711)
    await _changed(system, letter.letter_id, publisher="scheduler", requested_by="merge queue")
    other = await kept(system, 4712, "stop_failed")

    for filters in (
        "run=4711",
        "reason=unknown_run",
        "publisher=scheduler",
        "requested_by=merge+queue",
        f"search={letter.command_id}",
        "state=waiting&run=4711&newer_than=1h",
    ):
        page = await operator.get(f"/dead-letters?{filters}")
        assert f'href="/dead-letters/{letter.letter_id}"' in page.html, filters
        assert f'href="/dead-letters/{other.letter_id}"' not in page.html, filters
        assert "1 waiting letter" in page.text
    assert "No letters match." in (await operator.get("/dead-letters?older_than=30d")).text


@pytest.mark.usefixtures("nothing_waiting")
async def test_every_letter_is_on_one_page(system: System, operator: Operator) -> None:
    letters = {(await kept(system, 5)).letter_id for _ in range(120)}

    address, found = "/dead-letters?run=5", list[int]()
    while address:
        page = await operator.get(address)
        found += map(int, re.findall(r'name="id" value="(\d+)"', page.html))
        older = re.search(r'href="([^"]+)" rel="next"', page.html)
        address = older[1].replace("&amp;", "&") if older else ""

    assert found == sorted(letters, reverse=True)


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ("state=lost", "state: 'lost' is none of waiting, replayed, discarded, all."),
        ("reason=none", "reason: 'none' is none of malformed,"),
        ("run=0", "run: '0' is no number from 1 to"),
        ("run=99999999999999999999", "is no number from 1 to"),
        ("newer_than=yesterday", "newer_than: 'yesterday' is not a duration like 90s"),
        ("search=ab", "search: a text to search for needs three letters or digits in a row."),
        ("search=abc%00", "must not contain NUL characters"),
        ("before=x", "before: 'x' is no number from 1 to"),
        ("publisher=%00", "publisher: has at most 255 characters, and no NUL."),
    ],
)
async def test_a_bad_filter_is_told_in_one_line(
    operator: Operator, filters: str, problem: str
) -> None:
    page = await operator.get(f"/dead-letters?{filters}")

    assert page.status == 400
    assert problem in page.text


async def test_a_letter_is_shown_whole(system: System, operator: Operator) -> None:
    letter = await kept(system, 4713)
    await _changed(
        system, letter.letter_id, headers='{"x-mine": "1"}', message_id="m-1", publisher=HOSTILE
    )

    page = await operator.get(f"/dead-letters/{letter.letter_id}")

    for part in (
        "waiting",
        "unknown_run",
        "it was so",
        "4713",
        "not on record",
        "Tried 4 times",
        str(letter.command_id),
        "x-mine 1",
        "Message id m-1",
        "Nobody has done anything with it.",
        "What to do: run 4713 is not on record; once it is, replay it; if the number is wrong, "
        "edit and replay it; otherwise discard it.",
    ):
        assert part in page.text, (part, page.text)
    assert "<script>alert" not in page.html
    assert r"<script>alert(1)</script>\u202e\x1b[31m" in page.text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a": 1}', '{ "a": 1 }'),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\u202eabc\0\x1b[31m".encode(), r"\u202eabc\x00\x1b[31m"),
        (b"\xff\xfe\x00", "00000000 ff fe 00"),
        (b"[" * 100_000, "[[[["),
        (b"", "0 bytes"),
    ],
)
async def test_any_body_is_shown_as_text_or_bytes(
    system: System, operator: Operator, body: bytes, shown: str
) -> None:
    letter = await kept(system, 1)
    await _changed(system, letter.letter_id, body=body)

    page = await operator.get(f"/dead-letters/{letter.letter_id}")

    assert shown in page.text
    assert "<script>alert" not in page.html
    as_bytes = await operator.get(f"/dead-letters/{letter.letter_id}?as=bytes")
    assert not body or "00000000" in as_bytes.text


async def test_a_large_body_is_shown_in_part_and_can_be_stored_as_a_file(
    system: System, operator: Operator
) -> None:
    letter = await kept(system, 1)
    body = b"<script>alert(1)</script>" * 335_545  # 8 MB
    await _changed(system, letter.letter_id, body=body)

    page = await operator.get(f"/dead-letters/{letter.letter_id}")

    assert "8,388,625 bytes; the first 65,536 are shown" in page.text
    assert len(page.html) < 1_000_000
    stored = await operator.get(f"/dead-letters/{letter.letter_id}/body")
    assert stored.html.encode() == body
    assert stored.headers["Content-Type"] == "application/octet-stream"
    assert stored.headers["Content-Disposition"].startswith("attachment;")
    assert "sandbox" in stored.headers["Content-Security-Policy"]
    assert stored.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_short_text_that_would_be_long_indented_stays_short(
    system: System, operator: Operator
) -> None:
    letter = await kept(system, 1)
    deep = "[" * 400 + "1," * 20_000 + "1" + "]" * 400
    await _changed(system, letter.letter_id, body=deep.encode())

    page = await operator.get(f"/dead-letters/{letter.letter_id}")

    assert len(page.html) < 200_000
    assert "[[[[" in page.text


@pytest.mark.parametrize("path", ["", "/edit", "/body"])
@pytest.mark.parametrize("letter", ["999999999", "99999999999999999999999"])
async def test_a_letter_that_is_not_there_is_told(
    operator: Operator, letter: str, path: str
) -> None:
    page = await operator.get(f"/dead-letters/{letter}{path}")

    assert page.status == 404
    assert "letter" in page.text


async def test_a_replay_is_planned_then_done_and_its_result_shown(
    system: System, operator: Operator
) -> None:
    await system.add_run(21)
    letter = await kept(system, 21)
    other = await kept(system, 22)
    await _changed(system, other.letter_id, replays=3)
    form = f"/dead-letters/replay?id={letter.letter_id}&id={other.letter_id}&id=987654321"

    planned = await operator.get(form)

    assert "1 letter would be published again" in planned.text
    assert "1 letter would be skipped: replayed 3 times already" in planned.text
    assert "not on record: 987654321" in planned.text
    assert await _state(system, letter.letter_id) == "waiting"
    assert "2 letters would be published again" in (await operator.get(f"{form}&force=1")).text

    page = await _ended(
        operator, await operator.submit("/dead-letters/replay", id=str(letter.letter_id))
    )

    assert "Sent 1 of 1" in page.text
    assert "settled: canceled 21" in page.text
    assert await _actions(system, letter.letter_id) == [
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

    page = await _ended(operator, await operator.post("/dead-letters/replay", form))

    assert "Sent 3 of 3" in page.text
    assert "settled 3" in page.text
    for letter in letters:
        assert await _state(system, letter.letter_id) == "replayed"
    for letter in (other, later):
        assert await _state(system, letter.letter_id) == "waiting"


async def test_a_letter_that_dies_again_is_told_with_its_number(
    system: System, operator: Operator
) -> None:
    letter = await kept(system, None, "malformed")

    page = await _ended(
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
    await _changed(system, other.letter_id, state="replayed")
    ids = f"id={letter.letter_id}&id={other.letter_id}"

    planned = await operator.get(f"/dead-letters/discard?{ids}")
    assert "1 letter would be discarded" in planned.text
    assert "1 letter would stay as it is: not waiting" in planned.text

    page = await _ended(
        operator,
        await operator.submit(
            "/dead-letters/discard", id=str(letter.letter_id), note=f"stale {HOSTILE}"
        ),
    )

    assert "Discarded 1 of 1" in page.text
    assert await _state(system, letter.letter_id) == "discarded"
    (action,) = await _actions(system, letter.letter_id)
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


async def test_an_edit_is_checked_reviewed_and_replayed(system: System, operator: Operator) -> None:
    await system.add_run(51)
    letter = await kept(system, 50)
    path = f"/dead-letters/{letter.letter_id}"
    page = await operator.get(f"{path}/edit")
    seen = re.findall(r'name="seen" value="([^"]+)"', page.html)[0]
    body = json.dumps({"command_id": str(uuid4()), "run_id": 51, "reason": "right"})

    checked = await operator.submit(f"{path}/check", body=body)
    assert json.loads(checked.html) == {"asks": "cancels run 51, which is queued; because: right"}
    review = await operator.submit(f"{path}/edit", body=body, seen=seen, step="review")
    assert "The edited letter cancels run 51, which is queued" in review.text, review.text
    assert '- "run_id": 50' in review.text
    assert '+ "run_id": 51' in review.text
    assert await _state(system, letter.letter_id) == "waiting"

    page = await _ended(
        operator, await operator.submit(f"{path}/edit", body=body, seen=seen, step="send")
    )

    assert "settled: canceled 51" in page.text
    (cancellation,) = await system.cancellations(51)
    assert cancellation["via"] == "replay"
    assert cancellation["reason"] == "right"
    (action,) = await _actions(system, letter.letter_id)
    assert (action["action"], action["done_by"]) == ("edited", "olga")
    assert "The edited body" in (await operator.get(path)).text


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{", "the edited body is not a cancel command"),
        ('{"run_id": "x"}', "run_id: Input should be a valid integer"),
        ('{"run_id": 1, "run_id": 2}', "run_id: Field appears twice"),
        ("</textarea><script>alert(1)</script>", "the edited body is not a cancel command"),
        ("\n\n{", "the edited body is not a cancel command"),
    ],
)
async def test_a_refused_edit_is_told_and_kept(
    system: System, operator: Operator, body: str, problem: str
) -> None:
    letter = await kept(system, 52)
    path = f"/dead-letters/{letter.letter_id}"

    checked = await operator.submit(f"{path}/check", body=body)
    refused = await operator.submit(f"{path}/edit", body=body, seen="waiting.0", step="review")

    assert problem in json.loads(checked.html)["problem"]
    assert refused.status == 400
    assert problem in refused.text
    assert "<script>alert" not in refused.html
    # The parser of HTML drops the first end of line of a textarea.
    kept_text = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", refused.html, re.DOTALL)
    assert unescape(kept_text[0]) == body
    assert await _state(system, letter.letter_id) == "waiting"


async def test_who_edits_a_letter_hears_that_another_has_replayed_it(
    system: System, operator: Operator
) -> None:
    await system.add_run(53)
    letter = await kept(system, 53)
    path = f"/dead-letters/{letter.letter_id}"
    await system.database.execute(
        "INSERT INTO dead_letter_actions (letter_id, action, done_by)"
        " VALUES ($1, 'replayed', 'paul')",
        letter.letter_id,
    )
    await _changed(system, letter.letter_id, state="replayed", replays=1)

    page = await operator.submit(
        f"{path}/edit", body='{"run_id": 53}', seen="waiting.0", step="send"
    )

    assert page.status == 400
    assert f"letter {letter.letter_id} was replayed by paul while you were editing" in page.text
    assert '{"run_id": 53}' in page.text
    assert await system.cancellations(53) == []


async def test_one_of_two_edits_at_once_is_sent(system: System, operator: Operator) -> None:
    await system.add_run(54)
    letter = await kept(system, 54)
    form = {"body": '{"run_id": 54}', "seen": "waiting.0", "step": "send"}

    begun = await asyncio.gather(
        *(operator.submit(f"/dead-letters/{letter.letter_id}/edit", **form) for _ in range(4))
    )

    for page in begun:
        if page.status == 303:
            await _ended(operator, page)
    assert [each["action"] for each in await _actions(system, letter.letter_id)] == ["edited"]
    assert len(await system.cancellations(54)) == 1


async def test_a_body_that_is_no_text_cannot_be_edited(system: System, operator: Operator) -> None:
    letter = await kept(system, 1)
    await _changed(system, letter.letter_id, body=b"\xff\xfe")

    page = await operator.get(f"/dead-letters/{letter.letter_id}/edit")

    assert "The body is not text and cannot be edited." in page.text


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
        assert "settled 10" in (await _ended(operator, page)).text
    for run_id in range(81, 91):
        assert len(await system.cancellations(run_id)) == 1


async def test_work_of_another_console_is_not_known(operator: Operator) -> None:
    page = await operator.get("/dead-letters/work/abc123")

    assert page.status == 404
    assert "does not know of that work" in page.text


async def test_a_registration_is_edited_as_one(system: System, operator: Operator) -> None:
    letter = await kept(system, 91, "run_conflict")
    await _changed(
        system, letter.letter_id, routing_key="run.queued", type=CANCEL_TYPE, body=b'{"run_id": 91}'
    )

    checked = await operator.submit(
        f"/dead-letters/{letter.letter_id}/check", body='{"run_id": 92}'
    )

    assert json.loads(checked.html) == {"asks": "registers run 92"}


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
    assert await _state(system, letter.letter_id) == "waiting"
    assert await _actions(system, letter.letter_id) == []
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
