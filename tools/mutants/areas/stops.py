"""Stops, the processes and containers of runs, and their launchers."""

from typing import Final

from tools.mutants.areas.model import SQL, Area

AREAS: Final = (
    Area(
        "stop",
        ("worker/stop/*", "worker/evidence.py", SQL + "endings.py"),
        (
            "unit/processes/test_ladder.py",
            "unit/processes/test_run_gone.py",
            "integration/postgres/test_stop_records.py",
            "integration/postgres/test_life_cycles.py",
            "integration/stops/test_stop_scope.py",
            "integration/stops/test_stop_escape.py",
            "integration/stops/test_stop_timing.py",
            "integration/stops/test_stop_hidden_cgroup.py",
            "integration/stops/test_stop_reused_pid.py",
        ),
        (
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
            "integration/postgres/test_life_cycles.py",
        ),
        (
            "integration/launcher/test_claims_of_a_child.py",
            "integration/launcher/test_last_request.py",
            "integration/launcher/test_completion_logged_once.py",
            "integration/operating/test_runs_show.py",
            "faults/launcher/test_launcher_lost.py",
            "faults/launcher/test_many_launchers.py",
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
)
