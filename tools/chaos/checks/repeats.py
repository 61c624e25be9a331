"""P7: repeats change nothing: once final, a command's row is never written again."""

from typing import Final

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts

_FINAL: Final = {"canceled", "no_op", "forced", "leftovers_stopped", "abandoned"}
"""Not `stop_failed`: a later command takes such a stop up again, and answers for all."""


def check(facts: Facts) -> Checked:
    checked = Checked("P7", "repeats change no outcome")
    for change in facts.command_changes:
        before, after = change["before"], change["after"]
        if before is None or before["outcome"] not in _FINAL:
            continue
        at = change["at"].timestamp()
        outcome = after["outcome"] if after else "deleted"
        text = f"command {change['command_id']}: {before['outcome']} was rewritten to {outcome}"
        checked.hold(False, text, (at, at))
    checked.count += len(facts.cancellations)
    return checked
