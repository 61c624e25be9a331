"""Who is recorded as having done what an operator asked for."""

import getpass
import os


def operator() -> str:
    """The user at the command line, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
