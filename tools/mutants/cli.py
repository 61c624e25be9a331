"""The command line: choose mutants, try them, report which survived."""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import SystemRandom

from tools.errors import ToolError
from tools.mutants.areas import AREAS, Area
from tools.mutants.candidates import candidates
from tools.mutants.equivalent import reason
from tools.mutants.outcome import Outcome
from tools.mutants.play import Play
from tools.mutants.report import Findings, difference, report, summary
from tools.mutants.running.tree import ROOT
from tools.mutants.sample import Chosen, sample
from tools.services import provide
from tools.services.in_memory import use_memory

TOO_FEW = 1
UNAVAILABLE = 2
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str], areas: Sequence[Area] = AREAS) -> int:
    """0, 1 if fewer were noticed than --least asks for, 2 if it cannot be told, 130 interrupted."""
    given = _parse(arguments)
    if given.near:
        areas = [replace(area, wider=()) for area in areas]
    seed = SystemRandom().randrange(10_000) if given.seed is None else given.seed
    try:
        chosen = _chosen(given, seed, areas)
        if given.list:
            for name, mutant in chosen:
                print(f"{mutant.id} {name}: {mutant.place} {mutant.change.operator}")
                print(difference(mutant))
            return 0
    except ToolError as error:
        return _failed(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    skipped = {mutant.id: why for _, mutant in chosen if (why := reason(mutant)) is not None}
    tried = [(name, mutant) for name, mutant in chosen if mutant.id not in skipped]
    print(f"{len(tried)} mutants, seed {seed}", file=sys.stderr, flush=True)
    outcomes: list[Outcome] = []
    code = 0
    try:
        _try(tried, given.jobs, areas, outcomes)
    except ToolError as error:
        code = _failed(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    findings = Findings(outcomes, skipped)
    if outcomes or code == 0:
        print(report(findings))
    if given.summary is not None:
        given.summary.write_text(json.dumps(summary(findings, seed), indent=2) + "\n")
    return code or (TOO_FEW if findings.score < given.least else 0)


def _failed(error: ToolError) -> int:
    print(f"mutants: {error}", file=sys.stderr)
    return UNAVAILABLE


def _try(chosen: Chosen, jobs: int, areas: Sequence[Area], outcomes: list[Outcome]) -> None:
    use_memory()
    with provide() as services, tempfile.TemporaryDirectory(prefix="mutants-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # jobs of another user must get to the launcher
        play = Play(services, directory, jobs, areas)
        try:
            play.try_all(chosen, _say)
        finally:
            outcomes += play.outcomes


def _say(line: str) -> None:
    print(line, flush=True)


def _chosen(given: argparse.Namespace, seed: int, areas: Sequence[Area]) -> Chosen:
    found = candidates(ROOT, areas)
    if given.only:
        chosen = [
            (name, mutant) for name in found for mutant in found[name] if mutant.id in given.only
        ]
        if missing := set(given.only) - {mutant.id for _, mutant in chosen}:
            raise ToolError(f"no such mutant: {', '.join(sorted(missing))}; --list shows all")
        return chosen
    if unknown := set(given.area) - found.keys():
        known = ", ".join(found)
        raise ToolError(f"no such area: {', '.join(sorted(unknown))}; there are {known}")
    wanted = {
        name: [m for m in mutants if not given.path or m.file.startswith(tuple(given.path))]
        for name, mutants in found.items()
        if not given.area or name in given.area
    }
    if given.list:
        return [(name, mutant) for name, mutants in wanted.items() for mutant in mutants]
    if not (chosen := sample(wanted, given.count, seed)):
        raise ToolError("there is no mutant of that area or path")
    return chosen


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("path", nargs="*", help="only files whose path begins so")
    parser.add_argument("--area", action="append", default=[], help="only this area; repeatable")
    parser.add_argument("--count", type=int, default=60, help="how many to try (default 60)")
    parser.add_argument("--seed", type=int, help="repeats a choice")
    parser.add_argument("--only", action="append", metavar="ID", help="try this one; repeatable")
    parser.add_argument("--list", action="store_true", help="show all there are, and try none")
    parser.add_argument(
        "--near", action="store_true", help="leave out the wider tests: quicker, more survive"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default 2)")
    parser.add_argument(
        "--least",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="end with 1 if fewer are noticed",
    )
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the results as JSON")
    return parser.parse_args(arguments)
