"""Faults in how commands are carried out."""

from typing import Final

from tools.chaos.mutations.mutation import Edit, Mutation

OF_COMMANDS: Final = (
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
                "WHERE run_id = $1 AND launch_id = $2 AND status = 'running'\n    RETURNING run_id",
                "WHERE run_id = $1 AND launch_id = $2\n    RETURNING run_id",
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
                " WHERE run_id = $1 AND status = 'queued'\n",
                " WHERE run_id = $1\n",
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
        "leftovers_forgotten",
        "P3",
        (
            Edit(
                "worker/leftovers/leftovers.py",
                "            if not (found.any or run.leftovers_noted):\n",
                "            if True:\n",
            ),
        ),
        ("worker_killed",),
        seconds=20,
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
