"""A worker that tries a registration again after a moment, and looks at once what upkeep is due.

Run as `python -m tests.support.broker.worker_with_short_pauses serve`.
"""

from worker.cli import main
from worker.registering import settler
from worker.upkeep import daily

if __name__ == "__main__":
    setattr(settler, "RETRY_DELAYS", (0.01, 0.02, 0.03))  # noqa: B010 - mypy: it is Final
    setattr(daily, "_LOOK", 0.1)  # noqa: B010 - likewise
    main()
