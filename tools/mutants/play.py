"""Tries mutants: the tests of their area first, then wider ones for those that survive."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Final

from tools.mutants.areas import SQL, Area
from tools.mutants.mutant import Mutant
from tools.mutants.outcome import Fate, Outcome
from tools.mutants.report import line
from tools.mutants.running.statements import are_valid
from tools.mutants.running.tests import Runner
from tools.mutants.running.tree import Tree, copied
from tools.mutants.sample import Chosen
from tools.mutants.unmutated import Unmutated
from tools.services import Services

WIDER_LIMIT: Final = 900.0
"""Seconds; a test that hangs fails earlier by itself."""

Say = Callable[[str], None]


class Play:
    """Tries mutants on shared services, each in one of several copies of the checkout."""

    def __init__(
        self, services: Services, directory: Path, jobs: int, areas: Sequence[Area]
    ) -> None:
        self.outcomes: list[Outcome] = []
        """What is known, also after an interruption."""
        self._areas: Mapping[str, Area] = {area.name: area for area in areas}
        self._unmutated = Unmutated()
        trees = [copied(directory / str(number)) for number in range(jobs)]
        self._copies = [(tree, Runner(tree, services, directory)) for tree in trees]
        self._free: SimpleQueue[tuple[Tree, Runner]] = SimpleQueue()
        for each in self._copies:
            self._free.put(each)

    def try_all(self, chosen: Chosen, say: Say) -> None:
        """Raises FailUnmutated if tests fail without any mutant."""
        pool = ThreadPoolExecutor(len(self._copies))
        try:
            names = dict.fromkeys(name for name, _ in chosen)
            for name, seconds in zip(names, pool.map(self._try_unmutated, names), strict=True):
                say(f"without a mutant, the tests of {name} pass: {seconds:.0f} s")
            tried = [pool.submit(self._try, name, mutant) for name, mutant in chosen]
            for each in as_completed(tried):
                self.outcomes.append(outcome := each.result())
                say(line(outcome))
        finally:
            # Also when interrupted: nothing that was started goes on.
            for _, runner in self._copies:
                runner.abort()
            pool.shutdown(cancel_futures=True)

    def _try_unmutated(self, name: str) -> float:
        began = monotonic()
        with self._copy() as (_, runner):
            self._unmutated.limit(name, self._areas[name].tests, runner)
        return monotonic() - began

    def _try(self, name: str, mutant: Mutant) -> Outcome:
        began = monotonic()
        with self._copy() as (tree, runner):
            fate, test = self._fate(self._areas[name], mutant, tree, runner)
        return Outcome(name, mutant, fate, monotonic() - began, test)

    def _fate(self, area: Area, mutant: Mutant, tree: Tree, runner: Runner) -> tuple[Fate, str]:
        if mutant.file.startswith(SQL):
            before = self._unmutated.statements(runner)
            with tree.changed(mutant):
                if not are_valid(before, runner):
                    return Fate.INVALID, ""
        is_wider = False
        limit = self._unmutated.limit(area.name, area.tests, runner)
        with tree.changed(mutant):
            result = runner.run(area.tests, limit)
            if not result.failed and not result.timed_out and area.wider:
                result = runner.run(area.wider, WIDER_LIMIT)
                is_wider = True
        if result.timed_out:
            return Fate.TIMED_OUT, ""
        if result.failed is None:
            return Fate.SURVIVED, ""
        if is_wider:
            # All of them without a mutant, for each area, would take longer than most mutants.
            self._unmutated.confirm(area.name, result.failed, runner)
        return (Fate.NOTICED_WIDER if is_wider else Fate.NOTICED), result.failed

    @contextmanager
    def _copy(self) -> Iterator[tuple[Tree, Runner]]:
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)
