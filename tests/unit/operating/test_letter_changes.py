"""What an edit of a dead letter changes, as its review shows it."""

from time import process_time

from worker.console.letters.diff import MOST_LINES, Line, changes


def test_json_is_compared_line_by_line_however_it_is_written() -> None:
    assert changes('{"run_id":50,"a":1}', '{"run_id": 51, "a": 1}') == [
        Line(" ", "{"),
        Line("-", '  "run_id": 50,'),
        Line("+", '  "run_id": 51,'),
        Line(" ", '  "a": 1'),
        Line(" ", "}"),
    ]
    assert changes('{"a":1}', '{ "a": 1 }') == []


def test_text_that_is_no_json_is_compared_as_it_is() -> None:
    assert changes("cancel 1", "cancel 2") == [Line("-", "cancel 1"), Line("+", "cancel 2")]


def test_too_many_lines_are_not_compared() -> None:
    assert changes("\n" * (MOST_LINES + 1), "{}") is None
    assert changes("{}", "\n" * (MOST_LINES + 1)) is None


def test_no_text_takes_long() -> None:
    """Of many kinds, this one took longest: each line several times, every other one changed."""
    lines = [str(number % 100) for number in range(MOST_LINES)]
    other = [line if number % 2 else f"was {number}" for number, line in enumerate(lines)]
    began = process_time()

    assert changes("\n".join(lines), "\n".join(other)) is not None

    assert process_time() - began < 1
