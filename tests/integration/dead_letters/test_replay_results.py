"""`dead-letters replay --wait`: what became of each letter, told in words and by the exit code."""

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.records.letters import buried, dead_letters, editor_that, kept, latest
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT = ("--wait", "30")
HARDLY = ("--wait", "1")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("replay")) as running:
        await running.worker(keep_dead_letters="true")
        yield running


async def _replayed(system: System, *arguments: str) -> tuple[int, list[str]]:
    code, out, err = await dead_letters(system, "replay", *arguments)
    assert err == ""
    return code, out.splitlines()


async def test_what_can_never_be_read_is_dead_again_at_once(system: System) -> None:
    letter = (await kept(system, None, "malformed")).letter_id

    code, lines = await _replayed(system, str(letter), *WAIT)

    again = await latest(system, "replay_of", letter)
    assert code == 1
    assert lines == [
        "replayed 1",
        f"letter {letter}: dead again as letter {again['letter_id']} (malformed): {again['error']}",
        "settled 0, dead again 1, not decided in time 0",
    ]


async def test_a_command_of_a_run_that_exists_by_now_is_settled(system: System) -> None:
    run_id = next(run_ids)
    letter, _ = await buried(system, run_id=run_id)
    await system.add_run(run_id)

    code, lines = await _replayed(system, str(letter), *WAIT)

    assert (code, lines) == (
        0,
        [
            "replayed 1",
            f"letter {letter}: canceled, run {run_id}",
            "settled 1, dead again 0, not decided in time 0",
        ],
    )
    assert (await system.run(run_id))["status"] == "canceled"


async def test_a_run_that_is_unknown_still_is_what_an_undecided_letter_waits_for(
    system: System,
) -> None:
    letter, run_id = (await kept(system, number := next(run_ids))).letter_id, number

    code, lines = await _replayed(system, str(letter), *HARDLY)

    assert (code, lines) == (
        3,
        [
            "replayed 1",
            f"letter {letter}: not decided in time: run {run_id} is still unknown",
            "settled 0, dead again 0, not decided in time 1",
        ],
    )


async def test_a_command_that_is_on_record_for_another_run_is_not_settled_by_that(
    system: System,
) -> None:
    first, second = next(run_ids), next(run_ids)
    for run_id in (first, second):
        await system.add_run(run_id)
    letter = await kept(system, second)
    await system.outcome_of(await system.publish(first, command_id=letter.command_id))

    code, lines = await _replayed(system, str(letter.letter_id), *WAIT)

    assert code == 1
    assert "(command_reused): " in lines[1]
    assert (await system.run(second))["status"] == "queued"


async def test_each_of_several_letters_has_its_own_result(system: System) -> None:
    known, unknown = next(run_ids), next(run_ids)
    await system.add_run(known)
    settled, undecided = await kept(system, known), await kept(system, unknown)
    dead = await kept(system, None, "malformed")
    letters = [str(each.letter_id) for each in (settled, undecided, dead)]

    code, out, err = await dead_letters(
        system, "replay", *letters, "999999", "--wait", "2", "--json"
    )

    assert (code, err) == (1, "")
    described = json.loads(out)
    assert (described["replayed"], described["missing"]) == (3, [999999])
    results: dict[int, Json] = {each["letter_id"]: each for each in described["letters"]}
    again = await latest(system, "replay_of", dead.letter_id)
    nothing = dict.fromkeys(("outcome", "again", "reason", "error", "why"))
    assert results[settled.letter_id] == {
        **nothing,
        "letter_id": settled.letter_id,
        "command_id": settled.command_id,
        "run_id": known,
        "became": "settled",
        "outcome": "canceled",
    }
    assert results[undecided.letter_id] == {
        **nothing,
        "letter_id": undecided.letter_id,
        "command_id": undecided.command_id,
        "run_id": unknown,
        "became": "undecided",
        "why": f"run {unknown} is still unknown",
    }
    assert results[dead.letter_id] == {
        **nothing,
        "letter_id": dead.letter_id,
        "command_id": None,
        "run_id": None,
        "became": "dead_again",
        "again": again["letter_id"],
        "reason": "malformed",
        "error": again["error"],
    }


@pytest.mark.parametrize("corrected", [True, False], ids=["known", "unknown"])
async def test_what_became_of_a_corrected_letter_is_that_of_its_new_command(
    system: System, tmp_path: Path, corrected: bool
) -> None:
    run_id = next(run_ids)
    letter, command_id = await buried(system, run_id=run_id, grace_seconds="soon")
    if corrected:
        await system.add_run(run_id)

    code, out, err = await dead_letters(
        *(system, "replay", str(letter), "--edit", "--json"),
        *("--wait", "30" if corrected else "1"),
        EDITOR=editor_that(tmp_path, "text.replace('\"soon\"', '5')"),
    )

    assert (code, err) == (0 if corrected else 3, "")
    described = json.loads(out)
    (result,) = described["letters"]
    assert result["command_id"] == described["command_id"] != command_id
    assert (result["letter_id"], result["run_id"]) == (letter, run_id)
    assert (result["became"], result["outcome"]) == (
        ("settled", "canceled") if corrected else ("undecided", None)
    )


async def test_a_command_that_waits_as_another_letter_is_found_there(system: System) -> None:
    run_id = next(run_ids)
    first = await kept(system, run_id)
    second = await kept(system, run_id)
    await system.database.execute(
        "UPDATE dead_letters SET command_id = $1::text::uuid, body = "
        "(SELECT body FROM dead_letters WHERE letter_id = $2) WHERE letter_id = $3",
        *(first.command_id, first.letter_id, second.letter_id),
    )

    code, lines = await _replayed(system, str(first.letter_id), *HARDLY)

    assert code == 3
    assert lines[1].endswith(
        "not decided in time: another dead letter has the same command: "
        f"{second.letter_id} (unknown_run)"
    )


async def test_without_wait_the_summary_says_that_there_is_more_to_know(system: System) -> None:
    letter = (await kept(system, None, "malformed")).letter_id

    code, lines = await _replayed(system, str(letter))

    assert (code, lines) == (
        0,
        ["replayed 1", "sent; --wait 60 also reports the results"],
    )
    assert "letters" not in json.loads(
        (await dead_letters(system, "replay", "999999", "--json"))[1]
    )
    assert await _replayed(system, "999999") == (
        1,
        ["replayed 0", "not replayed: 999999: not found"],
    )


async def test_nothing_that_went_out_is_nothing_to_wait_for(system: System) -> None:
    code, lines = await _replayed(system, "999999", "--wait", "600")

    assert code == 1
    assert lines == [
        "replayed 0",
        "not replayed: 999999: not found",
        "settled 0, dead again 0, not decided in time 0",
    ]
