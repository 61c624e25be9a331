"""Modules without rules, and tests that are of no area."""

from typing import Final

from tools.mutants.areas.model import SQL

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
