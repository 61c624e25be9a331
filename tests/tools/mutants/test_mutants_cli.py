"""The command line: what is chosen, told, written down, and how it ends."""

import json
from pathlib import Path

import pytest

from tools.mutants import equivalent
from tools.mutants.areas import Area
from tools.mutants.candidates import candidates
from tools.mutants.cli import TOO_FEW, UNAVAILABLE, main
from tools.mutants.mutant import Mutant
from tools.mutants.running.tree import ROOT

_AREA = Area("paging", ["gateway/http/paging.py"], ["unit/gateway/test_paging.py"], [])


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of this area need none."""
    monkeypatch.delenv("SERVICES", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    monkeypatch.setenv("AMQP_URL", "amqp://127.0.0.1:1/")


def _some(operator: str) -> Mutant:
    found = candidates(ROOT, [_AREA])["paging"]
    return next(mutant for mutant in found if mutant.change.operator == operator)


def test_one_mutant_is_tried_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mutant = _some("comparison")
    summary = tmp_path / "summary.json"

    code = main(["--only", mutant.id, "--jobs", "1", "--summary", str(summary)], [_AREA])

    assert code == 0
    assert "100 % of 1 mutants were noticed" in capsys.readouterr().out
    (told,) = json.loads(summary.read_text())["mutants"]
    assert (told["id"], told["fate"]) == (mutant.id, "noticed")
    assert told["test"].startswith("tests/unit/gateway/test_paging.py::")


def test_survivors_are_shown_and_can_be_too_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mutant = _some("comparison")
    asleep = Area("paging", _AREA.files, ["unit/gateway/test_answers.py"], [])

    assert main(["--only", mutant.id, "--jobs", "1", "--least", "50"], [asleep]) == TOO_FEW

    told = capsys.readouterr().out
    assert f"survived {mutant.id} paging: {mutant.place}" in told
    assert f"  - {mutant.before}\n  + {mutant.after}" in told
    assert "0 % of 1 mutants were noticed" in told


def test_an_equivalent_mutant_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mutant = _some("comparison")
    monkeypatch.setitem(equivalent._REASONS, mutant.key, "for this test")
    assert main(["--only", mutant.id, "--jobs", "1"], [_AREA]) == 0
    assert "not counted: 0 invalid, 1 equivalent" in capsys.readouterr().out


def test_all_are_listed_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    found = candidates(ROOT, [_AREA])["paging"]
    assert main(["--list"], [_AREA]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::3]] == [mutant.id for mutant in found]


def test_what_does_not_exist_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--only", "0000"], ["--area", "none"], ["worker/none.py"]):
        assert main(arguments, [_AREA]) == UNAVAILABLE
        assert capsys.readouterr().err.startswith("mutants: ")


def test_each_equivalent_mutant_exists() -> None:
    """One whose lines have changed has to be judged again."""
    keys = {mutant.key for found in candidates(ROOT).values() for mutant in found}
    assert [each for each in equivalent.EQUIVALENT if _key(each) not in keys] == []


def _key(each: equivalent.Equivalent) -> tuple[str, str, str, str]:
    return each.file, each.scope, each.before, each.after
