"""P4: nothing else was signaled."""

from pathlib import Path

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts


def check(facts: Facts) -> Checked:
    checked = Checked("P4", "bystanders live and were not signaled")
    alive = {(process.pid, process.start_ticks) for process in facts.processes}
    for bystander in facts.entries("bystander"):
        name, file = bystander["name"], Path(bystander["file"])
        is_alive = (bystander["pid"], bystander["start_ticks"]) in alive
        checked.hold(is_alive, f"bystander {name} is dead")
        signals = file.read_text().split() if file.exists() else []
        checked.hold(not signals, f"bystander {name} received {signals}")
    return checked
