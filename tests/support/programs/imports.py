"""What programs import."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]

_RUN_ALL: Final = """
import json, runpy, sys

module, commands = sys.argv[1], json.loads(sys.argv[2])
for arguments in commands:
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, f"{arguments}: exit code {ended.code}"
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported_by(
    module: str, commands: Sequence[Sequence[str]], env: Mapping[str, str]
) -> tuple[set[str], str]:
    """The packages that `python -m MODULE …` has imported after all commands, and their output."""
    ran = subprocess.run(
        [sys.executable, "-c", _RUN_ALL, module, json.dumps(commands)],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    *said, packages = ran.stderr.splitlines()
    assert not said, said
    return set(packages.split()), ran.stdout
