"""RabbitMQ, Postgres, and how they are configured."""

from typing import Final

from tools.mutants.areas.model import SQL, Area

AREAS: Final = (
    Area(
        "broker",
        ("shared/amqp/", "shared/publishing.py"),
        (
            "unit/messages/test_failed_connection.py",
            "unit/messages/test_lost_connection.py",
            "unit/messages/test_nodes.py",
            "unit/messages/test_frames.py",
            "unit/messages/test_policy_effects.py",
            "integration/messages/test_confirms.py",
            "integration/messages/test_retry_ladder.py",
        ),
        (
            "integration/permissions/test_permissions.py",
            "faults/broker/test_queue_deleted.py",
            "faults/broker/test_connections_lost.py",
            "faults/broker/test_alarm_shown.py",
            "faults/services/test_why_not_connected.py",
            "faults/tls",
        ),
    ),
    Area(
        "Postgres",
        ("shared/postgres/*.py", SQL + "replication.py", "worker/postgres_watch.py"),
        (
            "integration/postgres/test_migrate.py",
            "integration/postgres/test_kept_connection.py",
            "integration/postgres/test_watch_is_shared.py",
            "faults/postgres/test_session_ended.py",
        ),
        (
            "faults/postgres/test_postgres_away.py",
            "faults/postgres/test_rollback_fails.py",
            "faults/postgres/test_commits_at_risk.py",
            "faults/postgres/test_postgres_switched_over.py",
            "faults/services/test_why_not_connected.py",
        ),
    ),
    Area(
        "settings",
        (
            "shared/configuration/*",
            "shared/services/*",
            "shared/limits.py",
            "shared/text/durations.py",
            "gateway/settings.py",
            "worker/settings.py",
            "worker/console/settings.py",
        ),
        (
            "unit/operating/test_settings.py",
            "unit/operating/test_setting_bounds.py",
            "unit/operating/test_amqp_url.py",
            "unit/operating/test_postgres_url.py",
            "unit/operating/test_url_parameters.py",
            "unit/operating/test_secret_files.py",
            "unit/operating/test_local_files.py",
            "unit/operating/test_network_reasons.py",
            "unit/operating/test_probes.py",
            "unit/messages/test_commands.py",
        ),
        (
            "integration/operating/test_cli.py",
            "integration/messages/test_bad_commands.py",
            "faults/services/test_why_not_connected.py",
            "faults/services/test_health.py",
        ),
    ),
    Area(
        "permissions",
        ("deploy/postgres/roles.sql",),
        (
            "integration/permissions/test_database_refusals.py",
            "integration/permissions/test_database_roles.py",
            "integration/permissions/test_database_shares.py",
        ),
        ("integration/permissions/test_permitted_work.py",),
    ),
    Area(
        "waiting and ending",
        ("shared/aio/*", "shared/lifecycle.py"),
        (
            "unit/messages/test_batcher.py",
            "unit/messages/test_deadlines.py",
            "unit/operating/test_given_up_connections.py",
        ),
        (
            "integration/messages/test_batches.py",
            "faults/services/test_stopped_while_starting.py",
            "faults/services/test_refused_while_stopping.py",
            "faults/services/test_services_away.py",
        ),
    ),
)
