"""Chooses mutants: as many of each area, the same ones for the same seed and revision."""

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from random import Random

from tools.mutants.mutant import Mutant

Chosen = list[tuple[str, Mutant]]
"""Mutants with the names of their areas."""


def sample(candidates: Mapping[str, Sequence[Mutant]], count: int, seed: int) -> Chosen:
    """Of each file of an area in turn, so that none stands for the whole area."""
    random = Random(f"{seed}")
    names = sorted(candidates)
    random.shuffle(names)
    queues = [[(name, mutant) for mutant in _in_turns(candidates[name], random)] for name in names]
    turns = chain.from_iterable(zip_longest(*queues))
    return [each for each in turns if each is not None][:count]


def _in_turns(mutants: Sequence[Mutant], random: Random) -> list[Mutant]:
    by_file: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_file.setdefault(mutant.file, []).append(mutant)
    # A file with more rules has a better chance to be early.
    files = sorted(by_file, key=lambda file: random.random() ** (1 / len(by_file[file])))
    files.reverse()
    queues = [random.sample(by_file[file], len(by_file[file])) for file in files]
    turns = chain.from_iterable(zip_longest(*queues))
    return [each for each in turns if each is not None]
