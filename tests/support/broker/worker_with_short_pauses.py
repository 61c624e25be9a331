"""A worker that tries registrations and letters again after a moment, and looks for upkeep at once.

Run as `python -m tests.support.broker.worker_with_short_pauses serve`.
"""

from worker.cli import main
from worker.dead_letters.keeping import keeper
from worker.registering import settler
from worker.upkeep import daily

if __name__ == "__main__":
    setattr(settler, "RETRY_DELAYS", (0.01, 0.02, 0.03))  # noqa: B010 - mypy: it is Final
    setattr(daily, "_LOOK", 0.1)  # noqa: B010 - likewise
    setattr(keeper, "_AFTER_FAILURE", 0.2)  # noqa: B010 - likewise
    main()
