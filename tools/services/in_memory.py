"""Data of private servers in memory instead of on disk."""

import os
import shutil
from pathlib import Path

from tools.services.sandbox import DIRECTORY

SHARED_MEMORY = Path("/dev/shm")
ROOM = 6 * 1024**3
"""Bytes that must be free. All tests together need about 2 GB at once."""


def use_memory() -> None:
    """Have every sandbox of this process and its children made in memory, where there is room."""
    if SHARED_MEMORY.is_mount() and shutil.disk_usage(SHARED_MEMORY).free >= ROOM:
        os.environ.setdefault(DIRECTORY, str(SHARED_MEMORY))
