"""Dead letters on pages: edited."""

import asyncio
import json
import re
from html import unescape
from uuid import uuid4

import pytest

from shared.commands import CANCEL_TYPE
from tests.support.console.letters import actions_of, changed, ended, state_of
from tests.support.console.operator import Operator
from tests.support.records.letters import kept
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    assert await state_of(system, letter.letter_id) == "waiting"

    page = await ended(
        operator, await operator.submit(f"{path}/edit", body=body, seen=seen, step="send")
    )

    assert "settled: canceled 51" in page.text
    (cancellation,) = await system.cancellations(51)
    assert cancellation["via"] == "replay"
    assert cancellation["reason"] == "right"
    (action,) = await actions_of(system, letter.letter_id)
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
    assert await state_of(system, letter.letter_id) == "waiting"


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
    await changed(system, letter.letter_id, state="replayed", replays=1)

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
            await ended(operator, page)
    assert [each["action"] for each in await actions_of(system, letter.letter_id)] == ["edited"]
    assert len(await system.cancellations(54)) == 1


async def test_a_body_that_is_no_text_cannot_be_edited(system: System, operator: Operator) -> None:
    letter = await kept(system, 1)
    await changed(system, letter.letter_id, body=b"\xff\xfe")

    page = await operator.get(f"/dead-letters/{letter.letter_id}/edit")

    assert "The body is not text and cannot be edited." in page.text


async def test_a_registration_is_edited_as_one(system: System, operator: Operator) -> None:
    letter = await kept(system, 91, "run_conflict")
    await changed(
        system, letter.letter_id, routing_key="run.queued", type=CANCEL_TYPE, body=b'{"run_id": 91}'
    )

    checked = await operator.submit(
        f"/dead-letters/{letter.letter_id}/check", body='{"run_id": 92}'
    )

    assert json.loads(checked.html) == {"asks": "registers run 92"}
