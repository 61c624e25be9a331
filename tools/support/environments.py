"""Environments of programs whose packages do not belong into ours, made once per checkout."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.errors import ToolError

_PLACE: Final = Path(__file__).parents[2] / "build"
_INSTALL_SECONDS: Final = 300


class NoEnvironment(ToolError):
    """The packages cannot be installed here."""


def python_environment(name: str, requirements: Path) -> Path:
    """Its Python, with exactly these packages. Raises NoEnvironment."""
    place = _PLACE / f"{name}-venv"
    python = place / "bin" / "python"
    with _made_once(place, requirements.read_text()) as is_made:
        if not is_made:
            print(f"installing {name} into {place}", file=sys.stderr, flush=True)
            _run([sys.executable, "-m", "venv", "--clear", str(place)])
            _run(
                [
                    *(str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"),
                    *("--no-input", "--only-binary", ":all:", "-r", str(requirements)),
                ]
            )
    return python


def node_environment(name: str, package: Path) -> Path:
    """A directory with the packages of this package.json below it. Raises NoEnvironment."""
    if shutil.which("npm") is None:
        raise NoEnvironment("npm is not installed (Debian, Ubuntu: apt-get install npm)")
    place = _PLACE / f"{name}-node"
    with _made_once(place, package.read_text()) as is_made:
        if not is_made:
            print(f"installing {name} into {place}", file=sys.stderr, flush=True)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            shutil.copy(package, place / "package.json")
            quiet = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
            _run(["npm", "install", "--prefix", str(place), *quiet])
    return place


@contextmanager
def _made_once(place: Path, wanted: str) -> Iterator[bool]:
    """Whether it is there, and of these versions; if not, it is once this was left in order."""
    _PLACE.mkdir(exist_ok=True)
    installed = place / ".installed"
    with (_PLACE / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        is_made = installed.exists() and installed.read_text() == wanted
        yield is_made
        installed.write_text(wanted)


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip() or "no output").splitlines()[-1]
        raise NoEnvironment(f"{command[0]} failed: {last}") from None
    except subprocess.TimeoutExpired:
        raise NoEnvironment(f"{command[0]} took longer than {_INSTALL_SECONDS} s") from None
