"""Alerts and dashboard: well formed, firing when they should, and each with a place to go."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.telemetry.monitoring import (
    ALERTS,
    ROOT,
    Selector,
    alerts,
    dashboard_expressions,
    selectors,
)
from worker.console.runbook.anchors import anchor_of
from worker.console.runbook.sections import ADDRESS

RUNBOOK = ROOT / "docs/runbook.md"
CONSOLE = "https://cancel.example.com"
"""The console's address in alerts.yml, which users replace."""


def _promtool(*arguments: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian, Ubuntu: apt-get install prometheus)")
    done = subprocess.run(
        [promtool, *arguments], cwd=ALERTS.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    _promtool("check", "rules", "alerts.yml")
    _promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_otherwise() -> None:
    _promtool("test", "rules", "alerts_test.yml")


def test_promtool_takes_what_the_dashboard_asks_for(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(dashboard_expressions())
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    _promtool("check", "rules", str(file))


def test_each_alert_is_tested_and_says_what_to_do() -> None:
    tested = yaml.safe_load((ALERTS.parent / "alerts_test.yml").read_text())["tests"]
    fired = {
        sample["labels"].partition('"')[2].rstrip('"}')
        for test in tested
        for expected in test["promql_expr_test"]
        for sample in expected["exp_samples"]
    }

    assert fired == {alert["alert"] for alert in alerts()}
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning")
        notes = alert["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}
        assert notes["runbook_url"] == f"{CONSOLE}{ADDRESS}#{anchor_of(alert['alert'])}"


@pytest.mark.skipif(not RUNBOOK.exists(), reason="there is no docs/runbook.md")
def test_each_alert_has_its_section_in_the_runbook() -> None:
    anchors = {
        anchor_of(line.lstrip("#").strip())
        for line in RUNBOOK.read_text().splitlines()
        if line[:1] == "#"
    }

    for alert in alerts():
        assert alert["annotations"]["runbook_url"].partition("#")[2] in anchors


def test_the_document_says_which_address_to_replace_in_the_alerts() -> None:
    command = f"sed -i 's|{CONSOLE}|"
    assert command in (ROOT / "docs" / "monitoring.md").read_text()


def test_selectors_are_found_in_expressions() -> None:
    found = selectors('sum by (le, x) (rate(a_total{b="c", d=~"e"}[5m])) / on (y) b:c > 0.5 or d')

    assert list(found) == [
        Selector("a_total", (("b", "c"),)),
        Selector("b:c", ()),
        Selector("d", ()),
    ]
