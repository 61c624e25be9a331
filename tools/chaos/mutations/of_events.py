"""Faults in how steps are told."""

from typing import Final

from tools.chaos.mutations.mutation import Edit, Mutation

EVENTS: Final = "shared/postgres/migrations/0017_events.sql"
RELAY: Final = "worker/outbox/relay.py"

OF_EVENTS: Final = (
    Mutation(
        "outcome_without_event",
        "told",
        (
            Edit(
                EVENTS,
                "after.outcome IS DISTINCT FROM before.outcome",
                "before.outcome IS NOT NULL",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "step_not_told",
        "told",
        (
            Edit(
                EVENTS,
                "WHERE after.status <> before.status",
                "WHERE after.status NOT IN (before.status, 'canceling')",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "told_under_two_ids",
        "told",
        (
            Edit(
                EVENTS,
                "WHERE after.status <> before.status",
                "CROSS JOIN generate_series(1, 2) WHERE after.status <> before.status",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "wrong_outcome_told",
        "told",
        (
            Edit(
                EVENTS,
                "command.command_id, 'outcome', command.outcome,",
                "command.command_id, 'outcome', replace(command.outcome, 'no_op', 'canceled'),",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "wrong_proof_told",
        "told",
        (Edit(EVENTS, "'proof', after.proof,", "'proof', before.proof,"),),
        ("worker_killed",),
    ),
    Mutation(
        "told_in_another_order",
        "told",
        (Edit(RELAY, '(*_line(event), event["event_id"])', '(*_line(event), -event["event_id"])'),),
        ("worker_killed",),
    ),
    Mutation(
        "event_removed_unconfirmed",
        "told",
        (
            Edit(
                RELAY,
                "            if monotonic() > until:\n                break\n",
                '            confirmed.append(event["event_id"])\n',
            ),
        ),
        # By this seed, the workers lose RabbitMQ again and again while there is much to tell.
        ("network_cut", "network_stalled"),
        seconds=20,
        seed=692,
    ),
    # A start is told in a transaction of its own, before that of the claim, which may be refused.
    Mutation(
        "told_before_its_commit",
        "told",
        (
            Edit(
                EVENTS,
                "WHERE after.status <> before.status",
                "WHERE after.status NOT IN (before.status, 'running')",
            ),
            Edit(
                "worker/launches/claims.py",
                "        claimed = None  # unknown, also if only the second statement fails\n",
                "        await self._database.fetch(\n"
                '            "INSERT INTO outbox (type, run_id, data)'
                " SELECT 'run.started', $1,"
                " jsonb_build_object('run_id', $1::bigint, 'host', $2::text)\",\n"
                "            run_id,\n"
                "            process.host,\n"
                "        )\n"
                "        claimed = None\n",
            ),
        ),
        ("worker_killed", "launcher_killed"),
    ),
)
