"""Dead letters on pages: found and shown."""

import re

import pytest

from tests.support.console.letters import changed
from tests.support.console.operator import Operator
from tests.support.records.letters import Kept, kept
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


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
    await changed(system, letter.letter_id, error=error)


@pytest.mark.usefixtures("nothing_waiting")
async def test_each_filter_finds_its_letters_alone(system: System, operator: Operator) -> None:
    letter = await kept(system, 4711)
    await changed(system, letter.letter_id, publisher="scheduler", requested_by="merge queue")
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
    await changed(
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
    await changed(system, letter.letter_id, body=body)

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
    await changed(system, letter.letter_id, body=body)

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
    await changed(system, letter.letter_id, body=deep.encode())

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
