"""Service URLs as they may be shown to people."""

import re
from typing import Final

# Without a URL parser: none accepts a Postgres URL with several hosts.
_USER_INFO: Final = re.compile(r"(://[^/?#:@]*):[^/?#]*@")
_PARAMETER: Final = re.compile(r"([?&][a-z]*password=)[^&#]*")


def without_password(url: str) -> str:
    """Return `url` with its passwords hidden, for messages and logs."""
    return _PARAMETER.sub(r"\1***", _USER_INFO.sub(r"\1:***@", url))
