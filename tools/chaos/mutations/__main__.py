"""Whether the checks can fail: break the product on purpose and see which promise they miss.

Copies the source tree, changes a few words of it, plays a short round there, and expects a
violation of the promise that the words keep. `python -m tools.chaos.mutations [NAME…]`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.chaos.mutations import MUTATIONS, ROOT
from tools.chaos.mutations.mutation import Edit, Mutation

USAGE: Final = "usage: python -m tools.chaos.mutations [NAME…]"
ROUND_SECONDS: Final = 240.0
_NOT_COPIED: Final = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")


def main(names: Sequence[str]) -> int:
    """0 if every mutation was found out, 1 if not, 2 if there is none of that name."""
    if names and names[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if unknown := set(names) - {mutation.name for mutation in MUTATIONS}:
        known = ", ".join(mutation.name for mutation in MUTATIONS)
        print(f"no such mutation: {', '.join(sorted(unknown))}; there are {known}", file=sys.stderr)
        return 2
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    results = [_is_found_out(mutation) for mutation in chosen]
    found = results.count(True)
    print(f"{found} of {len(results)} mutations were found out")
    return 0 if found == len(results) else 1


def _is_found_out(mutation: Mutation) -> bool:
    with tempfile.TemporaryDirectory(prefix="run-cancel-mutation-") as directory:
        tree = Path(directory, "tree")
        shutil.copytree(ROOT, tree, ignore=_NOT_COPIED)
        for edit in mutation.edits:
            _apply(edit, tree)
        summary = Path(directory, "summary.json")
        output, code = _play(mutation, tree, summary)
        broken = json.loads(summary.read_text()) if summary.exists() else {}
    is_found = code == 1 and broken.get(mutation.breaks, 0) > 0
    counts = ", ".join(f"{name}: {count}" for name, count in broken.items() if count)
    print(f"{'✓' if is_found else '✗'} {mutation.name}: expected {mutation.breaks}; {counts}")
    shown = [line for line in output.splitlines() if f"✗ {mutation.breaks}:" in line][:2]
    print("\n".join(shown if is_found else output.splitlines()[-30:]), flush=True)
    return is_found


def _apply(edit: Edit, tree: Path) -> None:
    file = tree / edit.file
    text = file.read_text()
    if text.count(edit.old) != 1:
        sys.exit(f"{edit.file} has not exactly once: {edit.old}")
    file.write_text(text.replace(edit.old, edit.new))


def _play(mutation: Mutation, tree: Path, summary: Path) -> tuple[str, int]:
    options = {
        "--seconds": mutation.seconds,
        "--seed": mutation.seed,
        # Each would take 36 s, and the retries of those without their binding 180 s.
        "--unknown-runs": 0,
        "--settle-seconds": 30,
        "--summary": summary,
        "--directory": summary.with_name("log"),
    }
    arguments = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        [sys.executable, "-m", "tools.chaos", *arguments, "--only", *mutation.faults],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=ROUND_SECONDS,
        check=False,
    )
    return done.stdout, done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
