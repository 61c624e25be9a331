"""One run of spin's checker over the model, complete or an error."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from tools.errors import ToolError

MODEL = Path(__file__).with_name("cancel.pml")
MEGABYTES = 4000
SECONDS = 600
_DEPTH = 100_000
_NOT_COMPLETE = ("Search not completed", "max search depth too small", "MEMLIM", "out of memory")

ENDLESS: Final = "it goes on for ever"
_OF_TWO_COMMANDS: Final = ("FRESH_READ", "FORCE_JOINS", "CLOSE_GUARD")
BREAKS: Final = {
    "MANDATORY": "no_accepted_command_is_lost",
    "UNKNOWN_IS_503": "no_accepted_command_is_lost",
    "CONFIRM": "no_accepted_command_is_lost",
    "ACK_LAST": "no_accepted_command_is_lost",
    "MARK_LAST": "no_accepted_command_is_lost",
    "ROW_LOCK": "an_outcome_is_true",
    "FRESH_READ": "an_outcome_is_true",
    "REPEAT_CHECK": ENDLESS,
    "FAILED_OPENS": "no_accepted_command_is_lost",
    "FAILED_IS_OVER": "no_accepted_command_is_lost",
    "WRITE_GUARD": "a_repeat_changes_nothing",
    "DECIDED_AGAIN": "no_repeat_becomes_a_letter",
    "CLAIM_GUARD": "terminal_is_final",
    "RESULT_GUARD": "terminal_is_final",
    "LOST_GUARD": "terminal_is_final",
    "ONE_DEADLINE": "a_stop_has_one_deadline",
    "TAKE_UP_OPEN": "every_command_ends",
    "LOOK": "nothing_is_stopped_unasked",
    "STILL_OPEN": "nothing_is_stopped_unasked",
    "FORCE_JOINS": "a_force_does_not_wait_for_a_deadline",
    "GIVE_UP": ENDLESS,
    "CLOSE_GUARD": "an_outcome_is_final",
    "CLOSE_OVER": "every_command_ends",
    "LOCK_FIRST": "every_command_ends",
    "LETTER_WITH_OUTCOME": "no_accepted_command_is_lost",
    "REMOVE_LAST": "no_accepted_command_is_lost",
    "BARRIER": "what_runs_is_registered",
    "EOF_IS_NEVER": "what_runs_is_registered",
    "CONTAIN_FIRST": "canceled_means_dead",
    "PROOF": "canceled_means_dead",
    "TAKE_UP": "no_run_stays_running_without_its_launcher",
    "RELIST": "no_run_stays_running_without_its_launcher",
    "KILL_RESUMED": "what_a_lost_launcher_leaves_is_killed",
}
"""Each guard, and the promise that a model without it violates first."""


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
        commands=2 if guard in _OF_TWO_COMMANDS else 1,
        # Each of them needs a launcher that is lost and something more.
        faults=2 if guard in ("TAKE_UP", "RELIST", "KILL_RESUMED") else 1,
        without=guard,
        endless=BREAKS.get(guard) == ENDLESS,
    )


def check(wanted: Check, directory: Path) -> Result:
    """Search all states, below `directory`. Raises ToolError where that cannot be done."""
    place = Path(tempfile.mkdtemp(dir=directory))
    began = monotonic()
    settings = [f"-DCOMMANDS={wanted.commands}", f"-DFAULTS={wanted.faults}"]
    if wanted.without:
        settings.append(f"-DWITHOUT={wanted.without}")
    _run(["spin", *settings, "-a", str(MODEL)], place)
    search = ["-DNP"] if wanted.endless else ["-DSAFETY"]
    if wanted.without and wanted.faults == 1 and not wanted.endless:
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
        violated = ENDLESS if wanted.endless else _violated(settings, place)
    elif any(words in said for words in _NOT_COMPLETE):
        raise ToolError(f"the search was not completed:\n{said}")
    shutil.rmtree(place)
    return Result(_number(r"(\d+) states, stored", said), depth, seconds, violated)


def _violated(settings: list[str], place: Path) -> str:
    trail = next(place.glob("*.trail"))
    # spin has no status for "the trail ends in a violation": it fails, or not, as it likes.
    told = _run(["spin", *settings, "-k", str(trail), "-t", str(MODEL)], place, may_fail=True)
    found = re.search(r"violated: (\w+)", told)
    if found is None:
        raise ToolError(f"an error that violates no known promise:\n{told.strip()[-1000:]}")
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
        raise ToolError(f"{command[0]} took longer than {SECONDS} s") from None
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode != 0 and not may_fail:
        raise ToolError(f"{' '.join(command)} failed:\n{done.stdout.strip()[-1000:]}")
    return done.stdout


def _number(pattern: str, said: str) -> int:
    found = re.search(pattern, said)
    if found is None:
        raise ToolError(f"unexpected output of spin's checker:\n{said.strip()[-1000:]}")
    return int(found.group(1))
