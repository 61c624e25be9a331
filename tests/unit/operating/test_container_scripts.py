"""What runs in the containers before our programs do."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.support.compose import PASSWORDS, new_passwords

PROJECT = Path(__file__).parents[3]
SCRIPTS = PROJECT / "deploy" / "docker"


def _check_passwords(passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPTS / "check-passwords")],
        env=passwords,
        capture_output=True,
        text=True,
        check=False,
    )


def test_passwords_that_can_stand_in_a_url_are_accepted() -> None:
    done = _check_passwords(new_passwords())

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize("bad", ["", "a/b", "a@b", 'a"b', "a%b", "a b", "a\nb", "ü"])
def test_a_password_that_cannot_is_named_and_not_shown(name: str, bad: str) -> None:
    done = _check_passwords({**new_passwords(), name: bad})

    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: ")
    assert len(done.stderr.splitlines()) == 1
    assert not bad or bad not in done.stderr


def test_the_image_gets_what_the_project_needs() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "requirements.py")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert set(project["dependencies"]) < set(done.stdout.splitlines())
    assert "dumb-init" in done.stdout
