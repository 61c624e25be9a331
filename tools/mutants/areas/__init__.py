"""Which rules are in which files, and which tests should notice a change of them.

Each module of the product is of one area, or of `NO_RULES`; each unit and integration test is of
some area, or of `OTHER_TESTS` (`test_mutant_areas.py`). Tests run in this order until one fails:
the quickest first.
"""

from typing import Final

from tools.mutants.areas import commands, gateway, records, services, stops
from tools.mutants.areas.left_out import NEED_AN_ENGINE, NO_RULES, OTHER_TESTS
from tools.mutants.areas.model import SQL, Area, matches

AREAS: Final = (
    *commands.AREAS,
    *stops.AREAS,
    *records.AREAS,
    *gateway.AREAS,
    *services.AREAS,
)

__all__ = ["AREAS", "NEED_AN_ENGINE", "NO_RULES", "OTHER_TESTS", "SQL", "Area", "matches"]
