"""The rows, each made from its number, so that two databases of one size are alike."""

from collections.abc import Mapping
from typing import Final

from tools.bench.filled.sizes import Sizes

Columns = Mapping[str, str]
"""The SQL expression of each column."""

_HOSTS: Final[Columns] = {
    "host": "'host-' || n",
    "worker_id": "CASE WHEN n < $up OR n % 10 < 9 THEN gen_random_uuid() END",
    "boot_id": "gen_random_uuid()",
    "machine_id": "md5(n::text)",
    "pid_namespace": "'4026531836'",
    "privileges": """'{"uid": 0, "containment": "cgroup", "signals_all": true, "reads_all": true,
                       "lists_all": true}'::jsonb""",
    # A day, so that they stay up though no worker speaks for them.
    "beat_seconds": "CASE WHEN n < $up THEN 86400 ELSE 5 END",
    "seen_at": "CASE WHEN n < $up THEN now() ELSE now() - n % 300 * interval '1 day' END",
    "left_at": """CASE WHEN n >= $up AND n % 10 < 8
                       THEN now() - n % 300 * interval '1 day' END""",
    "abandoned_at": "CASE WHEN n >= $up AND n % 10 = 9 THEN now() - interval '1 day' END",
    "wakes_since": "'-infinity'::timestamptz",
}

_HOST_ACTIONS: Final[Columns] = {
    "host": "'host-' || n % $hosts",
    "action": "CASE n % 7 WHEN 0 THEN 'abandoned' WHEN 1 THEN 'returned' ELSE 'rebooted' END",
    "done_at": "now() - (1 - n / 5000.0) * $days * interval '1 day'",
    "done_by": "CASE WHEN n % 7 = 0 THEN 'alice' ELSE 'worker' END",
    "reason": "CASE WHEN n % 7 = 0 THEN 'the machine burned' END",
    "run_ids": "CASE WHEN n % 3 = 0 THEN ARRAY[n, n + 1]::bigint[] ELSE '{}' END",
}

_AUDIT: Final[Columns] = {
    "done_at": "now() - (1 - n / 20000.0) * $days * interval '1 day'",
    "done_by": "CASE WHEN n % 50 = 0 THEN 'worker host-0' ELSE 'user-' || n % 20 END",
    "action": "CASE WHEN n % 50 = 0 THEN 'pruned' ELSE 'signed_in' END",
    "object": "CASE WHEN n % 50 = 0 THEN 'records' ELSE 'console' END",
}

# What a run is decides its other columns. `s`: the status, `ran`: whether it has started.
RUN_KINDS: Final = """
    generate_series(1, $runs::bigint) n,
    LATERAL (SELECT n > $runs - $live AS is_live) l,
    LATERAL (SELECT CASE
        WHEN is_live THEN CASE WHEN n % 10 < 5 THEN 'queued' WHEN n % 10 < 9 THEN 'running'
                               ELSE 'canceling' END
        WHEN n % 1000 = 999 THEN 'queued'
        WHEN n * 7919 % 1000 < $canceled_per_thousand THEN 'canceled'
        WHEN n % 100 = 98 THEN 'error'
        WHEN n % 5 = 4 THEN 'fail'
        ELSE 'pass' END AS s) s,
    LATERAL (SELECT s <> 'queued' AND (s <> 'canceled' OR n % 3 > 0) AS ran,
                    s NOT IN ('queued', 'running', 'canceling') AS over,
                    now() - (1 - n / $runs.0) * $days * interval '1 day' AS created) r
"""
_STARTED: Final = "created + (n % 40) * interval '1 second'"
_LEFT: Final = """jsonb_build_object('number', 1, 'found', jsonb_build_array(jsonb_build_object(
    'pid', n % 30000, 'name', 'cache-daemon', 'state', 'S')), 'kept', false,
    'noticed_at', created, 'ended', 'obeyed', 'proof', 'cgroup_empty', 'duration_ms', 12.5)"""

