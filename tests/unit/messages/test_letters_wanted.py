"""A filter of dead letters as a condition."""

import pytest

from shared.errors import UserError
from shared.states import DeadReason
from worker.dead_letters.wanted import Filter, checked_search, where


def test_only_what_is_asked_for_is_in_the_condition() -> None:
    condition = where(Filter(reason=DeadReason.MALFORMED, run_id=3), before=9)

    assert condition.text == "state = $1 AND reason = $2 AND run_id = $3 AND letter_id < $4"
    assert condition.arguments == ("waiting", "malformed", 3, 9)
    assert condition.after(2) == "$6"
    assert where(Filter(state=None)).text == "true"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("compiler", ("compiler",)),
        ("José", ("José", "Jos\\u00e9", "JOS\\u00c9")),
        ('say "hi there"', ('say "hi there"', 'say \\"hi there\\"')),
    ],
)
def test_a_text_is_looked_for_as_json_may_have_written_it(
    text: str, written: tuple[str, ...]
) -> None:
    found = where(Filter(state=None, grep=text)).arguments

    assert {str(each).lower() for each in found} == {each.lower() for each in written}


@pytest.mark.parametrize(
    "text", ["", "ab", "_a_", "a b c", "....", "x\0abc", "\ud800abc", "a" * 1001]
)
def test_a_text_that_no_index_finds_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        checked_search(text)


@pytest.mark.parametrize("text", ["abc", "a_b 123", "été", "漢字漢"])
def test_a_text_with_three_letters_in_a_row_is_not(text: str) -> None:
    assert checked_search(text) == text
