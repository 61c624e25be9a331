"""The name that is recorded for an operator's action."""

import getpass
import os


def operator() -> str:
    """The user at the command line, also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return f"uid {os.getuid()}"
