"""The checkers of cancels find each way in which one of many, or an early one, can go wrong."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from tests.support.chaos.facts import AT, LETTER, command, facts, only, run, texts
from tests.support.chaos.registering import registration
from tools.chaos.checks import accepted, many
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, Row

KEY = "0b0e3f6c-0000-4000-8000-000000000002"
LABELS = {"labels": {"branch": "main"}, "before_run": 8}


def command_id(run_id: int) -> str:
    return str(uuid5(UUID(KEY), str(run_id)))


def result(run_id: int, status: str = "accepted") -> Row:
    of_known = command_id(run_id) if status != "not_found" else None
    return {"run_id": run_id, "status": status, "command_id": of_known}


def bulk(asked: Row, *results: Row, status: int | None = 202) -> Entry:
    at = AT.timestamp()
    return {
        "kind": "bulk",
        "key": KEY,
        "asked": asked,
        "began": at + 2,
        "at": at + 3,
        "status": status,
        "results": list(results),
        "matched": len(results),
        "error": None,
    }


def settled(run_id: int) -> Row:
    own = {"run_id": run_id, "command_id": UUID(command_id(run_id)), "reason": KEY}
    return {**command("canceled"), "finished_at": AT, **own}


def round_of(*attempts: Entry, commands: list[Row] | None = None) -> Facts:
    """Run 7 was registered before it was asked to be canceled; 999 never was."""
    on_record = {**run("canceled"), "created_at": AT}
    return facts(
        runs={7: on_record},
        journal=[registration("put", "created", {}), *attempts],
        cancellations=[settled(7)] if commands is None else commands,
    )


def by_ids(*results: Row) -> Entry:
    return bulk({"run_ids": [it["run_id"] for it in results]}, *results)


def lost(asked: Row) -> Entry:
    return bulk(asked, status=None)


@pytest.mark.parametrize(
    "attempts",
    [
        [by_ids(result(7), result(999, "not_found"))],
        [by_ids(result(7, "unavailable")), by_ids(result(7, "no_op"))],
        [bulk(LABELS, result(7))],
        [lost(LABELS), bulk(LABELS)],
        [lost({"run_ids": [7]})],
        [bulk(LABELS, status=503)],
    ],
)
def test_cancels_of_many_that_are_right_are_no_violation(attempts: list[Entry]) -> None:
    known = round_of(*attempts)
    assert not [*many.check(known).violations, *accepted.check(known).violations]


def test_one_of_many_commands_is_lost() -> None:
    found = only(accepted.check(round_of(by_ids(result(7)), commands=[])))
    assert found == f"command {command_id(7)} for run 7 (one of {KEY}) was lost"


@pytest.mark.parametrize("asked", [{"run_ids": [7]}, LABELS])
def test_a_command_may_be_missing_if_the_answer_is(asked: Row) -> None:
    assert not accepted.check(round_of(lost(asked), commands=[])).violations


@pytest.mark.parametrize(
    "attempt", [by_ids(result(7, "not_found")), lost({**LABELS, "before_run": 7})]
)
def test_a_run_is_canceled_that_was_not_asked_for(attempt: Entry) -> None:
    assert texts(accepted.check(round_of(attempt)))


def test_one_of_many_commands_is_recorded_twice() -> None:
    known = round_of(by_ids(result(7)), commands=[settled(7), settled(7)])
    assert "was recorded 2 times" in only(accepted.check(known))


def test_one_of_many_commands_is_for_another_run() -> None:
    known = round_of(by_ids(result(7)), commands=[{**settled(7), "run_id": 6}])
    assert "was recorded for runs {6}" in only(accepted.check(known))


def test_the_results_are_of_other_runs() -> None:
    attempt = bulk({"run_ids": [7, 999]}, result(7))
    assert "were answered for [7]" in only(many.check(round_of(attempt)))


@pytest.mark.parametrize("asked", [{**LABELS, "before_run": 7}, {**LABELS, "labels": {"a": "b"}}])
def test_a_run_is_canceled_that_has_not_the_labels_or_is_newer(asked: Row) -> None:
    assert "include [7]" in only(many.check(round_of(bulk(asked, result(7)))))


def test_a_run_is_left_that_was_asked_for() -> None:
    known = round_of(bulk(LABELS))
    known.runs[7]["status"] = "queued"
    assert "leave {7}" in only(many.check(known))


def test_a_run_that_comes_later_is_left() -> None:
    known = round_of(bulk(LABELS))
    known.runs[7]["status"] = "queued"
    assert not many.check(replace(known, journal=known.journal[1:])).violations


def test_a_command_has_an_id_of_its_own() -> None:
    other = {**result(7), "command_id": command_id(8)}
    assert "the command for run 7 is" in only(many.check(round_of(by_ids(other))))


def test_a_run_is_canceled_that_is_not_on_record() -> None:
    attempt = by_ids(result(999))
    assert "run 999, on record: False, is accepted" in only(many.check(round_of(attempt)))


def test_the_request_fails() -> None:
    attempt = bulk(LABELS, status=500)
    assert "were answered 500" in only(many.check(round_of(attempt)))


def dead(reason: str, seconds: float) -> Row:
    """The letter of the command, given up so many seconds after its run came."""
    own = {"command_id": UUID(command_id(7)), "correlation_id": KEY, "reason": reason}
    return {**LETTER, **own, "last_failed_at": AT + timedelta(seconds=seconds)}


def early(seconds: float) -> Facts:
    known = round_of(by_ids(result(7)), commands=[])
    return replace(known, letters=[dead("unknown_run", seconds)])


def test_a_command_that_was_given_up_before_its_run_came_is_dead() -> None:
    assert not accepted.check(early(-1)).violations


def test_a_command_for_a_known_run_is_given_up() -> None:
    assert "is dead: unknown_run" in only(accepted.check(early(1)))


def test_one_of_many_commands_is_half_done() -> None:
    known = round_of(by_ids(result(7)), commands=[{**settled(7), "outcome": None}])
    assert "is half done: [None]" in only(accepted.check(known))


def test_one_of_many_commands_has_an_outcome_and_a_dead_letter() -> None:
    known = replace(round_of(by_ids(result(7))), letters=[dead("unknown_run", -1)])
    assert "has an outcome and a dead letter" in only(accepted.check(known))


def test_one_of_many_commands_has_two_dead_letters() -> None:
    known = replace(round_of(by_ids(result(7))), letters=[dead("stop_failed", 1)] * 2)
    assert "has 2 dead letters" in only(accepted.check(known))
