"""The contract as a table: status, cause, envelope, headers."""

from typing import Final

from tests.support.http.contract.cancels import ON_CANCELS
from tests.support.http.contract.case import Case
from tests.support.http.contract.events import OTHERS
from tests.support.http.contract.runs import ON_RUNS

CASES: Final[list[Case]] = [*ON_CANCELS, *ON_RUNS, *OTHERS]
