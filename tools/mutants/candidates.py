"""All mutants of the areas."""

import ast
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tools.mutants.areas import AREAS, Area
from tools.mutants.mutant import Mutant
from tools.mutants.operators import python
from tools.mutants.operators.sql import grants, modules
from tools.mutants.operators.values import enumerations


def candidates(root: Path, areas: Iterable[Area] = AREAS) -> dict[str, list[Mutant]]:
    """Those of each area by its name, by file and line."""
    files = sources(root)
    known: dict[str, list[str]] = {}
    for file in files:
        if file.endswith(".py"):
            known |= enumerations(ast.parse((root / file).read_text()))
    return {
        area.name: list(_distinct(_of(root, [f for f in files if area.has(f)], known)))
        for area in areas
    }


def sources(root: Path) -> list[str]:
    """All that may be changed, by path."""
    found = ["deploy/postgres/roles.sql"]
    for package in ("gateway", "shared", "worker"):
        for directory, _, names in os.walk(root / package):
            for name in names:
                if name.endswith(".py"):
                    found.append(Path(directory, name).relative_to(root).as_posix())
    return sorted(found)


def _of(root: Path, files: Sequence[str], known: dict[str, list[str]]) -> Iterator[Mutant]:
    for file in files:
        text = (root / file).read_text()
        if file.endswith(".sql"):
            found = grants.mutants(file, text)
        elif file.startswith("shared/postgres/sql/"):
            found = modules.mutants(file, text)
        else:
            found = python.mutants(file, text, known)
        yield from sorted(found, key=lambda mutant: (mutant.change.start, mutant.after))


def _distinct(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Without those that two operators agree on; those that look alike are numbered."""
    places = set()
    times: Counter[tuple[str, ...]] = Counter()
    for mutant in mutants:
        place = (mutant.file, mutant.line, mutant.after)
        if place in places or mutant.before == mutant.after:
            continue
        places.add(place)
        yield replace(mutant, occurrence=times[mutant.key])
        times[mutant.key] += 1
