"""The checker of refused registrations finds each way in which one can go wrong."""

from dataclasses import replace

import pytest

from tests.support.chaos.facts import event, only
from tests.support.chaos.registering import OPTIONS, OTHERS, letter, registration, round_of
from tools.chaos.checks import refused
from tools.chaos.observed.facts import Facts, Row


def refusals(*letters: Row) -> Facts:
    """OTHERS came by message, when the run was on record with OPTIONS; and its letters."""
    attempts = (
        registration("put", "created", OPTIONS),
        registration("message", "confirmed", OTHERS),
    )
    told = [
        event(20 + it["letter_id"], "run.rejected", {k: v for k, v in it.items() if k != "body"})
        for it in letters
    ]
    known = round_of(*attempts)
    return replace(known, letters=list(letters), events=[*known.events, *told])


def conflict(number: int = 3) -> Row:
    return letter("run_conflict", OTHERS, number)


def test_refusals_that_are_right_are_no_violation() -> None:
    assert not refused.check(refusals(conflict())).violations


def test_a_conflict_is_no_dead_letter() -> None:
    assert "is no dead letter, expected run_conflict" in only(refused.check(refusals()))


def test_a_conflict_is_dead_for_another_reason() -> None:
    found = only(refused.check(refusals(letter("internal_error", OTHERS))))
    assert "is dead as ['internal_error'], expected run_conflict" in found


def test_a_conflict_is_two_dead_letters() -> None:
    assert "has 2 dead letters" in only(refused.check(refusals(conflict(), conflict(4))))


def test_a_registration_that_was_carried_out_is_dead() -> None:
    known = refusals(letter("run_conflict", OPTIONS))
    same = registration("message", "confirmed", OPTIONS)
    found = only(refused.check(replace(known, journal=[same])))
    assert "is dead as ['run_conflict'], expected None" in found


def test_a_registration_is_dead_that_was_never_sent() -> None:
    known = replace(refusals(conflict()), journal=[])
    assert "that the load did not send" in only(refused.check(known))


def test_what_the_broker_refused_is_dead() -> None:
    sent = registration("message", "refused", OTHERS)
    known = replace(refusals(conflict()), journal=[sent])
    assert "is dead as ['run_conflict']" in only(refused.check(known))


@pytest.mark.parametrize(
    ("letters", "found"),
    [
        ([], "is no dead letter, expected malformed"),
        ([letter("run_conflict", OTHERS)], "is dead as ['run_conflict'], expected malformed"),
    ],
)
def test_an_invalid_registration_is_no_dead_letter(letters: list[Row], found: str) -> None:
    known = refusals(*letters)
    wrong = registration("message", "confirmed", OTHERS, is_valid=False)
    assert found in only(refused.check(replace(known, journal=[wrong], runs={})))


def test_an_invalid_registration_is_on_record() -> None:
    wrong = registration("put", "invalid", OTHERS, is_valid=False)
    found = only(refused.check(round_of(wrong)))
    assert found == "run 7 is on record, and was asked for in no valid way"


@pytest.mark.parametrize("reasons", [[], ["malformed"], ["run_conflict", "run_conflict"]])
def test_a_refusal_is_not_told_once_and_truly(reasons: list[str]) -> None:
    known = refusals(conflict())
    told = [
        event(30 + at, "run.rejected", {"letter_id": 3, "reason": reason})
        for at, reason in enumerate(reasons)
    ]
    found = only(refused.check(replace(known, events=[*known.events[:1], *told])))
    assert found == f"letter 3 is run_conflict, its events say {reasons}"


def test_a_refusal_is_told_that_never_was() -> None:
    known = refusals(conflict())
    untrue = event(40, "run.rejected", {"letter_id": 9, "reason": "run_conflict"})
    found = only(refused.check(replace(known, events=[*known.events, untrue])))
    assert found == "registrations are told to be dead, and are not: {9}"
