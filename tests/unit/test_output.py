"""What the command lines print where nobody watches."""

import pytest

from shared.output import print_columns


def test_through_a_pipe_each_row_is_one_line_however_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[dict[str, object]] = [
        {"letter_id": 1, "error": "x" * 300},
        {"letter_id": 20, "error": "two\nlines \x1b[31mand a color"},
        {"letter_id": 3, "error": None},
    ]

    print_columns({"id": "letter_id", "error": "error"}, rows)

    heading, long, colored, empty = capsys.readouterr().out.splitlines()
    assert heading == "id  error"
    assert long == "1   " + "x" * 300
    assert colored == "20  two lines  [31mand a color"
    assert empty == "3"
