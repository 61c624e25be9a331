from tools.upgrade.report import Check
from tools.upgrade.stage import Stage
from tools.upgrade.version import Version
async def side_by_side(stage: Stage, old: Version) -> list[Check]:
    return []
