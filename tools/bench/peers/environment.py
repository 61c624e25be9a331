"""The peers' own virtual environment, made by the bench."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "requirements.txt"
_PLACE = Path(__file__).parents[3] / "build" / "bench-venv"

FASTSTREAM = _HERE / "faststream_backlog.py"
CELERY = _HERE / "celery_revoke.py"


@dataclass(frozen=True, slots=True)
class Environment:
    python: str


def environment() -> Environment:
    """Make it if it is not there, or not of these versions."""
    python = _PLACE / "bin" / "python"
    installed = _PLACE / ".installed"
    wanted = _REQUIREMENTS.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        print(f"bench: installing the peers into {_PLACE}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_PLACE)], check=True)
        subprocess.run(
            [
                str(python),
                *("-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"),
                *("--only-binary", ":all:", "-r", str(_REQUIREMENTS)),
            ],
            check=True,
        )
        installed.write_text(wanted)
    return Environment(str(python))
