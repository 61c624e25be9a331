"""The same mutants for the same seed, some of each area."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tools.mutants.candidates import candidates
from tools.mutants.mutant import Mutant
from tools.mutants.running.tree import ROOT
from tools.mutants.sample import Chosen, sample

Found = Mapping[str, Sequence[Mutant]]


def _ids(chosen: Chosen) -> list[str]:
    return [mutant.id for _, mutant in chosen]


def test_a_sample_follows_from_its_seed(found: Found) -> None:
    assert _ids(sample(found, 60, 1)) == _ids(sample(candidates(ROOT), 60, 1))
    assert set(_ids(sample(found, 60, 1))) != set(_ids(sample(found, 60, 2)))


def test_a_larger_sample_has_the_smaller_one_in_it(found: Found) -> None:
    assert _ids(sample(found, 60, 1))[:20] == _ids(sample(found, 20, 1))


def test_each_area_has_its_share(found: Found) -> None:
    times = Counter(name for name, _ in sample(found, 3 * len(found), 1))
    assert set(times.values()) == {3}


def test_no_more_than_there_are(found: Found) -> None:
    of_one = {"upkeep": found["upkeep"]}
    chosen = sample(of_one, 10_000, 1)
    assert sorted(_ids(chosen)) == sorted(mutant.id for mutant in of_one["upkeep"])
