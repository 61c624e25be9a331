"""The archive of a prune: whole lines of one kind, or none."""

import json
import stat
from pathlib import Path

import pytest

from shared.errors import ServiceUnavailable, UserError
from tests.support.programs.full_disk import full_disk
from worker.upkeep.archive import file_archive, line

_AUDIT = '{"audit": {"audit_id": %d}}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.jsonl"


async def test_lines_are_appended_for_the_owner_alone(path: Path) -> None:
    for number in (1, 2):
        with file_archive(path) as archive:
            await archive.write([_AUDIT % number])

    assert path.read_text() == '{"audit": {"audit_id": 1}}\n{"audit": {"audit_id": 2}}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_of_a_write_that_fails_nothing_is_left(path: Path) -> None:
    with file_archive(path) as archive:
        await archive.write([_AUDIT % 1])
        before = path.read_bytes()

        with full_disk(len(before) + 10), pytest.raises(ServiceUnavailable, match="archive"):
            await archive.write([_AUDIT % 2])

        assert path.read_bytes() == before
        await archive.write([_AUDIT % 3])
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("torn", ['{"run": {"run', "x" * 200_000])
async def test_a_torn_line_is_removed(path: Path, torn: str) -> None:
    whole = _AUDIT % 1 + "\n"
    path.write_text(whole + torn)

    with file_archive(path) as archive:
        await archive.write([_AUDIT % 2])

    assert path.read_text() == whole + _AUDIT % 2 + "\n"


@pytest.mark.parametrize("content", ["notes\n", "{}\n", '{"other": 1}\n', "\n", "no newline"])
def test_another_file_is_not_touched(path: Path, content: str) -> None:
    path.write_text(content)

    with pytest.raises(UserError, match="not an archive"), file_archive(path):
        pass

    assert path.read_text() == content


def test_an_archive_that_is_in_use_is_refused(path: Path) -> None:
    with file_archive(path), pytest.raises(UserError, match="in use"), file_archive(path):
        pass


@pytest.mark.parametrize("kind", ["directory", "device", "missing directory"])
def test_what_cannot_be_an_archive_is_refused(tmp_path: Path, kind: str) -> None:
    paths = {
        "directory": tmp_path,
        "device": Path("/dev/null"),
        "missing directory": tmp_path / "no" / "archive",
    }
    with pytest.raises(UserError, match="archive"), file_archive(paths[kind]):
        pass


@pytest.mark.parametrize(
    ("body", "text", "encoding"),
    [
        (b'{"run_id": 1}', '{"run_id": 1}', "utf-8"),
        ("ü\0".encode(), "ü\0", "utf-8"),
        (b"\x00\xff", "AP8=", "base64"),
    ],
)
def test_a_body_is_text_or_base64(body: bytes, text: str, encoding: str) -> None:
    letter = {"letter_id": 1, "digest": "\\x00", "body": "\\x" + body.hex()}
    action = {"action": "edited", "body": "\\x" + body.hex()}
    record = {"letter": letter, "actions": [action, {"action": "replayed", "body": None}]}

    found = json.loads(line(json.dumps(record)))

    assert found["letter"] == {"letter_id": 1, "body": text, "body_encoding": encoding}
    assert found["actions"][0] == {"action": "edited", "body": text, "body_encoding": encoding}
    assert found["actions"][1] == {"action": "replayed", "body": None}
