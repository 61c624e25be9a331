"""What must hold at the end of each upgrade."""

from tools.upgrade.report import Check
from tools.upgrade.stage import Stage


async def ended_well(stage: Stage) -> list[Check]:
    return [
        Check("each command has one outcome or one dead letter", await _ends(stage)),
        Check("no run was canceled while its processes lived", await _false(stage)),
        Check("no host queue is left", [f"{k}: {v}" for k, v in (await stage.host_queues()).items()]),
        Check("no message is left in a queue of commands", await _messages(stage)),
        Check("no run is in the middle of a stop", await _stopping(stage)),
    ]


async def _ends(stage: Stage) -> list[str]:
    return await stage.ledger.not_exactly_one_end()


async def _false(stage: Stage) -> list[str]:
    canceled = await stage.database.fetch("SELECT run_id FROM runs WHERE status = 'canceled'")
    return [*stage.false, *stage.living(row["run_id"] for row in canceled)]


async def _messages(stage: Stage) -> list[str]:
    depths = {name: await stage.depth(name) for name in stage.topology.queues()}
    return [f"{name}: {depth}" for name, depth in depths.items() if depth]


async def _stopping(stage: Stage) -> list[str]:
    rows = await stage.database.fetch("SELECT run_id FROM runs WHERE status = 'canceling'")
    return [f"run {row['run_id']}" for row in rows]
