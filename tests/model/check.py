"""One run of spin's checker over the model, complete or an error."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

MODEL = Path(__file__).with_name("cancel.pml")
MEGABYTES = 4000
SECONDS = 600
_DEPTH = 100_000
_NOT_COMPLETE = ("Search not completed", "max search depth too small", "MEMLIM", "out of memory")


class ToolsMissing(Exception):
    """spin or a C compiler is not on this machine."""


class CheckFailed(Exception):
    """The checker could not say anything; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """What to check: `without` names the guard to take out, `endless` looks for cycles only."""

    commands: int = 1
    faults: int = 1
    without: str | None = None
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`violated` names the promise; `depth` is then the length of the counterexample."""

    states: int
    depth: int
    seconds: float
    violated: str | None


def missing_tools() -> list[str]:
    """The programs that are not there, named like their Debian packages."""
    return [name for name in ("spin", "gcc") if shutil.which(name) is None]


def guards() -> list[str]:
    """The guards that the model names, in its order."""
    return re.findall(r"^#define ([A-Z_0-9]+) +\d+  /\*", MODEL.read_text(), re.MULTILINE)


def without(guard: str) -> Check:
    """A check that must fail: as much going on as it takes to miss `guard`."""
    return Check(
        commands=2 if guard == "CLOSE_GUARD" else 1,
        # Each of them needs a launcher that is lost and something more.
        faults=2 if guard in ("TAKE_UP", "RELIST", "KILL_RESUMED") else 1,
        without=guard,
    )


def check(wanted: Check, directory: Path) -> Result:
    """Search all states, below `directory`. Raises CheckFailed where that cannot be done."""
    place = Path(tempfile.mkdtemp(dir=directory))
    began = monotonic()
    settings = [f"-DCOMMANDS={wanted.commands}", f"-DFAULTS={wanted.faults}"]
    if wanted.without:
        settings.append(f"-DWITHOUT={wanted.without}")
    _run(["spin", *settings, "-a", str(MODEL)], place)
    search = ["-DNP"] if wanted.endless else ["-DSAFETY"]
    if wanted.without and wanted.faults == 1:
        # Breadth first finds the shortest counterexample, but needs far more room.
        search.append("-DBFS")
    _run(
        ["gcc", "-O2", "-w", *search, "-DNOREDUCE", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"],
        place,
    )
    run = ["./pan", "-n", f"-m{_DEPTH}", *(["-l"] if wanted.endless else [])]
    said = _run(run, place)
    seconds = monotonic() - began
    errors, depth = _number(r"errors: (\d+)", said), _number(r"depth reached (\d+)", said)
    violated = None
    if errors:
        depth = _number(r"\(at depth (\d+)\)", said)
        violated = "it goes on for ever" if wanted.endless else _violated(settings, place)
    elif any(words in said for words in _NOT_COMPLETE):
        raise CheckFailed(f"the search was not completed:\n{said}")
    shutil.rmtree(place)
    return Result(_number(r"(\d+) states, stored", said), depth, seconds, violated)


def _violated(settings: list[str], place: Path) -> str:
    trail = next(place.glob("*.trail"))
    # spin has no status for "the trail ends in a violation": it fails, or not, as it likes.
    told = _run(["spin", *settings, "-k", str(trail), "-t", str(MODEL)], place, may_fail=True)
    found = re.search(r"violated: (\w+)", told)
    if found is None:
        raise CheckFailed(f"an error that is no promise's:\n{told.strip()[-1000:]}")
    return found.group(1)


def _run(command: list[str], place: Path, *, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"{command[0]} took longer than {SECONDS} s") from None
    except OSError as error:
        raise CheckFailed(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode != 0 and not may_fail:
        raise CheckFailed(f"{' '.join(command)} failed:\n{done.stdout.strip()[-1000:]}")
    return done.stdout


def _number(pattern: str, said: str) -> int:
    found = re.search(pattern, said)
    if found is None:
        raise CheckFailed(f"spin's checker says something unexpected:\n{said.strip()[-1000:]}")
    return int(found.group(1))
