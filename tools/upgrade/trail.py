"""The checks of chaos that need only the audit trail and the events."""

from pathlib import Path

from tools.chaos.checks import Checked, deadlines, repeats, states
from tools.chaos.checks.events import told
from tools.chaos.observed import audit, event_queue
from tools.chaos.observed.facts import Facts, fetch_records
from tools.support.waiting import eventually
from tools.upgrade.report import Check
from tools.upgrade.system import UpgradedSystem

_CHECKS = (states.check, deadlines.check, repeats.check, told.check)


async def follow(system: UpgradedSystem) -> None:
    """Keep what changes from now on, and what is told. The exchange for events must be there."""
    await audit.install(system.database_url)
    await event_queue.listen(system.amqp_url, system.topology.prefix)


async def checked(system: UpgradedSystem) -> list[Check]:
    """Wait until all is told, and check it."""
    await eventually(
        lambda: system.database.fetchval("SELECT count(*) FROM outbox"),
        lambda number: number == 0,
        what="the number of events in the outbox",
    )
    records = await fetch_records(system.database_url)
    facts = Facts(
        journal_path=Path(),
        jobs=Path(),
        journal=[],
        runs=records.runs,
        cancellations=records.cancellations,
        letters=records.letters,
        run_transitions=records.run_transitions,
        command_changes=records.command_changes,
        letter_changes=records.letter_changes,
        events=await event_queue.heard(system.amqp_url, system.topology.prefix),
        queues={},
        processes=[],
        logs=[],
    )
    return [_as_check(check(facts)) for check in _CHECKS]


def _as_check(checked: Checked) -> Check:
    problems = [violation.text for violation in checked.violations]
    if not checked.count:
        problems.append("nothing was checked")
    return Check(f"{checked.title} ({checked.count} things)", problems)