_RUNS: Final[Columns] = {
    "run_id": "n",
    "status": "s",
    "created_at": "created",
    "started_at": f"CASE WHEN ran THEN {_STARTED} END",
    "canceling_at": f"""CASE WHEN ran AND s IN ('canceling', 'canceled')
                             THEN {_STARTED} + n % 600 * interval '1 second' END""",
    "finished_at": f"CASE WHEN over THEN {_STARTED} + (n % 600 + 1) * interval '1 second' END",
    # Later than now while it is canceling, so that no stop is overdue.
    "stop_deadline": f"""CASE WHEN s = 'canceling' THEN now() + interval '1 hour'
                              WHEN ran AND s = 'canceled'
                              THEN {_STARTED} + (n % 600 + 10) * interval '1 second' END""",
    "host": """CASE WHEN ran THEN
                   'host-' || n * 31 % CASE WHEN is_live THEN $up ELSE $hosts END END""",
    "boot_id": "CASE WHEN ran THEN '00000000-0000-4000-8000-000000000001'::uuid END",
    "pid": "CASE WHEN ran THEN (n % 4000000 + 2)::int END",
    "start_ticks": "CASE WHEN ran THEN n END",
    "launcher_pid": "CASE WHEN ran THEN (n % 4000000 + 3)::int END",
    "launcher_start_ticks": "CASE WHEN ran THEN n END",
    "uid": "CASE WHEN ran THEN 1000 END",
    "launch_id": "CASE WHEN ran THEN gen_random_uuid() END",
    "containment": "CASE WHEN ran THEN 'cgroup' END",
    "cgroup": "CASE WHEN ran THEN '/run-cancel/run-' || n END",
    "cgroup_inode": "CASE WHEN ran THEN n END",
    "pid_namespace": "CASE WHEN ran THEN '4026531836' END",
    "exit_code": "CASE s WHEN 'pass' THEN 0 WHEN 'fail' THEN (n % 3 + 1)::int END",
    "error": "CASE s WHEN 'error' THEN 'the launcher died without reporting an exit code' END",
    # Of a few, something may be left.
    "loss": """CASE WHEN s = 'error' THEN jsonb_build_object('cause', 'launcher_died',
                   'noticed_at', created) || CASE WHEN n % 50000 = 98 THEN '{}'
                       ELSE '{"proof": "cgroup_empty"}' END::jsonb END""",
    "proof": """CASE WHEN s = 'canceled'
                     THEN CASE WHEN ran THEN 'cgroup_empty' ELSE 'never_started' END END""",
    "grace_seconds": "CASE WHEN n % 4 = 0 THEN 30 END",
    "labels": """jsonb_build_object('branch', 'feature-' || n % 400,
                                    'repository', 'repo-' || n % 30)""",
    "url": "'https://ci.example.com/jobs/' || n",
    "left_behind": f"CASE WHEN s IN ('pass', 'fail') AND n % 50 = 3 THEN {_LEFT} END",
}

_EVIDENCE: Final = """jsonb_build_object(
    'ended', CASE WHEN host IS NULL THEN 'never_started' WHEN run_id % 4 = 0 THEN 'killed'
                  ELSE 'obeyed' END,
    'proof', proof, 'proved_at', finished_at, 'containment', containment,
    'duration_ms', run_id % 5000 / 7.0,
    'signals', CASE WHEN host IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(jsonb_build_object(
        'signal', 'SIGTERM', 'at', canceling_at, 'processes', run_id % 9 + 1, 'to', 'tree')) END,
    'escaped', '[]'::jsonb, 'survivors', '[]'::jsonb, 'in_doubt', '[]'::jsonb,
    'workers_ended', NULL, 'containers', '[]'::jsonb, 'containers_alive', '[]'::jsonb,
    'engine_missing', false)"""
_COMMANDS: Final[Columns] = {
    "command_id": "gen_random_uuid()",
    "run_id": "run_id",
    "via": "CASE WHEN run_id % 5 = 0 THEN 'direct' ELSE 'rest' END",
    "publisher": "CASE WHEN run_id % 5 = 0 THEN 'scheduler' ELSE 'gateway' END",
    "requested_by": "'user-' || run_id % 300",
    "reason": "CASE WHEN run_id % 3 > 0 THEN 'superseded by run ' || run_id + 7 END",
    "force": "run_id % 20 = 0",
}
_FIRST: Final[Columns] = {
    **_COMMANDS,
    "received_at": "coalesce(canceling_at, finished_at - interval '1 second')",
    "requested_at": "coalesce(canceling_at, finished_at - interval '1 second')",
    "outcome": "CASE status WHEN 'canceled' THEN 'canceled' END",
    "finished_at": "finished_at",
    "evidence": f"CASE status WHEN 'canceled' THEN {_EVIDENCE} ELSE '{{}}' END",
    # Of an open one.
    "message_header": "CASE status WHEN 'canceling' THEN 'header'::bytea END",
    "message_body": "CASE status WHEN 'canceling' THEN 'body'::bytea END",
}
_REPEATED: Final[Columns] = {
    **_COMMANDS,
    "received_at": "finished_at + interval '20 seconds'",
    "outcome": "'no_op'",
    "finished_at": "finished_at + interval '20 seconds'",
    "evidence": "jsonb_build_object('run_status', status)",
}

_REASON: Final = """(ARRAY['unknown_run', 'malformed', 'stop_failed', 'unknown_run', 'run_conflict',
                           'host_abandoned', 'internal_error', 'unknown_version', 'command_reused',
                           'foreign'])[n % 10 + 1]"""
