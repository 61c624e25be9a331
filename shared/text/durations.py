"""Durations as people write them."""

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TEN_YEARS: Final = timedelta(days=3653)


def duration(text: str) -> timedelta:
    """A duration as people write it, like 90s or 30d. Raises ValueError, which quotes nothing."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text)
    if match is None:
        raise ValueError("is not a duration like 90s, 15m, 12h, 30d or 4w")
    try:
        given = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        given = timedelta.max
    if given > _TEN_YEARS:
        raise ValueError("is longer than ten years")
    return given
