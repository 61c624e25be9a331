"""A mutant of SQL that Postgres cannot prepare is no mutant."""

from pathlib import Path

import pytest

from tools.mutants.areas import SQL, Area
from tools.mutants.mutant import Change, Mutant, mutant_of
from tools.mutants.outcome import Fate
from tools.mutants.play import Play
from tools.mutants.running.tree import ROOT
from tools.services import Services

_FILE = SQL + "upkeep.py"
_REQUESTS = SQL + "requests.py"


def _mutant(old: str, new: str, file: str = _FILE) -> Mutant:
    source = (ROOT / file).read_text()
    start = source.index(old)
    return mutant_of(file, "module", source, Change("test", start, start + len(old), new))


@pytest.fixture
def play(services: Services, tmp_path: Path) -> Play:
    nothing = ["unit/memory/test_recent.py"]
    return Play(services, tmp_path, 1, [Area("upkeep", [_FILE], nothing, nothing)])


def test_only_what_can_be_prepared_is_tried(play: Play) -> None:
    tried = {
        _mutant("done_at < $1) AS host_actions", "done_at <= $1) AS host_actions"): Fate.SURVIVED,
        # A word that is missing, a column that does not exist, a parameter that is not used.
        _mutant("WHERE done_at < $1) AS audit", "done_at < $1) AS audit"): Fate.INVALID,
        _mutant("WHERE done_at < $1) AS audit", "WHERE made_at < $1) AS audit"): Fate.INVALID,
        _mutant("AND start_before IS NULL", "AND start_before < $2"): Fate.INVALID,
        _mutant("name = $1 AND", ""): Fate.INVALID,
        # A word that is missing where there are no parameters; a module without its statements.
        _mutant("DELETE FROM rate_windows", "DELETE rate_windows", _REQUESTS): Fate.INVALID,
        _mutant("Final = ", "Final = nothing_of_that_name + "): Fate.INVALID,
    }
    play.try_all([("upkeep", mutant) for mutant in tried], lambda _: None)
    assert {each.mutant: each.fate for each in play.outcomes} == tried
