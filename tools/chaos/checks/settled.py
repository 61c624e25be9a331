"""The system comes to rest: queues empty, nothing `running` or `canceling` that nobody works on."""

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts


def check(facts: Facts) -> Checked:
    checked = Checked("rest", "the system comes to rest, queues drained")
    for settled in facts.entries("settled"):
        checked.hold(not settled["left"], f"did not come to rest: {', '.join(settled['left'])}")
    for queue, messages in facts.queues.items():
        checked.hold(messages == 0, f"{messages} messages are left in {queue}")
    failed = {row["run_id"] for row in facts.cancellations if row["outcome"] == "stop_failed"}
    for run_id, run in facts.runs.items():
        is_over = run["status"] not in ("running", "canceling")
        times = (run["created_at"].timestamp(), run["created_at"].timestamp())
        text = f"run {run_id} is {run['status']} for ever"
        checked.hold(is_over or (run["status"] == "canceling" and run_id in failed), text, times)
    return checked
