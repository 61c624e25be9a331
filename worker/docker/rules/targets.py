"""Request targets: only those that every router reads alike."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from worker.docker.rules.refused import bad_request

# RFC 3986, and nothing that a client could mean in two ways.
_TARGET: Final = re.compile(
    r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)(?:\?(?P<query>[^#]*))?"
)
# As the engine's router has it; it takes one such prefix off.
_VERSION: Final = re.compile(r"\A/v[0-9.]+(?=/)")


@dataclass(frozen=True, slots=True)
class Target:
    raw_path: str
    path: str
    """Decoded, and without the version of the API."""
    query: str | None

    def with_path(self, path: str) -> str:
        """The same request, in the same version of the API, of another path."""
        version = _VERSION.match(unquote(self.raw_path))
        changed = (version[0] if version else "") + quote(path)
        return changed if self.query is None else f"{changed}?{self.query}"


def parse(target: bytes) -> Target:
    """Raises Refused for a target that is not plainly a path.

    The engine decodes escapes before it looks a path up, and redirects paths such as `//`.
    """
    match = _TARGET.fullmatch(target.decode("latin-1"))
    if match is None:
        raise bad_request("the request target is not a plain path")
    try:
        path = unquote_to_bytes(match["path"]).decode()
    except UnicodeDecodeError:
        raise bad_request("the path is not UTF-8") from None
    if not path.isprintable() or _is_unclean(path):
        raise bad_request("the path has empty or dotted segments, or unprintable characters")
    return Target(match["path"], _VERSION.sub("", path, count=1), match["query"])


def _is_unclean(path: str) -> bool:
    segments = path.split("/")[1:]
    return "" in segments[:-1] or "." in segments or ".." in segments
