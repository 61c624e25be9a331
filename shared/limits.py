"""Limits that messages, requests, options and the schema have in common."""

from typing import Final

BIGINT_MAX: Final = 2**63 - 1
MAX_GRACE_SECONDS: Final = 600.0
"""The maximum grace period of a command, a run or a worker, seconds."""
MAX_TEXT: Final = 255
"""Characters."""
MAX_LABELS: Final = 16
"""Labels of a run."""
MAX_URL: Final = 2048
"""Characters."""
