"""The search for private names finds each kind of use, and leaves alone what is our own."""

from pathlib import Path
from typing import Final

from tests.support.repository.private_uses import Use, private_uses

SAMPLE: Final = """
from aiohttp._helpers import sentinel
from aiohttp import _cparser, web
import typer._click.exceptions
from worker.stop import scan

class Base:
    _kept = 1

class Mine(web.RequestHandler, Base):
    __slots__ = ("_slot",)

    def __init__(self):
        self._own = self._kept + self._slot + self._method() + self.__class__._of_class
        self._manager.connections  # aiohttp's

    def _method(self):
        return [self._loop for _ in (self._own, self._waiter)]

def use(request, monkeypatch, row, other: Mine):
    request._match_info, request.protocol._manager, other._own, scan._all_processes
    getattr(request, "_cache"), getattr(other, "_own")
    monkeypatch.setattr(request, "_post", None)
    monkeypatch.setattr("aiohttp.web._log", None)
    row._replace(), row.__dict__, row._sunder_
"""


def test_each_kind_of_use_is_found_and_what_is_our_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "sample.py").write_text(SAMPLE)

    found = private_uses(tmp_path)

    assert sorted({use.name for use in found}) == sorted(
        {
            *("_helpers", "_cparser", "_click", "_manager", "_loop", "_waiter", "_match_info"),
            *("_cache", "_post", "_log", "_of_class"),
        }
    )
    assert Use("gateway/sample.py", 2, "_helpers") in found
