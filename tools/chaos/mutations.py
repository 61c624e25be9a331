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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
USAGE: Final = "usage: python -m tools.chaos.mutations [NAME…]"
ROUND_SECONDS: Final = 240.0
_NOT_COPIED: Final = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")


@dataclass(frozen=True, slots=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    breaks: str
    """The promise of which a violation must be found."""
    edits: Sequence[Edit]
    faults: Sequence[str]
    seconds: int = 12
    seed: int = 1


MUTATIONS: Final = (
    Mutation(
        "ack_before_commit",
        "P1 P2",
        (
            Edit(
                "worker/intake/consumer.py",
                "            unsettled = await self._settler.settle(",
                "            await self._acknowledge_all(batch)\n"
                "            unsettled = await self._settler.settle(",
            ),
            Edit(
                "worker/intake/consumer.py",
                "            await self._acknowledge_all([delivery for delivery, rest in pairs "
                "if rest is None])\n",
                "",
            ),
            Edit("worker/intake/consumer.py", "        await self._acknowledge([delivery])\n", ""),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "lost_unguarded",
        "P5",
        (
            Edit(
                "shared/postgres/sql/runs.py",
                "WHERE run_id = $1 AND launch_id = $2 AND status = 'running'\n    RETURNING",
                "WHERE run_id = $1 AND launch_id = $2\n    RETURNING",
            ),
        ),
        ("launcher_killed",),
    ),
    # A CHECK of the schema would stop this one too: without it, the guard is all there is.
    Mutation(
        "claim_unguarded",
        "P5",
        (
            Edit(
                "shared/postgres/sql/runs.py",
                " WHERE run_id = $1 AND status = 'queued'\n    RETURNING launch_id",
                " WHERE run_id = $1\n    RETURNING launch_id",
            ),
            Edit(
                "shared/postgres/migrations/0001_runs.sql",
                "(finished_at IS NOT NULL) = (status IN ('pass', 'fail', 'canceled', 'error'))",
                "true",
            ),
        ),
        ("launcher_killed",),
    ),
    # With the CHECKs in their places: what they refuse is a failure that the programs log.
    Mutation(
        "completion_unguarded",
        "programs",
        (
            Edit(
                "shared/postgres/sql/endings.py",
                "         WHERE r.run_id = own.run_id AND (r.status = 'running') IS TRUE\n"
                "        RETURNING r.run_id, r.status",
                "         WHERE r.run_id = own.run_id\n        RETURNING r.run_id, r.status",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "not_mandatory",
        "P1 P2",
        (Edit("shared/amqp/confirms/frames.py", "mandatory=True)", "mandatory=False)"),),
        ("binding_removed",),
    ),
    Mutation(
        "grace_begun_anew",
        "P6",
        (
            Edit(
                "shared/postgres/sql/decisions.py",
                "OR new_grace IS NOT NULL AND r.status = 'running')",
                "OR new_grace IS NOT NULL AND r.status IN ('running', 'canceling'))",
            ),
            Edit(
                "worker/decisions/verdict.py",
                "    return ResumeStop(run.process, 0.0 if command.force else grace_left, "
                "ends_grace)",
                "    return BeginStop(run.process, _grace(run, command, default_grace))",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "canceled_without_proof",
        "P3",
        (
            Edit(
                "worker/stop/ladder.py",
                "or await self._kill():",
                "or True:",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "outcome_without_event",
        "told",
        (
            Edit(
                "shared/postgres/migrations/0013_letters.sql",
                "after.outcome IS DISTINCT FROM before.outcome",
                "before.outcome IS NOT NULL",
            ),
        ),
        ("worker_killed",),
    ),
    # That something is open is taken for what was just told: older rows are not looked for, and
    # what nobody told in time, or a killed worker has begun, is lost.
    Mutation(
        "wake_believed",
        "P1 P2",
        (
            Edit(
                "shared/postgres/sql/runs.py",
                " WHERE open.run_id NOT IN (SELECT unnest((SELECT $2::bigint[])))",
                " WHERE received_at > clock_timestamp() - interval '0.5 s'\n"
                "       AND open.run_id NOT IN (SELECT unnest((SELECT $2::bigint[])))",
            ),
        ),
        ("worker_killed",),
    ),
)


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
