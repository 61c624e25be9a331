"""The map of areas: each module has its place, and each test exists."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.mutants.areas import AREAS, NEED_AN_ENGINE, NO_RULES, OTHER_TESTS, matches
from tools.mutants.candidates import sources
from tools.mutants.mutant import Mutant
from tools.mutants.running.tree import ROOT


def test_each_module_is_of_one_area_or_of_none() -> None:
    for file in sources(ROOT):
        areas = [area.name for area in AREAS if area.has(file)]
        left_out = matches(file, (*NO_RULES, *NEED_AN_ENGINE))
        assert len(areas) == 1 or (left_out and not areas), f"{file}: {areas}"


def test_each_pattern_fits_a_file() -> None:
    files = sources(ROOT)
    patterns = [*NO_RULES, *NEED_AN_ENGINE, *(one for area in AREAS for one in area.files)]
    assert [one for one in patterns if not any(matches(f, [one]) for f in files)] == []


def test_each_test_exists() -> None:
    named = [test for area in AREAS for test in (*area.tests, *area.wider)]
    assert [test for test in named if not Path(ROOT, "tests", test).exists()] == []


def test_each_unit_and_integration_test_is_of_an_area() -> None:
    """A new test would otherwise not be asked."""
    named = {test for area in AREAS for test in (*area.tests, *area.wider)}
    tests = [
        path.relative_to(ROOT / "tests")
        for kind in ("unit", "integration")
        for path in Path(ROOT, "tests", kind).rglob("test_*.py")
    ]
    of_none = [
        path.as_posix()
        for path in tests
        if not named & {path.as_posix(), *(parent.as_posix() for parent in path.parents)}
        and not matches(path.as_posix(), OTHER_TESTS)
    ]
    assert of_none == []


def test_each_area_has_mutants_and_each_has_its_own_id(
    found: Mapping[str, Sequence[Mutant]],
) -> None:
    assert [name for name, mutants in found.items() if len(mutants) < 20] == []
    ids = [mutant.id for mutants in found.values() for mutant in mutants]
    assert len(ids) == len(set(ids))
