"""Mutants are made in copies, run there, and judged by whether a test fails."""

import subprocess
from pathlib import Path

import pytest

from tools.mutants.areas import Area
from tools.mutants.mutant import Change, Mutant, mutant_of
from tools.mutants.outcome import Fate
from tools.mutants.play import Play
from tools.mutants.report import line
from tools.mutants.running import keeper
from tools.mutants.running.namespace import own_namespace
from tools.mutants.running.tree import ROOT, Tree, copied
from tools.mutants.unmutated import FailUnmutated
from tools.services import Services

_UNUSED = Services("postgresql://127.0.0.1:1/none", "amqp://127.0.0.1:1/", "none")
_LIMITS = "shared/limits.py"


def _mutant(file: str, old: str, new: str) -> Mutant:
    source = (ROOT / file).read_text()
    start = source.index(old)
    return mutant_of(file, "module", source, Change("test", start, start + len(old), new))


_STRONG = _mutant(_LIMITS, "MAX_TEXT: Final = 255", "MAX_TEXT: Final = 254")
_FOR_WIDER = _mutant(_LIMITS, "MAX_LABELS: Final = 16", "MAX_LABELS: Final = 17")
_NO_OP = _mutant(_LIMITS, '"""Characters."""', '"""In characters."""')
_ENDLESS = _mutant(_LIMITS, "MAX_URL: Final = 2048", "MAX_URL: Final = 2048\nwhile True: pass")


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """In one copy, with two quick tests."""
    area = Area("limits", [_LIMITS], ["unit/test_near.py"], ["unit/test_far.py"])
    played = Play(_UNUSED, tmp_path, 1, [area])
    for name, value in (("near", "MAX_TEXT == 255"), ("far", "MAX_LABELS == 16")):
        test = tmp_path / "0" / "tests" / "unit" / f"test_{name}.py"
        test.write_text(f"from shared.limits import *\ndef test_it():\n    assert {value}\n")
    return played


def test_who_notices_what(play: Play, tmp_path: Path) -> None:
    chosen = [("limits", mutant) for mutant in (_STRONG, _FOR_WIDER, _NO_OP, _STRONG)]
    told: list[str] = []

    play.try_all(chosen, told.append)

    assert [(each.fate, each.test) for each in play.outcomes] == [
        (Fate.NOTICED, "tests/unit/test_near.py::test_it"),
        (Fate.NOTICED_WIDER, "tests/unit/test_far.py::test_it"),
        (Fate.SURVIVED, ""),
        (Fate.NOTICED, "tests/unit/test_near.py::test_it"),
    ]
    assert told[1:] == [line(each) for each in play.outcomes]
    assert (tmp_path / "0" / _LIMITS).read_text() == (ROOT / _LIMITS).read_text()


def test_a_mutant_without_an_end_is_noticed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.mutants.unmutated._SLACK", 2.0)
    play.try_all([("limits", _ENDLESS)], lambda _: None)
    (outcome,) = play.outcomes
    assert outcome.fate is Fate.TIMED_OUT


def test_tests_that_fail_without_a_mutant_are_told(play: Play, tmp_path: Path) -> None:
    test = tmp_path / "0" / "tests" / "unit" / "test_near.py"
    test.write_text("def test_it():\n    assert False\n")
    with pytest.raises(
        FailUnmutated, match=r"tests of limits fail without any change: .*::test_it"
    ):
        play.try_all([("limits", _STRONG)], lambda _: None)


@pytest.mark.parametrize("permitted", [True, False])
def test_the_tests_see_no_process_but_their_own_where_that_is_possible(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, permitted: bool
) -> None:
    if not permitted:
        monkeypatch.setattr("tools.mutants.running.tests.own_namespace", tuple)
    elif not own_namespace():
        pytest.skip("a pid namespace needs more rights")
    seen, test = tmp_path / "seen", tmp_path / "0" / "tests" / "unit" / "test_near.py"
    test.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "def test_it():\n"
        "    assert os.getppid() != 1\n"
        "    first = Path('/proc/1/cmdline').read_text().split('\\0')\n"
        f"    Path({str(seen)!r}).write_text(' '.join(first))\n"
    )

    play.try_all([("limits", _NO_OP)], lambda _: None)

    assert (keeper.__file__ in seen.read_text()) == permitted


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return copied(tmp_path_factory.mktemp("copies") / "0")


def _said(command: list[str], tree: Tree) -> str:
    """In an environment and a directory that say nothing of the copy."""
    run = subprocess.run(command, cwd="/", env={}, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_whatever_is_started_runs_the_mutant(tree: Tree) -> None:
    tell = "from shared.limits import MAX_TEXT; print(MAX_TEXT)"
    read = [str(tree.python), "-c", tell]
    assert _said(read, tree) == "255"
    with tree.changed(_STRONG):
        assert _said(read, tree) == "254"
        assert _said([str(tree.python), "-I", "-c", tell], tree) == "254"
    assert _said(read, tree) == "255"


def test_the_checkout_is_on_no_path(tree: Tree) -> None:
    for options in ([], ["-I"]):
        command = [str(tree.python), *options, "-c", "import sys; print(*sys.path, sep='\\n')"]
        paths = _said(command, tree).splitlines()
        assert str(tree.path) in paths
        assert str(ROOT) not in paths


def test_the_programs_of_the_copy_are_those_of_its_interpreter(tree: Tree) -> None:
    program = tree.path / ".venv" / "bin" / "cancel-worker"
    broken = _mutant("worker/cli.py", "import", "import nothing_of_that_name\nimport")
    assert "Usage" in _said([str(program), "--help"], tree)
    with tree.changed(broken), pytest.raises(subprocess.CalledProcessError):
        _said([str(program), "--help"], tree)


def test_the_same_size_and_second_is_no_hindrance(tree: Tree) -> None:
    """To noticing that compiled code is old."""
    read = [str(tree.python), "-c", "from shared.limits import MAX_TEXT; print(MAX_TEXT)"]
    for value in range(3):
        with tree.changed(
            _mutant(_LIMITS, "MAX_TEXT: Final = 255", f"MAX_TEXT: Final = 10{value}")
        ):
            assert _said(read, tree) == f"10{value}"


def test_a_wider_test_that_fails_anyway_notices_nothing(play: Play, tmp_path: Path) -> None:
    test = tmp_path / "0" / "tests" / "unit" / "test_far.py"
    test.write_text("def test_it():\n    assert False\n")
    with pytest.raises(FailUnmutated, match=r"test_far.py::test_it"):
        play.try_all([("limits", _NO_OP)], lambda _: None)
