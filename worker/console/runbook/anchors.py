"""The anchors of headings."""

import re


def anchor_of(title: str) -> str:
    """As GitHub makes it, for the first heading of this title."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
