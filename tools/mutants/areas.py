"""Which rules are in which files, and which tests should notice a change of them.

Each module of the product is of one area, or of `NO_RULES`; each unit and integration test is of
some area, or of `OTHER_TESTS` (`test_mutant_areas.py`). Tests run in this order until one fails:
the quickest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

SQL: Final = "shared/postgres/sql/"


@dataclass(frozen=True, slots=True)
class Area:
    name: str
    files: Sequence[str]
    """Patterns; a star stands for no folder, a slash at the end for all that is below."""
    tests: Sequence[str]
    """Those that are about its rules, below `tests`; together some 20 s."""
    wider: Sequence[str]
    """Some that would notice what the area is for; only a mutant that survives meets them."""

    def has(self, file: str) -> bool:
        return matches(file, self.files)


def matches(file: str, patterns: Sequence[str]) -> bool:
    return any(
        file.startswith(pattern)
        if pattern.endswith("/")
        else pattern.count("/") == file.count("/") and fnmatchcase(file, pattern)
        for pattern in patterns
    )


AREAS: Final = (
    Area(
        "decisions",
        ("worker/decisions/*", SQL + "decisions.py", "shared/states.py"),
        (
            "unit/messages/test_verdict.py",
            "integration/postgres/test_plain_commands.py",
            "integration/postgres/test_told.py",
        ),
        (
            "integration/postgres/test_life_cycles.py",
            "integration/postgres/test_plans.py",
            "integration/messages/test_batches.py",
            "e2e/cancels/test_repeats.py",
            "faults/broker/test_command_reused.py",
            "faults/broker/test_command_doubled.py",
            "faults/stops/test_taken_up.py",
        ),
    ),
    Area(
        "intake",
        ("worker/intake/*", "worker/memory/*"),
        (
            "unit/messages/test_acks.py",
            "unit/messages/test_fair_queue.py",
            "unit/memory",
            "integration/messages/test_ack_order.py",
            "integration/messages/test_fair_queues.py",
            "integration/messages/test_bad_commands.py",
        ),
        (
            "integration/messages/test_batches.py",
            "integration/messages/test_retry_ladder.py",
            "integration/messages/test_declined.py",
            "faults/broker/test_poison.py",
            "faults/broker/test_copies_of_a_retry.py",
            "faults/broker/test_command_doubled.py",
            "faults/hosts/test_old_host_queue.py",
        ),
    ),
    Area(
        "messages",
        (
            "worker/messages/*",
            "shared/commands.py",
            "shared/text/printable.py",
            "shared/text/times.py",
            "shared/text/validation.py",
        ),
        (
            "unit/messages/test_commands.py",
            "unit/messages/test_reading_is_total.py",
            "unit/messages/test_reply_address.py",
            "unit/messages/test_tolerant_decoding.py",
            "integration/messages/test_bad_commands.py",
            "integration/messages/test_bad_properties.py",
            "integration/messages/test_bad_information.py",
            "integration/messages/test_unknown_publisher.py",
        ),
        (
            "integration/messages/test_retry_ladder.py",
            "integration/events/test_replies.py",
            "integration/dead_letters/test_replay_untrusted.py",
            "faults/broker/test_large_messages.py",
            "faults/broker/test_any_message.py",
        ),
    ),
    Area(
        "stop",
        ("worker/stop/*", "worker/evidence.py", SQL + "endings.py"),
        (
            "unit/processes/test_ladder.py",
            "integration/stops/test_stop_scope.py",
            "integration/stops/test_stop_escape.py",
            "integration/stops/test_stop_timing.py",
            "integration/stops/test_stop_hidden_cgroup.py",
            "integration/stops/test_stop_reused_pid.py",
        ),
        (
            "integration/postgres/test_life_cycles.py",
            "e2e/cancels/test_cancel_running.py",
            "faults/stops/test_unkillable.py",
            "faults/stops/test_taken_up.py",
            "faults/stops/test_force_unanswered.py",
            "e2e/cancels/test_repeats.py",
        ),
    ),
    Area(
        "processes",
        ("worker/processes/*",),
        (
            "unit/processes",
            "integration/stops/test_stop_reused_pid.py",
            "integration/stops/test_stop_escape.py",
            "integration/stops/test_stop_hidden_cgroup.py",
        ),
        (
            "e2e/escapes/test_evasions.py",
            "e2e/escapes/test_bad_children.py",
            "e2e/escapes/test_unreadable_processes.py",
            "faults/hosts/test_pid_namespaces.py",
        ),
    ),
    Area(
        "open commands",
        (
            "worker/open_commands/*",
            "worker/leftovers/*",
            SQL + "cancellations.py",
        ),
        (
            "integration/cancels/test_cancellations.py",
            "faults/hosts/test_wakes.py",
            "faults/hosts/test_command_waiting.py",
            "faults/stops/test_taken_up.py",
        ),
        (
            "e2e/leftovers/test_leftovers.py",
            "faults/stops/test_left_open.py",
            "faults/stops/test_leftovers_interrupted.py",
        ),
    ),
    Area(
        "launches",
        ("worker/launches/", SQL + "runs.py"),
        (
            "integration/launcher/test_claim_of_a_new_run.py",
            "integration/launcher/test_precedence.py",
            "integration/launcher/test_launcher_api.py",
            "integration/launcher/test_expiry.py",
            "integration/launcher/test_launcher_told.py",
            "integration/runs/test_run_lists.py",
        ),
        (
            "integration/postgres/test_life_cycles.py",
            "integration/launcher/test_claims_of_a_child.py",
            "integration/launcher/test_last_request.py",
            "integration/launcher/test_completion_logged_once.py",
            "integration/operating/test_runs_show.py",
            "faults/launcher/test_launcher_lost.py",
            "faults/launcher/test_launch_claim_unanswered.py",
            "faults/launcher/test_completion_away.py",
            "faults/restore/test_claims_tried_again.py",
        ),
    ),
    Area(
        "launcher",
        ("worker/launcher/*", "shared/launcher_environment.py"),
        ("unit/launcher", "integration/launcher/test_launcher_told.py"),
        (
            "e2e/jobs/test_launcher.py",
            "e2e/jobs/test_canceled_exit_code.py",
            "e2e/jobs/test_wait_for_run.py",
            "faults/launcher/test_canceled_launcher.py",
            "faults/launcher/test_stopped_launcher.py",
        ),
    ),
    Area(
        "Docker rules",
        ("worker/docker/rules/*",),
        (
            "unit/docker",
            "integration/docker/proxy/test_hostile_names.py",
            "integration/docker/proxy/test_proxy_refusals.py",
        ),
        ("integration/docker/proxy",),
    ),
    Area(
        "Docker socket",
        ("worker/docker/proxy/", "worker/docker/gates.py", "worker/docker/asking_runs.py"),
        ("integration/docker/proxy",),
        ("integration/docker/test_hostile_engine.py",),
    ),
    Area(
        "letters kept",
        (
            "worker/dead_letters/keeping/*",
            "worker/dead_letters/bodies/*",
            "worker/dead_letters/kinds.py",
        ),
        (
            "unit/messages/test_letter_editing.py",
            "unit/operating/test_edit_program.py",
            "integration/dead_letters/test_keeper.py",
            "integration/dead_letters/test_cut_letters.py",
        ),
        (
            "integration/dead_letters/test_moved_back.py",
            "integration/dead_letters/test_replay_untrusted.py",
            "integration/console/letters/test_letters_edited.py",
            "faults/dead_letters/test_keeper_killed.py",
            "faults/dead_letters/test_letter_not_stored.py",
        ),
    ),
    Area(
        "letters replayed",
        (
            "worker/dead_letters/replays/*",
            "worker/dead_letters/store.py",
            "worker/dead_letters/wanted.py",
            "worker/dead_letters/selection.py",
            "worker/dead_letters/discarding.py",
            SQL + "dead_letters.py",
            SQL + "letter_lists.py",
        ),
        (
            "unit/messages/test_letters_wanted.py",
            "integration/dead_letters/test_dead_letter_found.py",
            "integration/dead_letters/test_selection.py",
            "integration/postgres/test_letters_kept.py",
            "integration/postgres/test_letter_lists.py",
            "integration/dead_letters/test_letters_in_bulk.py",
        ),
        (
            "integration/dead_letters/test_replay_results.py",
            "integration/dead_letters/test_replay_watched.py",
            "integration/dead_letters/test_dead_letters_cli.py",
            "faults/dead_letters/test_replay_interrupted.py",
            "faults/dead_letters/test_failed_stop_replayed.py",
        ),
    ),
    Area(
        "outbox",
        ("worker/outbox/*", SQL + "outbox.py", "shared/events.py"),
        (
            "unit/events/test_event.py",
            "integration/events/test_outbox.py",
            "integration/events/test_replies.py",
            "integration/events/test_events.py",
        ),
        ("integration/events/test_asyncapi_events.py", "faults/broker/test_outbox_killed.py"),
    ),
    Area(
        "hosts",
        (
            "worker/hosts/heartbeat.py",
            "worker/hosts/host_worker.py",
            "worker/hosts/store.py",
            SQL + "hosts.py",
        ),
        (
            "integration/postgres/test_host_states.py",
            "integration/operating/test_hosts_show.py",
            "faults/hosts/test_host_rebooted.py",
            "faults/hosts/test_host_names.py",
            "faults/hosts/test_host_abandoned.py",
        ),
        (
            "faults/hosts/test_registration_undone.py",
            "faults/hosts/test_command_waiting.py",
            "faults/hosts/test_rolling_restart.py",
            "integration/console/test_hosts_pages.py",
        ),
    ),
    Area(
        "healing",
        ("worker/healing/*", SQL + "healing.py", SQL + "containers.py"),
        (
            "unit/memory/test_heal_each.py",
            "integration/postgres/test_containers_noted_again.py",
            "faults/restore/test_claims_tried_again.py",
            "faults/restore/test_restored.py",
        ),
        (
            "faults/restore/test_end_unknown.py",
            "faults/restore/test_without_cgroups.py",
            "faults/postgres/test_failover_healed.py",
        ),
    ),
    Area(
        "registering",
        (
            "worker/registering/*",
            "gateway/runs/register.py",
            "gateway/schemas/registering.py",
            "shared/registrations.py",
            SQL + "registrations.py",
        ),
        (
            "unit/messages/test_reading_registrations.py",
            "integration/registering/test_bad_registrations.py",
            "integration/registering/test_registered_by_message.py",
            "integration/runs/registering",
        ),
        (
            "integration/registering/test_dead_registrations.py",
            "integration/registering/test_many_registrations.py",
            "integration/operating/test_runs_add.py",
            "faults/registering/test_registrations.py",
        ),
    ),
    Area(
        "upkeep",
        (
            "worker/upkeep/archive.py",
            "worker/upkeep/count.py",
            "worker/upkeep/daily.py",
            "worker/upkeep/prune.py",
            SQL + "upkeep.py",
        ),
        (
            "unit/upkeep/test_archive.py",
            "integration/upkeep/test_daily_upkeep.py",
            "integration/upkeep/test_pruned.py",
        ),
        (
            "integration/upkeep/test_prune_command.py",
            "integration/upkeep/test_prune_in_batches.py",
            "integration/postgres/test_upkeep_plans.py",
            "faults/upkeep",
        ),
    ),
    Area(
        "admission",
        (
            "gateway/auth/access.py",
            "gateway/auth/admission.py",
            "gateway/auth/refusals.py",
            "gateway/auth/tokens.py",
            "shared/tokens.py",
            SQL + "requests.py",
        ),
        (
            "integration/gateway/test_rate_windows.py",
            "integration/gateway/test_gateway_access.py",
            "integration/gateway/test_rate_limits.py",
        ),
        (
            "integration/operating/test_tokens_cli.py",
            "integration/runs/test_run_lists.py",
            "integration/runs/test_gateway_wait.py",
            "integration/gateway/test_contract.py",
            "integration/cancels/test_gateway_cancel.py",
            "integration/cancels/test_idempotency_key.py",
        ),
    ),
    Area(
        "cancels",
        ("gateway/cancels/*", "gateway/schemas/cancels.py", "worker/runs/cancel.py"),
        (
            "unit/gateway/test_answers.py",
            "integration/cancels/test_gateway_cancel.py",
            "integration/cancels/test_bulk_cancel.py",
            "integration/cancels/test_idempotency_key.py",
            "integration/operating/test_runs_cancel.py",
        ),
        (
            "integration/cancels/test_cancellations.py",
            "integration/gateway/test_repeated_keys.py",
            "integration/gateway/test_contract.py",
            "faults/services/test_gateway_services_lost.py",
        ),
    ),
    Area(
        "HTTP",
        ("gateway/http/*", "shared/http/*"),
        (
            "unit/gateway",
            "integration/gateway/test_cors.py",
            "integration/gateway/test_query_parameters.py",
            "integration/gateway/test_contract.py",
        ),
        (
            "faults/gateway/test_hostile_requests.py",
            "faults/gateway/test_hostile_framing.py",
            "faults/gateway/test_slow_clients.py",
            "faults/gateway/test_connection_floods.py",
            "faults/services/test_health.py",
        ),
    ),
    Area(
        "gateway processes",
        ("gateway/processes/",),
        ("faults/gateway/test_processes.py",),
        ("faults/gateway/test_gateway_stopped.py", "integration/gateway/test_metrics.py"),
    ),
    Area(
        "event streams",
        ("gateway/events/*",),
        (
            "unit/events",
            "integration/events/test_event_stream.py",
        ),
        ("faults/gateway/test_event_streams.py",),
    ),
    Area(
        "runs",
        (
            "gateway/runs/get_run.py",
            "gateway/runs/list_runs.py",
            "gateway/schemas/runs.py",
            "gateway/schemas/model.py",
            "gateway/waiting.py",
            "shared/runs.py",
            "shared/run_list.py",
        ),
        (
            "unit/gateway/test_paging.py",
            "integration/runs/test_gateway_runs.py",
            "integration/runs/test_run_lists.py",
            "integration/runs/test_terminal_watch.py",
            "integration/runs/test_gateway_wait.py",
        ),
        (
            "integration/cancels/test_shown_cancellation.py",
            "integration/gateway/test_contract.py",
            "integration/operating/test_runs_show.py",
        ),
    ),
    Area(
        "console",
        (
            "worker/console/web/*",
            "worker/console/letters/edit_page.py",
            "worker/console/letters/filters.py",
            "worker/console/letters/plan_page.py",
            "worker/console/letters/work_page.py",
            "worker/console/letters/works.py",
        ),
        (
            "integration/console/test_sign_in.py",
            "integration/console/test_page_protection.py",
            "integration/console/letters",
        ),
        ("integration/console/test_run_pages.py", "integration/console/test_audit.py"),
    ),
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
        ),
    ),
    Area(
        "Postgres",
        ("shared/postgres/*.py", SQL + "replication.py", "worker/postgres_watch.py"),
        (
            "integration/postgres/test_migrate.py",
            "integration/postgres/test_kept_connection.py",
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

NEED_AN_ENGINE: Final = (
    "worker/docker/*.py",
    "worker/docker/engine/",
    "worker/docker/stopping/",
)
"""Files whose tests start a Docker engine of their own, which takes too long for one mutant."""

NO_RULES: Final = (
    # What is shown to people, and told to those who watch.
    "gateway/monitoring/",
    "gateway/openapi/",
    "gateway/schemas/errors.py",
    "gateway/views.py",
    "shared/command_line/",
    "shared/deferred_logs.py",
    "shared/errors.py",
    "shared/logs.py",
    "shared/telemetry/",
    SQL + "audit.py",
    SQL + "console.py",
    SQL + "now.py",
    SQL + "statistics.py",
    "worker/console/*.py",
    "worker/console/audit/",
    "worker/console/hosts/",
    "worker/console/letters/*.py",
    "worker/console/live/",
    "worker/console/now/",
    "worker/console/runbook/",
    "worker/console/runs/",
    "worker/dead_letters/advice.py",
    "worker/dead_letters/command_line/",
    "worker/hosts/cli.py",
    "worker/hosts/reports.py",
    "worker/hosts/wording.py",
    "worker/metrics.py",
    "worker/monitoring_server.py",
    "worker/runs/*.py",
    "worker/traces.py",
    "worker/upkeep/*cli.py",
    "worker/upkeep/reports.py",
    # How a program is put together.
    "*/__init__.py",
    "*/*/__init__.py",
    "*/*/*/__init__.py",
    "*/__main__.py",
    "*/app.py",
    "*/cli.py",
    "gateway/auth/cli.py",
    "worker/connection.py",
    "worker/operator.py",
    "worker/priority.py",
    "worker/startup.py",
    "worker/threads.py",
)
"""Files that no area has, even if a pattern here fits files of an area as well."""

OTHER_TESTS: Final = (
    "unit/console/",
    "unit/repository/",
    "unit/operating/test_columns.py",
    "unit/operating/test_container_scripts.py",
    "unit/operating/test_letter_*.py",
    "unit/operating/test_logs.py",
    "unit/operating/test_output.py",
    "unit/operating/test_quick_commands.py",
    "integration/console/test_console_plans.py",
    "integration/console/test_live.py",
    "integration/console/test_now.py",
    "integration/console/test_runbook_page.py",
    "integration/containers/",
    "integration/gateway/test_gateway_docs.py",
    "integration/messages/test_asyncapi.py",
    "integration/operating/test_compose_file.py",
    "integration/operating/test_document*.py",
    "integration/operating/test_hostile_output.py",
    "integration/operating/test_quick_lists.py",
    "integration/operating/test_systemd_units.py",
    "integration/operating/test_worker_metrics.py",
    "integration/postgres/test_old_*.py",
    "integration/postgres/test_released_schemas.py",
    "integration/postgres/test_schema.py",
    "integration/registering/test_asyncapi_registrations.py",
)
"""Unit and integration tests of what is shown, packaged or migrated."""
