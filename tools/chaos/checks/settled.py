"""The system comes to rest: empty queues, no run `running`, none `canceling` but failed stops."""

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts


def check(facts: Facts) -> Checked:
    checked = Checked("rest", "the system becomes idle, and the queues are empty")
    for settled in facts.entries("settled"):
        checked.hold(
            not settled["left"], f"the system did not become idle: {', '.join(settled['left'])}"
        )
    for queue, messages in facts.queues.items():
        checked.hold(messages == 0, f"{messages} messages are left in {queue}")
    failed = {row["run_id"] for row in facts.cancellations if row["outcome"] == "stop_failed"}
    for run_id, run in facts.runs.items():
        is_over = run["status"] not in ("running", "canceling")
        times = (run["created_at"].timestamp(), run["created_at"].timestamp())
        text = f"run {run_id} stays {run['status']}"
        checked.hold(is_over or (run["status"] == "canceling" and run_id in failed), text, times)
    return checked
