"""Faults in how runs are registered, expire, and are canceled many at once."""

from typing import Final

from tools.chaos.mutations.mutation import Edit, Mutation

REGISTRATIONS: Final = "shared/postgres/sql/registrations.py"
PUT: Final = "gateway/runs/register.py"
CONSUMER: Final = "worker/registering/consumer.py"
CANCELS: Final = "shared/postgres/sql/cancellations.py"

OF_REGISTERING: Final = (
    Mutation(
        "registration_acknowledged_early",
        "runs",
        (
            Edit(
                CONSUMER,
                "            unsettled = await self._settler.settle(batch)\n",
                "            await arrived.acknowledge(batch)\n"
                "            unsettled = await self._settler.settle(batch)\n",
            ),
            Edit(
                CONSUMER,
                "            await arrived.acknowledge([message for message, rest in pairs "
                "if rest is None])\n",
                "",
            ),
            Edit(CONSUMER, "        await arrived.acknowledge([message])\n", ""),
        ),
        # By this seed, workers are killed while Postgres does not answer them.
        ("worker_killed", "network_stalled"),
        seconds=20,
        seed=39,
    ),
    Mutation(
        "outage_told_as_registered",
        "runs",
        (
            Edit(
                PUT,
                "        (result,) = await register(self._database, [run])\n",
                "        try:\n"
                "            (result,) = await register(self._database, [run])\n"
                "        except Exception:\n"
                "            result = Registered.EXISTS\n",
            ),
        ),
        ("postgres_stopped",),
    ),
    Mutation(
        "options_overwritten",
        "runs",
        (
            Edit(
                REGISTRATIONS,
                "ON CONFLICT (run_id) DO NOTHING",
                "ON CONFLICT (run_id) DO UPDATE SET url = excluded.url, "
                "stop_scope = excluded.stop_scope, labels = excluded.labels",
            ),
        ),
        ("gateway_killed",),
    ),
    Mutation(
        "difference_not_seen",
        "runs",
        (
            Edit(
                REGISTRATIONS,
                "a.stop_scope, a.labels, a.url, a.start_before, a.leftovers)",
                "r.stop_scope, r.labels, r.url, r.start_before, r.leftovers)",
            ),
        ),
        ("gateway_killed",),
    ),
    Mutation(
        "registration_not_told",
        "runs",
        (
            Edit(
                "shared/postgres/migrations/0017_events.sql",
                "     WHERE status = 'queued'\n     ORDER BY run_id;",
                "     WHERE labels <> '{}'\n     ORDER BY run_id;",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "conflict_passed_over",
        "refused",
        (
            Edit(
                "worker/registering/settler.py",
                "return self._conflict(read)\n",
                "return None\n",
            ),
        ),
        ("worker_killed",),
        seconds=20,
    ),
    Mutation(
        "invalid_registration_passed_over",
        "refused",
        (
            Edit(
                "worker/registering/settler.py",
                "            rejected = unsettled\n",
                "            rejected = unsettled if unsettled.run_id else None\n",
            ),
        ),
        ("worker_killed",),
        seconds=20,
    ),
    Mutation(
        "expired_early",
        "late",
        (
            Edit(
                REGISTRATIONS,
                "start_before <= statement_timestamp()",
                "start_before <= statement_timestamp() + interval '2 h'",
            ),
        ),
        ("worker_killed",),
    ),
    Mutation(
        "started_late",
        "late",
        (
            Edit(
                "shared/postgres/sql/runs.py",
                "       AND (start_before <= clock_timestamp()) IS NOT TRUE\n",
                "",
            ),
        ),
        ("worker_killed",),
        seconds=20,
    ),
    Mutation(
        "newer_run_superseded",
        "many",
        (Edit(CANCELS, "run_id < $2 AND labels", "run_id <= $2 AND labels"),),
        ("gateway_killed",),
    ),
    Mutation(
        "unconfirmed_told_as_accepted",
        "P1 P2",
        (
            Edit(
                "gateway/cancels/bulk.py",
                "is_sure = run_id in earlier or run_id in confirmed",
                "is_sure = True",
            ),
            Edit(
                "gateway/cancels/bulk.py",
                "if commands and not confirmed and not earlier:",
                "if False:",
            ),
        ),
        ("network_cut", "broker_killed"),
        seconds=20,
    ),
)
