"""A file with a password: what is wrong with it is said, and nothing of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from shared.services.named_file import NamedFile
from shared.services.secret_files import read_password, warn_if_others_may_read

SETTING = "AMQP_PASSWORD_FILE"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "password"


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"open-sesame", "open-sesame"),
        (b"open-sesame\n", "open-sesame"),
        (b"open-sesame\r\n", "open-sesame"),
        (b" a:b@c/d#e%20 \n", " a:b@c/d#e%20 "),
        ("pässwörd\n".encode(), "pässwörd"),
    ],
)
def test_one_newline_at_the_end_is_not_part_of_it(
    path: Path, content: bytes, password: str
) -> None:
    path.write_bytes(content)

    assert read_password(NamedFile(path, SETTING)) == password


def _missing(path: Path) -> None:
    del path


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(content), None)[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "cannot read {}: No such file or directory"),
        (Path.mkdir, "cannot read {}: Is a directory"),
        (os.mkfifo, "{}: not a regular file"),
        (_bytes(b""), "{}: empty"),
        (_bytes(b"\n"), "{}: empty"),
        (_bytes(b"open-sesame\nsecond\n"), "{}: must have one line, with the password alone"),
        (_bytes(b"open-sesame\n\n"), "{}: must have one line, with the password alone"),
        (_bytes(b"open-sesame\0"), "{}: must have one line, with the password alone"),
        (_bytes(b"open-sesame\xff"), "{}: not UTF-8 text"),
        (_bytes(b"open-sesame" * 400), "{}: too large for a password"),
    ],
)
def test_what_is_wrong_is_said(path: Path, make: Callable[[Path], None], words: str) -> None:
    make(path)

    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        read_password(NamedFile(path, SETTING))

    assert str(refused.value) == words.format(f"{SETTING}={path}")


def test_of_a_file_that_every_user_may_read_a_warning_is_logged(path: Path) -> None:
    path.write_text("open-sesame")
    for directory in path.parents:
        if not directory.stat().st_mode & 0o001:
            directory.chmod(0o711)
    warned = []
    for mode in (0o600, 0o640, 0o644):
        path.chmod(mode)
        with structlog.testing.capture_logs() as logs:
            warn_if_others_may_read(NamedFile(path, SETTING))
        warned.append(logs)
    path.parent.chmod(0o700)
    with structlog.testing.capture_logs() as logs:
        warn_if_others_may_read(NamedFile(path, SETTING))

    line = {"event": "secret_file_readable", "log_level": "warning"}
    assert warned == [[], [], [{**line, "setting": SETTING, "path": str(path)}]]
    assert logs == []


def test_a_file_that_is_refused_does_not_stay_open(path: Path) -> None:
    os.mkfifo(path)
    before = _open_descriptors()

    with pytest.raises(ValueError, match="not a regular file") as refused:
        NamedFile(path, SETTING).open()

    # With the exception, all that its frames have is still there.
    assert _open_descriptors() == before, refused.value


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