_LETTER_KINDS: Final = f"""
    generate_series(1, $letters) n,
    LATERAL (SELECT {_REASON} AS why, gen_random_uuid() AS command,
                    n * 13::bigint % $runs + 1 AS run) w,
    LATERAL (SELECT CASE WHEN why = 'malformed' AND n % 3 = 0 THEN '\\x00ff10c3'::bytea
        ELSE convert_to(CASE why
            WHEN 'malformed' THEN '{{"run_id": "' || n || 'x"}}' || repeat(' ', (n % 2000)::int)
            WHEN 'run_conflict' THEN
                jsonb_build_object('run_id', run, 'grace_seconds', n % 60)::text
            ELSE jsonb_build_object('command_id', command, 'run_id', run, 'requested_by',
                'user-' || n % 300, 'reason', 'superseded by ' || n)::text
            END, 'UTF8') END AS body) b,
    LATERAL (SELECT now() - (1 - n / $letters.0) * $days * interval '1 day' AS arrived) a
"""
_LETTERS: Final[Columns] = {
    "letter_key": "'letter-' || n",
    "digest": "sha256(body)",
    "state": """CASE WHEN n / 10 % 10 < 5 THEN 'waiting'
                     WHEN n / 10 % 10 < 8 THEN 'replayed' ELSE 'discarded' END""",
    "arrived_at": "arrived",
    "reason": "why",
    "error": """CASE why
        WHEN 'unknown_run' THEN 'run ' || run || ' is not on record'
        WHEN 'malformed' THEN 'run_id: input should be a valid integer (byte ' || n % 400 || ')'
        WHEN 'stop_failed' THEN 'processes that survived SIGKILL: ' || n % 4 + 1
        WHEN 'host_abandoned' THEN 'host host-' || n % $hosts || ' is abandoned'
        ELSE replace(why, '_', ' ') END""",
    "attempts": "(n % 4 + 1)::int",
    "first_failed_at": "arrived - interval '36 seconds'",
    "last_failed_at": "arrived",
    "exchange": "'runs.commands'",
    "routing_key": "CASE why WHEN 'run_conflict' THEN 'run.queued' ELSE 'run.cancel' END",
    "via": "CASE WHEN n % 3 = 0 THEN 'rest' ELSE 'direct' END",
    "publisher": "(ARRAY['gateway', 'scheduler', 'nightly', NULL])[n % 4 + 1]",
    "command_id": "CASE WHEN why NOT IN ('malformed', 'run_conflict', 'foreign') THEN command END",
    "run_id": "CASE WHEN why NOT IN ('malformed', 'foreign') THEN run END",
    "requested_by": "CASE WHEN why <> 'malformed' THEN 'user-' || n % 300 END",
    "body": "body",
    "message_id": "command::text",
    "type": """CASE why WHEN 'run_conflict' THEN 'ci.run.queued.v1'
                        WHEN 'unknown_version' THEN 'ci.run.cancel.v9'
                        ELSE 'ci.run.cancel.v1' END""",
    "content_type": "'application/json'",
    "headers": """'{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'
               ::json""",
    "replays": "CASE WHEN n / 10 % 10 BETWEEN 5 AND 7 THEN 1 ELSE 0 END",
}
# A trigger's, else.
_LETTER_TEXTS: Final = {"letter_id": "letter_id", "content": "letter_text(error, body)"}

_LETTER_ACTIONS: Final[Columns] = {
    "letter_id": "letter_id",
    "action": """CASE state WHEN 'discarded' THEN 'discarded'
                      ELSE CASE WHEN letter_id % 40 = 1 THEN 'edited' ELSE 'replayed' END END""",
    "done_at": "arrived_at + letter_id % 72 * interval '1 hour'",
    "done_by": "(ARRAY['alice', 'bob', 'carol'])[letter_id % 3 + 1]",
    "body": "CASE WHEN state = 'replayed' AND letter_id % 40 = 1 THEN body END",
}


def statements(sizes: Sizes) -> list[tuple[str, Columns, str]]:
    """In this order: the table, its columns, and where the rows come from."""
    first = "runs WHERE status IN ('canceled', 'canceling') ORDER BY run_id"
    repeated = f"""runs WHERE status = 'canceled' AND run_id % 9 < 4 ORDER BY run_id
        LIMIT greatest(0, {sizes.cancellations} - (SELECT count(*) FROM cancellations))"""  # noqa: S608
    made = [
        ("hosts", _HOSTS, "generate_series(0, $hosts - 1) n"),
        ("host_actions", _HOST_ACTIONS, "generate_series(1, 5000) n"),
        ("audit", _AUDIT, "generate_series(1, 20000) n"),
        ("runs", _RUNS, RUN_KINDS),
        (
            "run_labels",
            {"label": "key || ':' || value", "run_id": "run_id"},
            "runs, jsonb_each_text(labels)",
        ),
        ("cancellations", _FIRST, first),
        ("cancellations", _REPEATED, repeated),
        ("dead_letters", _LETTERS, _LETTER_KINDS),
        ("dead_letter_texts", _LETTER_TEXTS, "dead_letters"),
        ("dead_letter_actions", _LETTER_ACTIONS, "dead_letters WHERE state <> 'waiting'"),
    ]
    return [
        (table, {name: _with(sizes, it) for name, it in columns.items()}, _with(sizes, source))
        for table, columns, source in made
    ]


def _with(sizes: Sizes, expression: str) -> str:
    for name in ("runs", "live", "letters", "hosts", "up", "days", "canceled_per_thousand"):
        expression = expression.replace(f"${name}", str(getattr(sizes, name)))
    return expression
