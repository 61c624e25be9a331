"""What a short command costs: the processor time of its imports, for the most part."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.bench.output.results import Bar, Results, compared
from tools.bench.system import BenchSystem

_TIMES: Final = 10
"""Of each command, per round."""
_BASE: Final = ("-c", "import typer, rich.table")
_AGAINST: Final = "`import typer, rich.table`"
_HELPS: Final = (("gateway", "--help"), ("worker", "--help"))
_LISTS: Final = (
    ("worker", "runs", "list"),
    ("worker", "hosts", "list"),
    ("worker", "dead-letters", "list"),
    ("gateway", "tokens", "list"),
)


class Commands:
    def __init__(self, system: BenchSystem) -> None:
        self._system = system

    async def measure(self, results: Results, rounds: int) -> None:
        # As they are installed: with compiled modules.
        env = {**os.environ, **self._system.environment}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env.setdefault("PYTHONPYCACHEPREFIX", str(Path(sys.prefix) / "pycache"))
        times = await asyncio.to_thread(_measured, env, _TIMES * rounds)
        base = times[_BASE]
        for key, commands, bar in (("help", _HELPS, 1.5), ("list", _LISTS, 3.0)):
            for command in commands:
                name = f"cancel-{' '.join(command)}"
                results.rows.append(
                    compared(
                        f"{key}_{'_'.join(command[:-1])}",
                        f"processor time of `{name}`",
                        "ms",
                        Bar(at_most=bar),
                        times[command],
                        _AGAINST,
                        base,
                    )
                )


def _measured(env: Mapping[str, str], times: int) -> dict[Sequence[str], list[float]]:
    """Milliseconds of each command; side by side, because the speed of a machine varies."""
    commands: dict[Sequence[str], list[str]] = {_BASE: [*_BASE]}
    commands |= {command: ["-m", *command] for command in (*_HELPS, *_LISTS)}
    for arguments in commands.values():
        _cpu(arguments, env)  # compiles the modules
    taken: dict[Sequence[str], list[float]] = {command: [] for command in commands}
    for _ in range(times):
        for command, arguments in commands.items():
            taken[command].append(_cpu(arguments, env))
    return taken


def _cpu(arguments: Sequence[str], env: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
