"""What is kept beside runs: letters, events, hosts, registrations, and what is pruned."""

from typing import Final

from tools.mutants.areas.model import SQL, Area

AREAS: Final = (
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
)
