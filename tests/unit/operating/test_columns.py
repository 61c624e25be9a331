"""Which columns of a table are shown on a terminal."""

import pytest

from shared.command_line.columns import Column, fit

ID = Column("id", ["123456"], wraps=False)
TIME = Column("stored", ["2026-01-02 03:04:05.678 UTC"], wraps=False)
STATE = Column("state", ["discarded"], wraps=False)
BODY = Column("body", ["177 bytes"], wraps=False)
ERROR = Column("error", ["the body has 100001 bytes; a command has at most 65536"], wraps=True)
ALL = [ID, STATE, TIME, BODY, ERROR]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, ALL),
        (77, ALL),
        (76, [ID, STATE, TIME, ERROR]),
        (66, [ID, STATE, TIME, ERROR]),
        (65, [ID, TIME, ERROR]),
        (55, [ID, TIME, ERROR]),
        (54, None),
    ],
)
def test_columns_are_left_out_one_by_one_and_none_is_cut(
    width: int, shown: list[Column] | None
) -> None:
    assert fit(ALL, ["body", "state"], width) == shown


def test_a_wide_character_takes_two_columns() -> None:
    assert Column("name", ["漢字漢字漢字"], wraps=False).least == 12
