"""The numbers of runs, as people type them."""

import re

from shared.limits import BIGINT_MAX


def run_number(text: str) -> int:
    """Raises ValueError, which says what is wrong."""
    if not re.fullmatch("[0-9]{1,19}", text) or not 1 <= int(text) <= BIGINT_MAX:
        raise ValueError(f"{text!r} is no number of a run: those go from 1 to {BIGINT_MAX}")
    return int(text)
