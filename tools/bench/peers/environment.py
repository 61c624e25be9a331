"""The peers' own virtual environment, made by the bench."""

from dataclasses import dataclass
from pathlib import Path

from tools.support.environments import python_environment

_HERE = Path(__file__).parent

FASTSTREAM = _HERE / "faststream_backlog.py"
CELERY = _HERE / "celery_revoke.py"
DRAMATIQ = _HERE / "abort_with_dramatiq.py"
REQUIREMENTS = _HERE / "requirements.txt"


@dataclass(frozen=True, slots=True)
class Environment:
    python: str


def environment() -> Environment:
    """Make it if it is not there, or not of these versions. Raises NoEnvironment."""
    return Environment(str(python_environment("bench", REQUIREMENTS)))
