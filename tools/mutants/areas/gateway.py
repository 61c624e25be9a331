"""The HTTP API and the console."""

from typing import Final

from tools.mutants.areas.model import SQL, Area

AREAS: Final = (
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
            "integration/postgres/test_ended.py",
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
)
